"""Isolators that give a container a kernel namespace of its own; one a kind."""
