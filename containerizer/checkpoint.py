"""Checkpoints: JSON files that are there whole or not at all.

Written beside, then renamed, so a reader never sees half a file. Whoever reads takes an empty or
torn one (a power cut on a filesystem that reorders) for none.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from launcher.kernel import files

_LARGEST = 1 << 24  # bytes; one that is larger is none of ours, and torn


def write(path: str, value: Mapping[str, Any]) -> None:
    """Replace the file at `path`, or leave it as it is. Not synced: state lives as long as the kernel runs.

    Raises OSError.
    """
    write_text(path, json.dumps(value))  # at once: json.dump writes each token by itself


def write_text(path: str, text: str) -> None:
    """As `write`, for what has been encoded already."""
    beside = f"{path}.{os.getpid()}.new"
    try:
        write_new(beside, text)
        os.rename(beside, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def write_new(path: str, text: str) -> None:
    """Write the file where nobody looks for it yet. Raises OSError; then there may be a part of it."""
    rest = text.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while rest:  # on a full disk a first part is written, without an error
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)


def holds(path: str, text: str) -> bool:
    """Whether this is in the file at `path`, and nothing else."""
    try:
        return files.read_short(path, _LARGEST) == text.encode()
    except (FileNotFoundError, NotADirectoryError):
        return False


def read(path: str) -> dict[str, Any] | None:
    """The object in the file at `path`; None when it is missing, empty or torn."""
    try:
        value = json.loads(files.read_short(path, _LARGEST).decode())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None
