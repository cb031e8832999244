"""Isolators that make the file system a task sees."""
