"""Somebody who answers for seccomp filters: a socket, and a thread that decides about system calls.

As seccomp_unotify(2) has it; what is received is the container process state of the OCI runtime
specification, with the filter's descriptor.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif: id, pid, flags, and struct seccomp_data
_RESPONSE = struct.Struct("=QqiI")  # struct seccomp_notif_resp: id, val, error, flags
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE


def _request(number: int, size: int) -> int:
    """_IOWR('!', number, …) of linux/seccomp.h."""
    return 3 << 30 | size << 16 | ord("!") << 8 | number


_RECEIVE, _SEND = _request(0, _NOTIFICATION.size), _request(1, _RESPONSE.size)


@dataclass(frozen=True)
class Asked:
    """A call that somebody has made."""

    pid: int
    number: int
    arguments: tuple[int, ...]

    def text(self, argument: int) -> bytes:
        """The string that an argument is the address of."""
        with open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            memory.seek(self.arguments[argument])
            return memory.read(256).split(b"\0")[0]


@dataclass(frozen=True)
class Answer:
    """What the call is to return, or its errno; or that the kernel is to go on with it."""

    value: int = 0
    errno: int = 0
    goes_on: bool = False


class Handler:
    """Serves one socket until it is closed. Answers as `decide` says; None: never."""

    def __init__(self, path: str, decide: Callable[[Asked], Answer] | None) -> None:
        self.path = path
        self.states: list[dict[str, Any]] = []  # that were received
        self.asked: list[Asked] = []
        self._decide = decide
        self._filters: list[int] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Handler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave everybody who is asked without an answer: their calls fail with ENOSYS."""
        if self._thread.is_alive():
            os.close(self._woken)
            self._thread.join()
            os.close(self._wake)
            self._listener.close()
            os.unlink(self.path)
            for descriptor in self._filters:
                os.close(descriptor)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._listener, select.POLLIN)
        while True:
            for descriptor, events in poll.poll():
                if descriptor == self._wake:
                    return
                if descriptor == self._listener.fileno():
                    self._take()
                    if self._decide is not None:
                        poll.register(self._filters[-1], select.POLLIN)
                elif events & select.POLLIN:
                    self._answer(descriptor)
                else:  # nobody has this filter any more
                    poll.unregister(descriptor)

    def _take(self) -> None:
        """One state a connection, up to its end."""
        connection, _ = self._listener.accept()
        with connection:
            size = socket.CMSG_SPACE(4)
            received, ancillary, _, _ = connection.recvmsg(1 << 16, size, socket.MSG_CMSG_CLOEXEC)
            while more := connection.recv(1 << 16):
                received += more
        ((_, _, data),) = ancillary
        self._filters += array.array("i", data)
        self.states.append(json.loads(received))

    def _answer(self, descriptor: int) -> None:
        assert self._decide is not None
        notification = bytearray(_NOTIFICATION.size)
        with contextlib.suppress(FileNotFoundError):  # who has asked is gone
            fcntl.ioctl(descriptor, _RECEIVE, notification)
            identity, pid, _, number, _, _, *arguments = _NOTIFICATION.unpack(notification)
            asked = Asked(pid, number, tuple(arguments))
            self.asked.append(asked)
            answer = self._decide(asked)
            flags = CONTINUE if answer.goes_on else 0
            fcntl.ioctl(descriptor, _SEND, _RESPONSE.pack(identity, answer.value, -answer.errno, flags))
