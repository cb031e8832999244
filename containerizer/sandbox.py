"""The container's own directories on the host: made before everything else, deleted after it."""

from __future__ import annotations

import os

from containerizer.paths import ENDING, RECORD
from launcher.errors import InvalidRequest
from launcher.remove_tree import remove_tree


def create(directory: str) -> None:
    """Make the sandbox. Raises InvalidRequest if it is there already.

    Nobody else may pass: a task's setuid program would be one for every user of the host, as it
    was with CVE-2021-41091.
    """
    try:
        _make(directory)
    except FileExistsError:
        hint = "a container from before a reboot or under another --state has it; remove it if none does"
        raise InvalidRequest(f"the sandbox {directory} exists", hint=hint) from None


def _make(directory: str) -> None:
    try:
        os.mkdir(directory, 0o700)
    except FileNotFoundError:  # the first container's
        os.makedirs(os.path.dirname(directory), mode=0o700, exist_ok=True)
        os.mkdir(directory, 0o700)


def delete_state(directory: str) -> None:
    """Delete the directory of a container's state; its record and its ending last, in which others look."""
    try:
        names = [name for name in os.listdir(directory) if name not in (RECORD, ENDING)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in (*names, RECORD, ENDING):
        try:
            os.unlink(f"{directory}/{name}")
        except FileNotFoundError:
            continue
        except IsADirectoryError:
            remove_tree(f"{directory}/{name}")
    remove_tree(directory)


def delete(*directories: str) -> None:
    """Delete these trees, whatever a task has put there; missing ones are fine."""
    for directory in directories:
        remove_tree(directory)
