"""Turn a `Failed` record of a supervisor or child into the error that callers see."""

from __future__ import annotations

import errno

from launcher.errors import CommandNotExecutable, CommandNotFound, LaunchFailed
from launcher.protocol import Failed

_EXECUTE = "execute the command"  # the stage's name in launcher.child

_HINTS = {
    errno.EPERM: "run as root, and see what the host lacks with `containerizer doctor`",
    errno.ENOSYS: "this needs Linux 5.12 or newer; see `containerizer doctor`",
    errno.ENODEV: "the kernel lacks this filesystem; see `containerizer doctor`",
}


def explain(failed: Failed) -> LaunchFailed:
    """The error with its sentence, and a hint where there is something to do."""
    if failed.stage == _EXECUTE and failed.errno == errno.ENOENT:
        return CommandNotFound(
            f"cannot execute {failed.object!r}: {_reason(failed)}",
            hint="check the command and the image's PATH",
        )
    if failed.stage == _EXECUTE:
        return CommandNotExecutable(
            f"cannot execute {failed.object!r}: {_reason(failed)}",
            hint="it must be an executable file for this machine, with its permission bits set",
        )
    where = " ".join(part for part in (failed.operation, failed.object) if part)
    return LaunchFailed(
        f"cannot {failed.stage}: {where + ': ' if where else ''}{_reason(failed)}",
        hint=_HINTS.get(failed.errno),
    )


def _reason(failed: Failed) -> str:
    return failed.reason[:1].lower() + failed.reason[1:]
