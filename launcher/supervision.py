"""The frame of a supervisor's process, whichever launcher it is of."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from typing import NoReturn, Protocol

from launcher import protocol


class Supervisor(Protocol):
    """The life of one container, seen from its parent."""

    def run(self) -> None: ...


def supervise(
    channel: socket.socket,
    settle: Callable[[socket.socket], socket.socket],
    supervisor: Callable[[socket.socket], Supervisor],
) -> NoReturn:
    """Be a supervisor, just forked, talking on `channel`: settle, then run. Never returns."""
    code = 1
    try:
        _run(settle(channel), supervisor)
        code = 0
    except protocol.PeerGone:
        pass  # nobody to tell, and no child yet
    except BaseException:
        traceback.print_exc()  # stderr is the launcher's: a defect of ours must not be silent
    finally:
        os._exit(code)


def _run(launcher: socket.socket, supervisor: Callable[[socket.socket], Supervisor]) -> None:
    try:
        supervisor(launcher).run()
    except protocol.PeerGone:
        raise
    except BaseException as error:
        protocol.send(launcher, protocol.Failed.from_error("supervise the task", error))
        raise
