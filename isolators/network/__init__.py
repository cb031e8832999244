"""Isolators that connect a container to a network, or to none."""
