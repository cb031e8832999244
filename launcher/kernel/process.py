"""What the kernel keeps of one process: its name, OOM score adjustment, start and end. See proc(5)."""

from __future__ import annotations

import functools
import os

from launcher.kernel import files

OOM_SCORE_ADJ = "/proc/self/oom_score_adj"
_COMM = "/proc/self/comm"
_NICEST = 19  # nice(2) takes no more
_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_IDLE, _IOPRIO_CLASS_SHIFT = 1, 3, 13  # linux/ioprio.h
_MAX_STAT = 4096  # bytes; it has a few hundred


def oom_score_adj() -> int:
    """The caller's. Raises OSError."""
    return int(files.read(OOM_SCORE_ADJ, 16))


def set_oom_score_adj(value: int) -> None:
    """The caller's. Raises OSError."""
    file = os.open(OOM_SCORE_ADJ, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, str(value).encode())
    finally:
        os.close(file)


def set_name(name: str) -> None:
    """What ps shows as the command's name: 15 bytes, the rest is cut. Raises OSError."""
    file = os.open(_COMM, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, os.fsencode(name))
    finally:
        os.close(file)


def be_idle() -> None:
    """Have the caller run, read and write when nobody else wants to, as far as a scheduler heeds that.

    Raises OSError.
    """
    from launcher.kernel.libc import syscall
    from launcher.program.numbers import NUMBERS

    os.nice(_NICEST)
    who, idle = (_IOPRIO_WHO_PROCESS, 0), _IOPRIO_CLASS_IDLE << _IOPRIO_CLASS_SHIFT
    syscall("ioprio_set", NUMBERS["ioprio_set"], "this process", *who, idle)


def is_rootless() -> bool:
    """Whether this process lacks root's privileges on the host: by its user, or its user namespace."""
    if os.geteuid() != 0:
        return True
    try:
        return files.read("/proc/self/uid_map", _MAX_STAT).split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return False


@functools.cache  # it is decided once for a user namespace
def keeps_groups() -> bool:
    """Whether setgroups(2) is denied here: who is in a group to be kept out stays in it, CVE-2014-8989."""
    try:
        return files.read("/proc/self/setgroups", 16).strip() == b"deny"
    except OSError:
        return False


def maps_group(gid: int) -> bool:
    """Whether this process' user namespace has the group. Raises OSError."""
    parts = [
        list(map(int, line.split())) for line in files.read("/proc/self/gid_map", _MAX_STAT).splitlines()
    ]
    return any(first <= gid < first + count for first, _, count in parts)


def collect(child: int) -> int | None:
    """Wait for the end of a child. Its wait status, or None where somebody else has collected it.

    That is a thread that waits for any child, or the kernel: whoever ignores SIGCHLD has none to
    collect, wait(2), and may have inherited that.
    """
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:
        return None


def stat(pid: int) -> list[str] | None:
    """The fields of proc_pid_stat(5) from the third on; None when the process has ended.

    A zombie has, whoever has yet to collect it.
    """
    try:
        text = files.read_at_once(f"/proc/{pid}/stat", _MAX_STAT)
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(b")")[2].decode().split()  # the name before it may hold anything
    return None if fields[0] in "ZX" else fields


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is gone."""
    fields = stat(pid)
    return None if fields is None else int(fields[19])
