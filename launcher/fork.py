"""Fork a process that shares nothing of its parent's control flow: a supervisor."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn


def fork_supervisor(main: Callable[[socket.socket], NoReturn], channel: socket.socket) -> int:
    """Fork a process that runs `main(channel)`. Returns its pid. For a single-threaded process only."""
    # A Python signal handler that raises must not do so in a copy of the launcher.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            main(channel)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid
