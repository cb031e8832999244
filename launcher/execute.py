"""Become the task: execvpe(3) without late imports (os.execvpe imports `warnings` when it fails),
and by way of the trampoline.
"""

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
    for path in _candidates(command, environment):
        reason = _obstacle(path)
        if reason is None:
            return path
        if failure == errno.ENOENT and reason not in _NOT_HERE:
            failure = reason
    raise OSError(failure, os.strerror(failure), command)


def execute(
    path: str, argv: Sequence[str], environment: Mapping[str, str], trampoline: int | None, channel: int
) -> NoReturn:
    """Replace the process by the trampoline, which replaces itself by the task. Raises OSError.

    `channel` stays open for the trampoline's failure, and is closed by the task's execution.
    """
    if trampoline is None:
        os.execve(path, list(argv), dict(environment))  # noqa: S606 - the task
    os.set_inheritable(channel, True)
    os.execve(trampoline, [path, *argv], dict(environment))  # noqa: S606 - the task


def _obstacle(path: str) -> int | None:
    """Why the path cannot be executed, as errno."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno
    return None if stat.S_ISREG(mode) and os.access(path, os.X_OK) else errno.EACCES


def _candidates(command: str, environment: Mapping[str, str]) -> list[str]:
    if "/" in command:
        return [command]
    if not command:
        return []
    directories = environment.get("PATH", DEFAULT_PATH).split(":")
    return [f"{directory or '.'}/{command}" for directory in directories]
