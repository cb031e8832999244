"""Start the name server of a network, and wait for its end; for who has the network's lock.

It listens at once, before its process has begun: its sockets are made here. It holds a lock for as long as
it lives, which tells whether it does; and it ends with the network, or when the directory of names is gone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import sys
import time
from typing import Any

from isolators.network import detached
from isolators.network.bridge.place import Place
from isolators.network.bridge.settings import Settings
from isolators.network.plugin import PluginFailed

PORT = 53

# It is nobody's child, so its parent goes at once. Isolated and without site, as relays.
_BOOTSTRAP = """import os, sys
os.fork() and os._exit(0)
os.setsid()
sys.path.insert(0, sys.argv[1])
from isolators.network.dns import server
server.main()"""
_IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

_PATIENCE = 2.0  # seconds until one that does not end is killed
_BETWEEN = 0.002  # seconds


def ensure(place: Place, own: Settings) -> int | None:
    """Have it run; a process to be collected soon, if one was started. Raises OSError, PluginFailed."""
    lock = os.open(place.dns, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None  # it does
    else:
        return _start(place, own, lock)
    finally:
        os.close(lock)


def is_alive(place: Place) -> bool:
    """Whether it runs. Raises OSError."""
    try:
        lock = os.open(place.dns, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return detached.is_locked(lock)
    finally:
        os.close(lock)


def await_end(place: Place) -> None:
    """Wait until it has ended; killed, if need be. Raises OSError."""
    try:
        lock = os.open(place.dns, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        deadline = time.monotonic() + _PATIENCE
        while detached.is_locked(lock):
            if time.monotonic() > deadline:
                _kill(lock)
            time.sleep(_BETWEEN)
    finally:
        os.close(lock)
    os.unlink(place.dns)


def _kill(lock: int) -> None:
    """It has written its pid there, and has the lock: so it lives, and the pid is its."""
    with contextlib.suppress(ValueError, ProcessLookupError):
        os.kill(int(os.pread(lock, 16, 0)), signal.SIGKILL)


def _start(place: Place, own: Settings, lock: int) -> int:
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(each) for each in _listening(own)]
        passed = [lock, *(each.fileno() for each in listening)]
        first = max(*passed, 2) + 1
        actions: list[Any] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, each, first + place_) for place_, each in enumerate(passed)]
        argv = [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _IMPORT_ROOT]
        argv += [place.directory, json.dumps(own.to_json()), str(first), str(len(passed))]
        return os.posix_spawn(sys.executable, argv, {}, file_actions=actions)


def _listening(own: Settings) -> list[socket.socket]:
    """At the gateway's first address: by UDP, and by TCP for what is too long for that."""
    gateway = str(own.subnets[0].gateway)
    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    made: list[socket.socket] = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            each = socket.socket(family, kind)
            made.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((gateway, PORT))
        made[1].listen(64)
    except OSError as error:
        for each in made:
            each.close()
        if error.errno != errno.EADDRINUSE:
            raise
        hint = (
            f"end the name server of the host that listens at every address, or make {own.name} with --no-dns"
        )
        raise PluginFailed(f"{gateway} port {PORT} is taken", hint=hint) from None
    return made
