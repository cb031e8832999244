"""The fork server: a small single-threaded process that starts supervisors.

It is executed once, so what a launcher has in memory is never copied, and its threads are in nobody's
way. It holds no container's fate: it may be killed and started again at any time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable

from launcher import protocol
from launcher.supervision import Starter


def main(make_starter: Callable[[], Starter]) -> None:
    """Entry: argv[1] is the number of the inherited channel to the launcher."""
    os.setsid()
    if sys.platform == "linux":
        from launcher.kernel import process

        process.set_name("ctz:forkserver")
    starter = make_starter()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors that end are collected by the kernel
    requests = socket.socket(fileno=int(sys.argv[1]))
    requests.set_inheritable(False)
    gc.collect()
    gc.freeze()
    gc.disable()  # or the collector would touch, and so copy, pages in every supervisor that is forked
    _serve(requests, starter)


def _serve(requests: socket.socket, starter: Starter) -> None:
    """Start a supervisor for each request, until the launcher has gone."""
    while True:
        try:
            body, (channel, *descriptors) = protocol.receive_unread(requests)
        except protocol.PeerGone:
            return
        try:
            starter.start(channel, body, descriptors)
        except OSError as error:
            _tell(channel, error)
        for descriptor in (channel, *descriptors):
            os.close(descriptor)


def _tell(channel: int, error: OSError) -> None:
    with socket.socket(fileno=os.dup(channel)) as launcher, contextlib.suppress(protocol.PeerGone):
        protocol.send(launcher, protocol.Failed.from_error("fork the supervisor", error))
