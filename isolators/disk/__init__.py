"""Isolators of what containers write to the disk."""
