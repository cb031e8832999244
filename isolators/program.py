"""Programs of others that isolators call: plug-ins, and who keeps secrets.

Their input and outputs are files in memory of a fixed size: one that writes without end gets an error,
what it has left running holds nobody up, and one that hangs is killed with all in its session.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping, Sequence

from launcher.data import Data
from launcher.kernel import memfd, process

_LARGEST = 1 << 20  # bytes of what one writes, and of what it says besides
_TOLD = 400  # characters of what it says
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "KUBECONFIG")


class Ran(Data):
    """What has come of one."""

    output: bytes
    told: bytes  # on its standard error
    status: int | None  # its wait status; None: it was killed at the end of its time


def environment() -> dict[str, str]:
    """What of ours they get."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def run(
    program: str,
    argv: Sequence[str],
    variables: Mapping[str, str],
    given: bytes,
    timeout: float,
    room: int = _LARGEST,
) -> Ran:
    """Have it run to its end, for `timeout` seconds at most. Raises OSError if it cannot be executed."""
    own = [
        memfd.holding("plugin-input", given),
        memfd.with_room("plugin-output", room),
        memfd.with_room("plugin-messages", _LARGEST),
    ]
    try:
        above = max(*own, 2) + 1
        away = [(os.POSIX_SPAWN_DUP2, each, above + place) for place, each in enumerate(own)]
        home = [(os.POSIX_SPAWN_DUP2, above + place, place) for place in range(3)]
        closed = [(os.POSIX_SPAWN_CLOSE, above + place) for place in range(3)]
        pid = os.posix_spawn(
            program,
            list(argv),
            variables,
            file_actions=[*away, *home, *closed],
            setsid=True,
            setsigmask=(),
            setsigdef=[int(number) for number in signal.valid_signals()],
        )
        status = _end(pid, timeout)
        return Ran(memfd.written(own[1]), memfd.written(own[2]), status)
    finally:
        for each in own:
            os.close(each)


def _end(pid: int, timeout: float) -> int | None:
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = bool(poll.poll(timeout * 1000))
        if not ended:
            os.killpg(pid, signal.SIGKILL)
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        raise
    finally:
        os.close(pidfd)
        status = process.collect(pid)
    return status or 0 if ended else None


def how_it_ended(status: int) -> str:
    """Of one that has failed, for people."""
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)}"
    return f"failed with exit code {os.waitstatus_to_exitcode(status)}"


def short(text: bytes | str) -> str:
    """One line of what it has said."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    text = " ".join(text.split())
    return text if len(text) <= _TOLD else f"{text[: _TOLD // 2]} … {text[-_TOLD // 2 :]}"
