"""Tests of the CRI: a real agent, spoken to by gRPC as a kubelet does."""
