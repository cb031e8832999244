"""Who has a port of the host: for the message that it is taken. Looks at all processes, so only then."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

from isolators.network import holder
from launcher.kernel import files
from launcher.kernel.pidfd import descriptor_of

_LARGEST = 1 << 26  # bytes of proc_pid_net(5)'s tcp and the like
_STATE = {"tcp": "0A", "udp": "07"}  # TCP_LISTEN, and the TCP_CLOSE of a datagram socket that is bound


def of(protocol: str, port: int) -> str | None:
    """For people: a container and its state directory, or a process; None where that cannot be told."""
    own = os.stat("/proc/self/ns/net")
    listening = {f"socket:[{inode}]" for inode in _listening(protocol, port)}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            name = files.read(f"/proc/{pid}/comm", 64).decode(errors="replace").strip()
            if name == holder.NAME:
                if os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), own) and _holds(int(pid), protocol, port):
                    return _container(pid)
            elif listening and listening.intersection(_descriptors(pid).values()):
                return f"{name} (process {pid})"
    return None


def _container(pid: str) -> str:
    state, _, container = os.readlink(f"/proc/{pid}/cwd").partition("/containers/")
    return f"container {container.removesuffix(' (deleted)').replace('/containers/', '.')} of {state}"


def _holds(pid: int, protocol: str, port: int) -> bool:
    """By the holder's own sockets: those that are bound and do not listen are in no file of the kernel's."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    pidfd = os.pidfd_open(pid)
    try:
        for number, target in _descriptors(str(pid)).items():
            if target.startswith("socket:"):
                with socket.socket(fileno=descriptor_of(pidfd, number)) as held:
                    if held.type == kind and held.getsockname()[1] == port:
                        return True
    finally:
        os.close(pidfd)
    return False


def _listening(protocol: str, port: int) -> Iterator[str]:
    """Inodes of sockets."""
    for path in (f"/proc/self/net/{protocol}", f"/proc/self/net/{protocol}6"):
        with contextlib.suppress(OSError):
            for line in files.read(path, _LARGEST).decode().splitlines()[1:]:
                words = line.split()
                number = int(words[1].rpartition(":")[2], 16)
                if number == port and words[3] == _STATE.get(protocol):
                    yield words[9]


def _descriptors(pid: str) -> dict[int, str]:
    """Of a process, what each refers to."""
    directory = f"/proc/{pid}/fd"
    return {int(name): os.readlink(f"{directory}/{name}") for name in os.listdir(directory)}
