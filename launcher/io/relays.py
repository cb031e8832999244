"""The launcher's side of the relays: finds one with room, and executes it where there is none.

<directory>/0.sock, 1.sock …   a relay listens at each
<directory>/0/, 1/ …           what it would leave to the next one: launcher.io.adoption
<directory>/lock               held to connect, to make a relay, and by one that goes
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from launcher import attach_protocol, protocol
from launcher.errors import LaunchFailed
from launcher.failure import explain
from launcher.kernel import process

# It is nobody's child, so its parent goes at once. Isolated and without site, as the fork server.
_BOOTSTRAP = """import os, sys
os.fork() and os._exit(0)
os.setsid()
sys.path.insert(0, sys.argv[1])
from launcher.io import relay
relay.main()"""
_ENVIRONMENT = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
CAPACITY = 32  # tasks
_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
_TRIES = 100  # to have one answer
_IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Request:
    """What was asked of a relay."""

    def __init__(self, relays: Relays, request: protocol.Serve, descriptors: Sequence[int]) -> None:
        self._relays = relays
        self._request = request
        self._descriptors = descriptors
        self._numbers = relays.numbers()
        self._ask()

    def await_answer(self) -> None:
        """Raises LaunchFailed. Until then the descriptors must stay open."""
        while True:
            answer = self._answer()
            if isinstance(answer, protocol.Failed):
                raise explain(answer)
            if isinstance(answer, protocol.Serving):
                return
            self._ask()

    def _ask(self) -> None:
        self._number = next(self._numbers)
        self._connection = self._relays.connect(self._number)
        with contextlib.suppress(protocol.PeerGone):
            protocol.send(self._connection, self._request, self._descriptors)

    def _answer(self) -> object:
        try:
            expected = protocol.Serving, protocol.Full, protocol.Failed
            answer = protocol.receive(self._connection, *expected)[0]
        except BaseException as error:
            self._connection.close()
            if isinstance(error, protocol.PeerGone):
                raise LaunchFailed("cannot serve the task's stdio: the relay was killed") from None
            raise
        self._relays.give_back(self._number, self._connection, full=isinstance(answer, protocol.Full))
        return answer


class Relays:
    """The relays of a directory. Those that were used stay, until `close`: connections to them are kept,
    each for one request at a time.
    """

    def __init__(self, directory: str, capacity: int = CAPACITY) -> None:
        """`capacity`: tasks that one of them serves. Raises OSError if the directory cannot be made."""
        self._directory = directory
        self._capacity = capacity
        self._idle: dict[int, list[socket.socket]] = {}
        self._roomy = 0  # the number of one that had room of late
        self._closed = False
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def serve(self, request: protocol.Serve, descriptors: Sequence[int]) -> Request:
        """Ask for it. Raises OSError."""
        return Request(self, request, descriptors)

    def numbers(self) -> Iterator[int]:
        """Whom to ask, one after the other."""
        first = self._roomy
        return itertools.chain((first,), (number for number in itertools.count() if number != first))

    def connect(self, number: int) -> socket.socket:
        """A connection to one of them, which nobody else uses until it is given back. Raises OSError."""
        idle = self._idle.setdefault(number, [])
        while idle:
            connection = idle.pop()
            if not _has_ended(connection):
                return connection
            connection.close()
        with self._locked():
            return self._connected(number)

    def give_back(self, number: int, connection: socket.socket, *, full: bool) -> None:
        """What was asked there is answered."""
        if not full:
            self._roomy = number
        if self._closed:
            connection.close()
        else:
            self._idle[number].append(connection)

    def revive(self, *, wait: bool = False) -> None:
        """Have the tasks of relays that were killed served again, and `wait` for it. Raises OSError."""
        for name in os.listdir(self._directory):
            left = name.isdecimal() and os.listdir(self._path(name))
            # One that is dying just now still takes connections, and answers none.
            for _ in range(_TRIES if left else 0):
                if self._is_there(name, wait=wait):
                    break

    def _is_there(self, name: str, *, wait: bool) -> bool:
        """Have one be there; and unless we `wait` it is believed to answer."""
        with self._locked():
            connection = self._connected(int(name))
        with connection, contextlib.suppress(protocol.PeerGone):
            if wait:
                protocol.send(connection, protocol.Ping())
                protocol.receive(connection, protocol.Serving)
            return True
        return False

    def close(self) -> None:
        self._closed = True
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        file = os.open(self._path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _connected(self, number: int) -> socket.socket:
        path = self._path(f"{number}.sock")
        connection = attach_protocol.new_socket()
        try:
            try:
                attach_protocol.at_path(path, connection.connect)
            except (FileNotFoundError, ConnectionRefusedError):
                self._execute(path)
                attach_protocol.at_path(path, connection.connect)
        except BaseException:
            connection.close()
            raise
        return connection

    def _execute(self, path: str) -> None:
        """It listens at once, before its process has begun."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with attach_protocol.new_socket() as listener:
            attach_protocol.at_path(path, listener.bind)
            listener.listen(socket.SOMAXCONN)
            place = max(listener.fileno(), 2) + 1
            actions: list[Any] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)]
            actions.append((os.POSIX_SPAWN_DUP2, 0, 1))
            actions.append((os.POSIX_SPAWN_OPEN, 2, self._path("errors"), append, 0o600))
            actions.append((os.POSIX_SPAWN_DUP2, listener.fileno(), place))
            argv = [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _IMPORT_ROOT]
            argv += [str(place), path, self._path("lock"), str(self._capacity)]
            child = os.posix_spawn(sys.executable, argv, _ENVIRONMENT, file_actions=actions)
        process.collect(child)


def _has_ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, _PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
