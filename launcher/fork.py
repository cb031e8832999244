"""Fork a process that shares nothing of its parent's control flow: a supervisor."""

from __future__ import annotations

import os
import signal
import socket

from launcher.supervision import Descriptors, Main


def fork_supervisor(main: Main, channel: socket.socket, body: bytes, descriptors: Descriptors) -> int:
    """Fork a process that runs `main`. Returns its pid. For a single-threaded process only."""
    # A Python signal handler that raises must not do so in a copy of the launcher.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            main(channel.detach(), body, descriptors)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid
