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

import launcher.io.served  # noqa: F401 - before the first fork, or each supervisor loads its own
from launcher import protocol
from launcher.supervision import Main, Module


def main(supervisors: Module) -> None:
    """Entry: argv[1] is the number of the inherited channel to the launcher."""
    os.setsid()
    if sys.platform == "linux":
        from launcher.kernel import prctl

        prctl.set_name("ctz:forkserver")
    supervise = supervisors.prepare(settled=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors that end are collected by the kernel
    gc.collect()
    gc.freeze()
    gc.disable()  # or the collector would touch, and so copy, pages in every supervisor
    _serve(socket.socket(fileno=int(sys.argv[1])), supervise)


def _serve(requests: socket.socket, supervise: Main) -> None:
    """Fork a supervisor for each request, until the launcher has gone. It is the one who reads it."""
    while True:
        try:
            body, (channel, *descriptors) = protocol.receive_unread(requests)
        except protocol.PeerGone:
            return
        try:
            if os.fork() == 0:
                supervise(channel, body, descriptors)
        except OSError as error:
            _tell(channel, error)
        for descriptor in (channel, *descriptors):
            os.close(descriptor)


def _tell(channel: int, error: OSError) -> None:
    with socket.socket(fileno=os.dup(channel)) as launcher, contextlib.suppress(protocol.PeerGone):
        protocol.send(launcher, protocol.Failed.from_error("fork the supervisor", error))
