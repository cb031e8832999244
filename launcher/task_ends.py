"""The ends of a task's stdio: those that become the task's, and those that a relay serves."""

from __future__ import annotations

import _thread
import contextlib
import os
import socket
import struct
from collections.abc import Sequence

from launcher import namespaces
from launcher.data import Data
from launcher.kernel import mounts
from launcher.launch_info import LaunchInfo
from launcher.stdio import Inherit, Pipes, Stdio

_NULL = os.makedev(1, 3)  # Documentation/admin-guide/devices.txt
_PATIENCE = struct.pack("@ll", 10, 0)  # seconds that a supervisor waits for its relay in the end


class Opened:
    """The descriptors of a launch, which are closed once it is on its way."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack

    def open(self, path: str, flags: int) -> int:
        return self.own(os.open(path, flags | os.O_CLOEXEC))

    def own(self, descriptor: int) -> int:
        self.stack.callback(os.close, descriptor)
        return descriptor


class Ends(Data):
    """Descriptors."""

    stdio: Sequence[int]  # the task's stdin, stdout and stderr; of a terminal, anything
    link: int = -1  # the supervisor's end of the link to the relay
    relayed: Sequence[int] = ()  # the relay's end of the link, and of the pipes: launcher.io.served
    kept: Sequence[int] = ()  # those of the relay's that the supervisor has as well


class NullDevice:
    """/dev/null by way of a mount that is read-only: root in the container must not change its mode.

    The mount is made once: to take one down has to wait until no processor may look at it any more.
    """

    def __init__(self) -> None:
        self._tree = -1
        self._lock = _thread.allocate_lock()

    def open(self, opened: Opened) -> int:
        """Open it for one launch. Raises OSError."""
        with self._lock:
            if self._tree < 0:
                self._tree = mounts.clone_tree(os.devnull, ("ro",))
        return opened.open(f"/proc/self/fd/{self._tree}", os.O_RDWR)

    def close(self) -> None:
        """Idempotent; it may be opened again."""
        with self._lock:
            if self._tree >= 0:
                os.close(self._tree)
                self._tree = -1


def make(stdio: Stdio, info: LaunchInfo, opened: Opened, relayed: Opened, device: NullDevice) -> Ends:
    """`relayed` is to own the relay's end of the link. Raises OSError."""
    contained = info.rootfs is not None or "mnt" in namespaces.joined(info)
    if isinstance(stdio, Inherit):
        return Ends(_contained(stdio.descriptors, opened, device) if contained else stdio.descriptors)
    null = device.open(opened) if contained else opened.open(os.devnull, os.O_RDWR)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
    links = opened.own(theirs.detach()), relayed.own(ours.detach())
    if not isinstance(stdio, Pipes):
        return Ends((null, null, null), links[0], links[1:])
    output, errors = _pipe(opened, relayed), _pipe(opened, relayed)
    kept = output[0], errors[0]
    if not stdio.stdin:
        return Ends((null, output[1], errors[1]), links[0], (links[1], *kept), kept)
    typed = _pipe(relayed, relayed)
    # Whose writing end the relay alone has: that it is closed means something to the task.
    return Ends((typed[0], output[1], errors[1]), links[0], (links[1], *kept, typed[1]), kept)


def _pipe(opened: Opened, relayed: Opened) -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    return relayed.own(reader), opened.own(writer)


def _is_null(descriptor: int) -> bool:
    return os.fstat(descriptor).st_rdev == _NULL


def _contained(descriptors: Sequence[int], opened: Opened, device: NullDevice) -> tuple[int, ...]:
    """The same, with the device in the place of the host's /dev/null."""
    hosts = [_is_null(descriptor) for descriptor in descriptors]
    null = device.open(opened) if any(hosts) else -1
    return tuple(null if is_null else fd for is_null, fd in zip(hosts, descriptors, strict=True))
