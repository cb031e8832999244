"""Isolators for volumes, one for each kind."""
