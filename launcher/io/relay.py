"""A relay: a process that serves the stdio of tasks (launcher/io/served.py), many of them by one loop.

A process for each task would cost the host a megabyte a container, nearly all of it an interpreter that
waits. One for all would have one task's flood of output, or a disk that hangs, in everybody's way, and
use one processor; so a relay takes no more than some tens, and the next tasks go to another one.

It is executed by the first launcher that needs it (launcher/io/relays.py), and belongs to none: it
stays while a task is served, or a launcher is connected.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from launcher import protocol
from launcher.data import Data
from launcher.io.adoption import Notes
from launcher.io.loop import IN, Loop
from launcher.io.tended import Tended
from launcher.kernel import process


def main() -> None:
    """Entry: argv names the listening socket, by its number and its path, the lock of all relays, and
    how many tasks are enough.
    """
    number, path, lock, capacity = sys.argv[-4:]
    os.chdir("/")
    os.closerange(3, int(number))  # what the launcher had open by accident
    os.closerange(int(number) + 1, os.sysconf("SC_OPEN_MAX"))
    process.set_name("ctz:relay")
    for ignored in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    Relay(socket.socket(fileno=int(number)), path, lock, int(capacity)).run()


class Relay:
    """Serves until nobody needs it."""

    def __init__(self, listener: socket.socket, path: str, lock: str, capacity: int) -> None:
        """Raises OSError."""
        self._listener = listener
        self._path = path
        self._lock = lock
        self._capacity = capacity
        self._notes = Notes(os.path.splitext(path)[0])
        self._loop = Loop()
        self._served: set[Tended] = set()
        self._launchers: set[socket.socket] = set()
        listener.setblocking(False)
        self._loop.watch(listener.fileno(), IN, self._accept)

    def run(self) -> None:
        self._adopt()
        self._loop.turn()  # whoever has executed us comes first
        while self._served or self._launchers or not self._is_over():
            self._loop.turn()

    def _adopt(self) -> None:
        """What a relay has left that listened here before, and was killed."""
        for note in tuple(self._notes.all()):
            try:
                tended = Tended(note, self._loop, self._notes, self._served.discard)
                if tended.adopt():
                    self._served.add(tended)
            except Exception as error:  # or it would be every next relay's end
                sys.__excepthook__(type(error), error, error.__traceback__)
                self._notes.remove(note)

    def _is_over(self) -> bool:
        """Whether nobody has come meanwhile. Launchers connect while they hold the lock."""
        file = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._accept()
            if self._launchers:
                return False
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            self._notes.clear()
            return True
        finally:
            os.close(file)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                launcher, _ = self._listener.accept()
                self._launchers.add(launcher)
                self._loop.watch(launcher.fileno(), IN, lambda launcher=launcher: self._hear(launcher))  # type: ignore[misc]

    def _hear(self, launcher: socket.socket) -> None:
        try:
            request: Any
            request, descriptors = protocol.receive(launcher, protocol.Serve, protocol.Ping)
        except protocol.PeerGone:
            self._loop.forget(launcher.fileno())
            self._launchers.discard(launcher)
            launcher.close()
            return
        answer = self._answer(request, descriptors, lambda: self._send(launcher, protocol.Serving()))
        if answer:
            self._send(launcher, answer)

    def _send(self, launcher: socket.socket, message: Data) -> None:
        if launcher in self._launchers:
            with contextlib.suppress(protocol.PeerGone):
                protocol.send(launcher, message)

    def _answer(
        self,
        request: protocol.Serve | protocol.Ping,
        descriptors: Sequence[int],
        serving: Callable[[], None],
    ) -> Data | None:
        """None: `serving` will be called, when the next relay would know of the task."""
        if isinstance(request, protocol.Ping):
            return protocol.Serving()
        if len(self._served) >= self._capacity:
            _close(descriptors)
            return protocol.Full()
        # Told of what kind it is, or that takes three system calls.
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, descriptors[0])
        try:
            self._serve(request, link, descriptors[1:], serving)
        except OSError as error:
            link.close()
            _close(descriptors[1:])
            return protocol.Failed.from_error("serve the task's stdio", error)
        return None

    def _serve(
        self,
        request: protocol.Serve,
        link: socket.socket,
        ends: Sequence[int],
        serving: Callable[[], None],
    ) -> None:
        tended = Tended(request, self._loop, self._notes, self._served.discard, serving)
        tended.serve(link, ends)
        self._served.add(tended)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
