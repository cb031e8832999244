"""The fork server: a small single-threaded process from which supervisors are forked.

It is executed once, with everything imported before the first fork, so a supervisor costs only the
pages it writes to. It holds no container's fate: it may be killed and started again at any time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

import launcher.io.served  # noqa: F401 - before the first fork, or each supervisor loads its own
from launcher import protocol
from launcher.fork import fork_supervisor


def serve(requests: socket.socket, supervise: Callable[[socket.socket], NoReturn]) -> None:
    """Fork a supervisor, a process that runs `supervise`, for each request, until the launcher has gone."""
    os.setsid()
    if sys.platform == "linux":
        from launcher.kernel import prctl

        prctl.set_name("ctz:forkserver")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors that end are collected by the kernel
    gc.collect()
    gc.freeze()  # or the collector would touch, and so copy, each page in every supervisor
    while True:
        try:
            _, (descriptor,) = protocol.receive(requests, protocol.Fork)
        except protocol.PeerGone:
            return
        with socket.socket(fileno=descriptor) as channel:
            try:
                fork_supervisor(supervise, channel)
            except OSError as error:
                with contextlib.suppress(protocol.PeerGone):  # nobody waits for it any more
                    protocol.send(channel, protocol.Failed.from_error("fork the supervisor", error))


def main(supervise: Callable[[socket.socket], NoReturn]) -> None:
    """Entry: argv[1] is the number of the inherited channel to the launcher."""
    serve(socket.socket(fileno=int(sys.argv[1])), supervise)
