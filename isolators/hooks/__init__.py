"""The isolators that run programs and code of others at points of a container's life."""
