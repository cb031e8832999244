"""The container's own directories on the host: made before everything else, deleted after it."""

from __future__ import annotations

import os

from launcher.remove_tree import remove_tree


def create(directory: str) -> None:
    """Make the sandbox. Others may pass through to what they are given, but not look around."""
    os.makedirs(os.path.dirname(directory), mode=0o711, exist_ok=True)
    os.mkdir(directory, 0o711)


def delete(*directories: str) -> None:
    """Delete these trees, whatever a task has put there; missing ones are fine."""
    for directory in directories:
        remove_tree(directory)
