"""Isolators for what Docker and OCI images say about their task."""
