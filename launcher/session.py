"""A session's processes: all by which POSIX keeps a task and its descendants together, setsid(2).

What starts a session of its own escapes: a daemon does. Where there is a /proc of processes, every
process group of the session is found, elsewhere only the task's own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

_PROC = "/proc"
_PATIENCE = 5.0  # seconds for what was killed to end
_PAUSE = 0.002  # seconds between two looks: a process that is no child of ours tells nothing


def kill(session: int) -> None:
    """Kill every process of the session, and wait until none is left but for zombies."""
    deadline = time.monotonic() + _PATIENCE
    _signal_group(session)
    while (members := _members(session)) and time.monotonic() < deadline:
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)


def _signal_group(group: int) -> None:
    # EPERM: nobody in it may be signalled; a zombie alone is such a group on some systems.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(group, signal.SIGKILL)  # it may not be a leader yet
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _members(session: int) -> set[int]:
    try:
        pids = [int(name) for name in os.listdir(_PROC) if name.isdigit()]
    except FileNotFoundError:
        return set()
    return {pid for pid in pids if _session_of(pid) == session and not _is_zombie(pid)}


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _is_zombie(pid: int) -> bool:
    """Dead, and only waiting for its parent. False where the system does not say."""
    try:
        with open(f"{_PROC}/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except OSError:
        return False
