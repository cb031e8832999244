"""Whether a path of the host's answers: a look at a filesystem whose server is gone may never end.

And not even SIGKILL ends it where the kernel has a request under way: who waits for NFS can be killed, who
waits for FUSE cannot. So it is a process of its own that looks first, and that is left behind when it takes
too long: the launch fails, and whoever launched goes on. Where nothing of that kind is mounted nobody looks.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from isolators.volumes import is_below
from launcher.errors import ContainerizerError
from launcher.kernel import filesystems

_TIMEOUT = 10.0  # seconds; an automounter may have to mount it first
_BRIEF = 1.0  # for one that has not answered lately: many launches may want it
_LATELY = 60.0
_SHELL = "/bin/sh"
_LOOK = 'exec stat -f -- "$0"'  # statfs(2), which no cache answers

# Filesystems with a server; "autofs" becomes one when somebody looks.
_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "9p", "lustre", "beegfs", "gfs2", "autofs", "fuse"}
)

_silent: dict[str, float] = {}  # mount point → when it has not answered
_left: set[int] = set()  # pids of those that were left behind


class NotAnswering(ContainerizerError):
    """The server of a volume's filesystem gives no answer in time."""


def check(path: str) -> None:
    """Returns when the path has answered, if only that it is not there. Raises NotAnswering."""
    if "\0" in path:  # no path, as whoever looks will find
        return
    points = filesystems.mount_points()
    # No volume lies on the automount that systemd has in /proc.
    kinds = [kind for point, kind in points.items() if not is_below(point, "/proc")]
    if not any(kind in _REMOTE or kind.startswith("fuse.") for kind in kinds):
        return
    # By the names alone: with links it may be on another one, and we have less patience than we could.
    point = max((point for point in points if is_below(path, point)), key=len, default="")
    lately = time.monotonic() - _silent.get(point, -_LATELY) < _LATELY
    timeout = _BRIEF if lately else _TIMEOUT
    if _answers(path, timeout):
        _silent.pop(point, None)
        return
    _silent[point] = time.monotonic()
    raise NotAnswering(
        f"the filesystem of {path} has not answered in {timeout:g} seconds",
        hint="see whether its server runs; it can be tried again",
    )


def _answers(path: str, timeout: float) -> bool:
    _collect_left()
    streams = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3)]
    argv, variables = (_SHELL, "-c", _LOOK, path), {"PATH": os.defpath}
    pid = os.posix_spawn(_SHELL, argv, variables, file_actions=streams, setsid=True, setsigmask=())
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        _left.add(pid)  # only now: another thread may collect it, and its number be another one's
        _collect_left()


def _collect_left() -> None:
    """Those that have ended."""
    for pid in tuple(_left):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                continue
        _left.discard(pid)
