"""Turn a `Failed` record of a supervisor or child into the error that callers see."""

from __future__ import annotations

import errno
import os

from launcher.errors import CommandNotExecutable, CommandNotFound, LaunchFailed
from launcher.program.objects import Explained
from launcher.protocol import EXECUTE, Failed

_ATTRIBUTES = ("set the process attributes", "set the OOM score adjustment")  # the stages
_HINT_TO_CLAMP = "ask for what the host grants, or for the nearest to it with --best-effort"

_HINT_EXECUTABLE = "it must be an executable file for this machine, with its permission bits set"
_HINT_SHORTER = "each argument and variable may have 128 KiB, all together a quarter of the stack's limit"

_HINTS = {
    errno.EMFILE: "raise the limit of open files: `ulimit -n 1024`",
    errno.EFBIG: "raise the limit of the size of files: `ulimit -f unlimited`",
    errno.EPERM: "run as root, or see docs/rootless.md; `containerizer doctor` says what the host lacks",
    errno.ENOSYS: "this needs Linux 5.12 or newer; see `containerizer doctor`",
    errno.ENODEV: "the kernel lacks this filesystem; see `containerizer doctor`",
}


# System calls whose name says no more than the stage and the errno's text.
_OF_FILES = ("openat", "openat2", "chdir", "mkdirat", "write", "symlinkat", "unlinkat", "ioctl")

_NO_MORE_NAMESPACES = "the kernel makes no more namespaces"
_HINT_NAMESPACES = (
    "those of processes and of users nest 32 deep, the host's included;"
    " and the sysctls user.max_*_namespaces limit how many there are"
)


def explain_call(stage: str, call: str, on: object, number: int) -> LaunchFailed:
    """The error of a system call of the child that has failed on the object `on`."""
    better = on.reason(number) if isinstance(on, Explained) else None
    reason = better or os.strerror(number)
    return explain(Failed(stage, "" if better else call, str(on), number, reason))


def explain(failed: Failed) -> LaunchFailed:
    """The error with its sentence, and a hint where there is something to do."""
    if failed.stage == EXECUTE and failed.errno == errno.ENOENT:
        return CommandNotFound(_cannot_execute(failed), hint="check the command and the image's PATH")
    if failed.stage == EXECUTE:
        hint = _HINT_SHORTER if failed.errno == errno.E2BIG else _HINT_EXECUTABLE
        return CommandNotExecutable(_cannot_execute(failed), hint=hint)
    operation = "" if failed.operation in _OF_FILES and failed.object else failed.operation
    where = " ".join(part for part in (operation, failed.object) if part)
    causes = [f"cannot {failed.stage}", where, _reason(failed)]
    return LaunchFailed(": ".join(cause for cause in causes if cause), hint=_hint(failed))


def _hint(failed: Failed) -> str | None:
    if _lacks_namespaces(failed):
        return _HINT_NAMESPACES
    return _HINT_TO_CLAMP if failed.stage in _ATTRIBUTES else _HINTS.get(failed.errno)


def _cannot_execute(failed: Failed) -> str:
    return f"cannot execute {failed.object!r}: {_reason(failed)}"


def _lacks_namespaces(failed: Failed) -> bool:
    """So clone(2) and unshare(2) put it: no space left on device."""
    return failed.operation in ("clone3", "unshare") and failed.errno == errno.ENOSPC


def _reason(failed: Failed) -> str:
    """As a part of a sentence: the C library begins its texts with a capital letter."""
    if _lacks_namespaces(failed):
        return _NO_MORE_NAMESPACES
    return failed.reason[:1].lower() + failed.reason[1:] if failed.errno else failed.reason
