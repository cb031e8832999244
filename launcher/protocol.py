"""Messages between processes of ours: a launcher, its fork server, relays, supervisors of the posix launcher.

Each channel is a SOCK_SEQPACKET pair: a message is one packet of JSON, whole or not there at all.
Descriptors travel beside it (SCM_RIGHTS). The end of a channel is a message too: its peer is gone.

    launcher                   fork server           supervisor of the posix launcher     child
       |                            |
       |-- Launch + its channel --->|-- fork(2) -------->|          (within one process: just fork)
       |   + stdio                                       |-- fork(2) --------------------->|
       |<-- Cloned --------------------------------------|                                 | blocks
       |-- Release ------------------------------------->|-- Release --------------------->|
       |<-- Running -------------------------------------|<-- Executing, end (close on exec)|
       |-- Signal, any number of them ------------------>|                                 | execve(2)
       |                                                 |<== wait(2) =====================|
       |<-- Exited --------------------------------------|

Failed takes the place of Cloned or Running. A launcher that goes away before Release takes the child with
it; one that goes away later leaves the container running under its supervisor. The Signal SIGKILL may come
before Release as well: that launcher is there, and cleans up itself.

The supervisors of the Linux launcher speak no JSON: launcher/linux_task.py draws what passes there.
"""

from __future__ import annotations

import _socket
import array
import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from launcher.data import Data, field
from launcher.kernel import memfd

EXECUTE = "execute the command"  # the child's last stage
NO_INTERPRETER = "its interpreter or dynamic linker is missing in the image"  # the file itself is there

# json.loads, but for what surrounds it: it makes a regular expression match and a tuple.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]

# Of socket these are enumerations.
_SOL_SOCKET = int(socket.SOL_SOCKET)
_SCM_RIGHTS = int(socket.SCM_RIGHTS)
_MSG_NOSIGNAL = int(socket.MSG_NOSIGNAL)
_MSG_CMSG_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_MSG_CTRUNC = int(socket.MSG_CTRUNC)

_INLINE = 64 * 1024  # bytes of JSON in a packet; net.core.wmem_default is 208 KiB
_ANCILLARY = socket.CMSG_SPACE(253 * 4)  # SCM_MAX_FD descriptors, each an int: unix(7)


class PeerGone(ConnectionError):
    """The other end of the channel was closed, or its process is gone."""


class ProtocolError(Exception):
    """A message came that the reader did not expect: a defect of ours."""


class Start(Data):
    """To the fork server, with the supervisor's end of the channel, and its program: start a supervisor."""

    container_id: str


class Launch(Data):
    """To the fork server of the posix launcher, likewise, with the task's stdio: fork a supervisor."""

    container_id: str
    exit_status_path: str  # where the exit status is recorded
    reaper: Sequence[str]  # argv that cleans up when the launcher has gone; () for none
    caretaker: str | None  # the lock file of who cleans up instead
    launch_info: dict[str, Any]


class Serve(Data):
    """To a relay, with its end of the link and of the pipes: serve a task's stdio. See launcher.io.relay."""

    stdio: dict[str, Any]  # launcher.stdio
    service: dict[str, Any]
    exit_status_path: str  # of the record that the supervisor writes


class Ping(Data):
    """To a relay that has just been executed: say Serving when it has adopted what another has left."""


class Serving(Data):
    """Whoever comes is served from now on."""


class Full(Data):
    """It serves as many as it should; others must ask another relay."""


class Cloned(Data):
    """The child exists in its namespaces and blocks; its pidfd comes with this."""

    pid: int


class Release(Data):
    """The child may go on."""


class Executing(Data):
    """All that is left is execve(2): the channel ends without another word, or says what failed."""

    path: str
    clamped: Sequence[Mapping[str, Any]] = field(default_factory=list)  # process_attributes.Clamped


class Running(Data):
    """The task runs."""

    clamped: Sequence[Mapping[str, Any]] = field(default_factory=list)  # as in Executing


class Failed(Data):
    """A step failed. The reader makes the sentence."""

    stage: str  # the step, e.g. "mount the filesystems"
    operation: str  # the system call, where known
    object: str  # what it acted on
    errno: int  # 0 if it was no system call
    reason: str  # the errno's text, or a better one

    @classmethod
    def from_error(cls, stage: str, error: BaseException) -> Failed:
        """From what a step raised."""
        return cls(
            stage=stage,
            operation=getattr(error, "operation", ""),
            object=str(getattr(error, "filename", None) or ""),
            errno=getattr(error, "errno", None) or 0,
            reason=getattr(error, "strerror", None) or f"{type(error).__name__}: {error}",
        )


class Signal(Data):
    """Send a signal to the task. SIGKILL ends everything in the container."""

    number: int


class Exited(Data):
    """The task has ended, and so has every process it left; its status is recorded."""

    code: int | None
    signal: int | None


_MESSAGES = (
    *(Start, Launch, Serve, Ping, Serving, Full),
    *(Cloned, Release, Executing, Running, Failed, Signal, Exited),
)
_TYPES: dict[str, type[Data]] = {cls.__name__: cls for cls in _MESSAGES}
_M = TypeVar("_M")


def channel() -> tuple[socket.socket, socket.socket]:
    """A connected pair; both ends are close-on-exec."""
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return _above_stdio(first), _above_stdio(second)


def send(peer: _socket.socket, message: Data, descriptors: Sequence[int] = ()) -> None:
    """Send a message; the descriptors are duplicated. Raises PeerGone."""
    send_body(peer, encode(message), descriptors)


def send_body(peer: _socket.socket, body: bytes, descriptors: Sequence[int] = ()) -> None:
    """The same for a message that is encoded, by whatever rule; of any length. Raises PeerGone."""
    spilled = _spill(body) if len(body) > _INLINE else None
    try:
        # An empty packet with a descriptor stands for the contents of that descriptor.
        passed = array.array("i", [*descriptors, *([] if spilled is None else [spilled])])
        ancillary = [(_SOL_SOCKET, _SCM_RIGHTS, passed)] if passed else []
        # Not socket.send_fds, nor recv_fds below: they drop their flags (CPython issue 107898).
        peer.sendmsg([b"" if spilled is not None else body], ancillary, _MSG_NOSIGNAL)
    except ConnectionError as error:
        raise PeerGone("cannot send") from error
    finally:
        if spilled is not None:
            os.close(spilled)


def receive_unread(peer: _socket.socket) -> tuple[bytes, list[int]]:
    """As `receive`, but for `decode`. Raises PeerGone."""
    body, descriptors = _receive_packet(peer)
    if not body and not descriptors:
        raise PeerGone("the channel has ended")
    return body or _read_spilled(descriptors.pop()), descriptors


def receive(peer: _socket.socket, *expected: type[_M]) -> tuple[_M, list[int]]:
    """Wait for a message of an expected type, and its descriptors (close-on-exec, now the caller's).

    Raises PeerGone at the end of the channel, ProtocolError for anything else, and OSError (EMFILE)
    when this process has no room for the descriptors.
    """
    body, descriptors = receive_unread(peer)
    try:
        message = decode(body)
        if not isinstance(message, expected):
            names = " or ".join(cls.__name__ for cls in expected)
            raise ProtocolError(f"expected {names}, got {type(message).__name__}")
    except BaseException:
        _close(descriptors)
        raise
    return message, descriptors


def _above_stdio(end: socket.socket) -> socket.socket:
    """Where a program was started without them, 0 to 2 are free; but they become somebody's stdio."""
    if end.fileno() > 2:
        return end
    with end:
        return socket.socket(fileno=fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3))


def _receive_packet(peer: _socket.socket) -> tuple[bytes, list[int]]:
    while True:
        try:
            body, ancillary, flags, _ = peer.recvmsg(_INLINE, _ANCILLARY, _MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # Told once, and first, where the peer went without reading all of ours; what it said
            # before is still to come.
            continue
        descriptors = [fd for level, kind, data in ancillary for fd in memoryview(data).cast("i")]
        if flags & _MSG_CTRUNC:
            _close(descriptors)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "descriptors of a message")
        return body, descriptors


def receive_end(peer: socket.socket) -> Failed | None:
    """After Executing: None when the channel ends, for the task has been executed."""
    packet = peer.recv(_INLINE)
    if not packet:
        return None
    failed: Failed = decode(packet)
    return failed


def encode(message: Data) -> bytes:
    """The body of a message."""
    return json.dumps({"type": type(message).__name__, **message.__dict__}).encode()


def post(peer: _socket.socket, body: bytes, *descriptors: int) -> None:
    """Send the body of a message. Raises PeerGone."""
    packed = b"".join([descriptor.to_bytes(4, sys.byteorder) for descriptor in descriptors])
    ancillary = [(_SOL_SOCKET, _SCM_RIGHTS, packed)] if packed else []
    try:
        peer.sendmsg([body], ancillary, _MSG_NOSIGNAL)
    except ConnectionError as error:
        raise PeerGone("cannot send") from error


def decode(body: bytes) -> Any:
    """The message of a body. Raises ProtocolError."""
    try:
        text = body.decode()
        fields, end = _scan(text, 0)
        if end != len(text):
            raise ValueError("more than one value")
        return _TYPES[fields.pop("type")](**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, StopIteration) as error:
        raise ProtocolError(f"malformed message {body[:80]!r}") from error


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _spill(body: bytes) -> int:
    descriptor = memfd.create("message")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(body)
    return descriptor


def _read_spilled(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
