"""Become the task: execvpe(3) without late imports (os.execvpe imports `warnings` when it fails)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import NoReturn

# What the shell and glibc search when PATH is not set; _CS_PATH leaves out /usr/local and sbin.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NOT_HERE = (errno.ENOENT, errno.ENOTDIR)


def find(command: str, environment: Mapping[str, str]) -> str:
    """The path to execute; a name without a slash is looked for in the environment's PATH.

    Raises OSError with the command as its object: ENOENT when it is nowhere, otherwise the first
    other reason why a candidate cannot be executed.
    """
    failure = errno.ENOENT
    for path in candidates(command, environment):
        reason = _obstacle(path)
        if reason is None:
            return path
        if failure == errno.ENOENT and reason not in _NOT_HERE:
            failure = reason
    raise OSError(failure, os.strerror(failure), command)


def execute(path: str, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace the process by the task. Raises OSError."""
    os.execve(path, list(argv), dict(environment))  # noqa: S606 - the task


def _obstacle(path: str) -> int | None:
    """Why the path cannot be executed, as errno."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno
    return None if stat.S_ISREG(mode) and os.access(path, os.X_OK) else errno.EACCES


def candidates(command: str, environment: Mapping[str, str]) -> list[str]:
    """The paths where a command may be; a name without a slash is looked for in the environment's PATH."""
    if "/" in command:
        return [command]
    if not command:
        return []
    directories = environment.get("PATH", DEFAULT_PATH).split(":")
    return [f"{directory or '.'}/{command}" for directory in directories]
