"""Which TCP ports a container listens on: proc_pid_net(5), and who has the sockets open."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_LISTEN = "0A"
_LOOPBACK = ("0100007F", "00000000000000000000000001000000")  # 127.0.0.1 and ::1, as the kernel writes them


def ports(pid: int) -> set[int]:
    """Of the container whose first process this is; of those of its own network, all but on loopback."""
    try:
        own = os.stat(f"/proc/{pid}/ns/net").st_ino
        sockets = list(_listening(pid))
        if own != os.stat("/proc/self/ns/net").st_ino:
            return {port for address, port, _ in sockets if address not in _LOOPBACK}
        held = _held(pid) if sockets else set()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return set()
    return {port for _, port, inode in sockets if inode in held}


def _listening(pid: int) -> Iterator[tuple[str, int, str]]:
    """Address, port and inode of each socket that listens in the network of the process."""
    for name in ("tcp", "tcp6"):
        with (
            contextlib.suppress(FileNotFoundError),
            open(f"/proc/{pid}/net/{name}", encoding="ascii") as file,
        ):
            for line in file.read().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTEN:
                    address, _, port = words[1].partition(":")
                    yield address, int(port, 16), words[9]


def _held(pid: int) -> set[str]:
    """Inodes of the sockets that a process of the container has open."""
    held = set()
    for member in _members(pid):
        directory = f"/proc/{member}/fd"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(directory):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    target = os.readlink(f"{directory}/{name}")
                    if target.startswith("socket:["):
                        held.add(target[len("socket:[") : -1])
    return held


def _members(pid: int) -> Iterator[int]:
    """All in its PID namespace, whoever their parents are; in the host's, it and its descendants."""
    own = os.stat(f"/proc/{pid}/ns/pid").st_ino
    if own == os.stat("/proc/self/ns/pid").st_ino:
        yield from _descendants(pid)
        return
    for name in os.listdir("/proc"):
        if name.isdecimal():
            # Those that we may not look into are none of ours.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if os.stat(f"/proc/{name}/ns/pid").st_ino == own:
                    yield int(name)


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                children = file.read().split()
            for child in children:
                yield from _descendants(int(child))
