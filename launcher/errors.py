"""The errors that callers branch on. One class maps to one exit code of the command line.

A message is lower case, without a full stop, and names the value that was wrong. A hint says what
the reader can do about it.
"""

from __future__ import annotations

EXIT_CONTAINERIZER_FAILED = 125
EXIT_CANNOT_EXECUTE = 126
EXIT_NOT_FOUND = 127


class ContainerizerError(Exception):
    """Something that the containerizer was asked to do and could not; the base of all its errors."""

    exit_code = EXIT_CONTAINERIZER_FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InvalidRequest(ContainerizerError):
    """The request is malformed or contradicts itself; nothing was touched."""


class LaunchFailed(ContainerizerError):
    """A step of the launch failed. The container has been cleaned up."""


class CommandNotFound(LaunchFailed):
    """The command does not exist in the container (ENOENT from execve(2))."""

    exit_code = EXIT_NOT_FOUND


class CommandNotExecutable(LaunchFailed):
    """The command exists but the kernel refuses to execute it (EACCES, ENOEXEC … from execve(2))."""

    exit_code = EXIT_CANNOT_EXECUTE
