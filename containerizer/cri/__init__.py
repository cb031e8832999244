"""Kubernetes' CRI: the agent as a container runtime for a kubelet."""
