"""The attach socket: takes in clients, and passes the task's output on to those who want it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

from launcher import attach_protocol as wire
from launcher.exit_status import ExitStatus
from launcher.io.client import Client, Task
from launcher.io.loop import IN, Watching
from launcher.io.ring import Ring

_MODE = 0o600
_MOST_CLIENTS = 64
_PATIENCE = 1.0  # seconds that clients get to read the end of the output


class Server:
    """Listens from the beginning; serves from `serve` on."""

    def __init__(self, path: str, loop: Watching, ring: Ring) -> None:
        """Raises OSError if `path` cannot be made."""
        self._path = path
        self._loop = loop
        self._ring = ring
        self._clients: list[Client] = []
        self._ending = False  # and only waiting for clients to read
        self._listener = wire.new_socket()
        umask = os.umask(0o777 & ~_MODE)
        try:
            wire.at_path(path, self._listener.bind)
        except BaseException:
            self._listener.close()
            raise
        finally:
            os.umask(umask)
        self._listener.listen()
        self._listener.setblocking(False)

    def fileno(self) -> int:
        """Of the listening socket."""
        return self._listener.fileno()

    def serve(self, task: Task, flags: Callable[[], int]) -> None:
        """Take clients in; `flags` are those of their HELLO."""
        self._task = task
        self._flags = flags
        self._loop.watch(self._listener.fileno(), IN, self._accept)

    def advance(self) -> None:
        """The ring has got more output."""
        for client in self._clients:
            client.advance()
        self._forget_gone()

    def update(self) -> None:
        """The task has begun or ceased to read its input."""
        for client in self._clients:
            client.update()

    @property
    def holds_back(self) -> bool:
        """Whether a client that is paced is about to lose output."""
        return any(client.holds_back for client in self._clients)

    def stop_pacing(self) -> None:
        """Wait no longer for the clients that hold the task back."""
        for client in self._clients:
            if client.holds_back:
                client.stop_pacing()

    def end(self, status: ExitStatus | None, done: Callable[[], None]) -> None:
        """Let the clients read to the end, tell them of it, and close; then call `done`.

        None: there was no task, or nobody knows how it ended.
        """
        self._status = status
        self._done = done
        if status is None:
            self._close()
            return
        self._accept()  # who came while the task ended,
        self._loop.set_alarm(self, 0, self._let_read)  # and what they have said by now

    def _let_read(self) -> None:
        self._ending = True
        self._loop.set_alarm(self, _PATIENCE, self._close)
        self.close_if_read()

    def close_if_read(self) -> None:
        """To be called whenever a client has read something."""
        if self._ending and not any(client.lag for client in self._clients):
            self._close()

    def _close(self) -> None:
        self._ending = False
        self._loop.cancel_alarm(self)
        self._stop_listening()
        for client in self._clients:
            client.end(self._status)
        self._done()

    def abandon(self) -> None:
        """Close everything at once."""
        self._stop_listening()
        for client in self._clients:
            client.end(None)

    def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _accept(self) -> None:
        self._forget_gone()
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody is there any more, or we have no descriptor left
                return
            if len(self._clients) == _MOST_CLIENTS:
                connection.close()
                continue
            self._clients.append(self._greeted(connection))

    def _greeted(self, connection: socket.socket) -> Client:
        client = Client(connection, self._loop, self._ring, self._task)
        client.hello(self._flags())
        return client

    def _forget_gone(self) -> None:
        self._clients = [client for client in self._clients if not client.gone]
