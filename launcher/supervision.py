"""The frame of a supervisor's process, whichever launcher it is of."""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from launcher import protocol

Descriptors = Sequence[int]

Main = Callable[[int, bytes, Descriptors], NoReturn]
"""What a forked process runs to be a supervisor: on a channel, for the body of a Launch, with descriptors."""


class Supervisor(Protocol):
    """The life of one container, seen from its parent."""

    launcher: Any  # the channel, wherever it is by now: a socket

    def run(self) -> None: ...


class Module(Protocol):
    """A module of supervisors."""

    def prepare(self, *, settled: bool) -> Main:
        """Make what all supervisors of this process will share; `settled`: this process is a fork server."""


def supervise(channel: _socket.socket, make: Callable[[], Supervisor]) -> NoReturn:
    """Be a supervisor, just forked, talking on `channel`. Never returns."""
    code = 1
    try:
        _run(channel, make)
        code = 0
    except protocol.PeerGone:
        pass  # nobody to tell, and no child yet
    except BaseException:
        # The launcher's stderr: a defect of ours must not be silent. By number, since what the launcher
        # has as sys.stderr may have another, which is something else here.
        import traceback  # which no supervisor needs but one that fails

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _run(launcher: _socket.socket, make: Callable[[], Supervisor]) -> None:
    try:
        supervisor = make()
        launcher = supervisor.launcher
        supervisor.run()
    except protocol.PeerGone:
        raise
    except BaseException as error:
        protocol.send(launcher, protocol.Failed.from_error("supervise the task", error))
        raise
