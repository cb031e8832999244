"""execvpe(3) without late imports: os.execvpe imports `warnings` when it fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

# What the shell and glibc search when PATH is not set; _CS_PATH leaves out /usr/local and sbin.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NOT_HERE = (errno.ENOENT, errno.ENOTDIR)


def execute(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace the process, searching the environment's PATH for a name without a slash.

    Raises OSError with argv[0] as its object: ENOENT when it is nowhere, otherwise the first
    other reason why a candidate could not be executed (EACCES, ENOEXEC …).
    """
    command = argv[0]
    failure = errno.ENOENT
    for path in _candidates(command, environment):
        try:
            os.execve(path, list(argv), dict(environment))  # noqa: S606 - the task
        except OSError as error:
            if error.errno not in _NOT_HERE and failure == errno.ENOENT:
                failure = error.errno or failure
    if failure == errno.ENOENT and "/" in command and os.path.lexists(command):
        raise OSError(failure, "its interpreter or dynamic linker is missing in the image", command)
    raise OSError(failure, os.strerror(failure), command)


def _candidates(command: str, environment: Mapping[str, str]) -> list[str]:
    if "/" in command:
        return [command]
    if not command:
        return []
    directories = environment.get("PATH", DEFAULT_PATH).split(":")
    return [f"{directory or '.'}/{command}" for directory in directories]
