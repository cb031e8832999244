"""Isolators that every Unix can have."""
