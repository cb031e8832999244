"""What a process can do that runs in some container, whoever has started it, as the host sees it.

Its filter of system calls is read with ptrace(2), PTRACE_SECCOMP_GET_FILTER, and run for every call with
arguments that are zero.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isolators.linux.seccomp_filter import ABIS
from isolators.linux.syscalls import numbers
from launcher.kernel.capabilities import NAMES
from tests.support import bpf

_ALLOW, _LOG = 0x7FFF0000, 0x7FFC0000  # SECCOMP_RET_* of linux/seccomp.h, both let the call through
_ENOSYS = 0x00050000 | errno.ENOSYS
_DETACH, _SEIZE, _INTERRUPT, _GET_FILTER = 17, 0x4206, 0x4207, 0x420C  # linux/ptrace.h
_WALL = 0x40000000  # of waitpid(2): a task of any kind
_SETS = {
    "effective": "CapEff",
    "permitted": "CapPrm",
    "bounding": "CapBnd",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.restype = ctypes.c_long
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def look(pid: int) -> dict[str, Any]:
    """All of it, as JSON has it."""
    status = _status(pid)
    mounts = _mounts(pid)
    root = Path(f"/proc/{pid}/root")
    return {
        "capabilities": {name: _names(int(status[key], 16)) for name, key in _SETS.items()},
        "no_new_privileges": status["NoNewPrivs"] == "1",
        "seccomp_mode": int(status["Seccomp"]),
        "calls": calls(pid),
        "masked": sorted(path for path, (kind, _) in mounts.items() if _is_masked(root, path, kind)),
        "read_only": sorted(path for path, (kind, ro) in mounts.items() if ro and kind in ("proc", "sysfs")),
        "writable": {top: sorted(writable(root, top)) for top in ("proc", "sys")},
        "devices": sorted(devices(root)),
        "namespaces": sorted(_own_namespaces(pid)),
        "uid_map": Path(f"/proc/{pid}/uid_map").read_text().split(),
    }


def calls(pid: int) -> dict[str, dict[str, list[str]]]:
    """ABI of this machine → the calls that no filter stops, and those that it has not heard of (ENOSYS)."""
    filters = read_filters(pid)
    return {abi: _calls(filters, abi, number) for abi, number in ABIS.get(os.uname().machine, ())}


def _calls(filters: list[bytes], abi: str, architecture: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"allowed": [], "unknown": []}
    for name, number in sorted(numbers(abi).items()):
        answers = {bpf.run(each, architecture, number) for each in filters}
        if answers <= {_ALLOW, _LOG}:
            found["allowed"].append(name)
        elif _ENOSYS in answers:
            found["unknown"].append(name)
    return found


def read_filters(pid: int) -> list[bytes]:
    """The programs, as struct sock_filter. Raises OSError where the kernel does not tell."""
    with _stopped(pid):
        found = []
        while True:
            ctypes.set_errno(0)
            length = _ptrace(_GET_FILTER, pid, len(found), None)
            if length < 0 and ctypes.get_errno() in (2, 22):  # ENOENT: no further one; EINVAL: none at all
                return found
            if length < 0:
                raise OSError(ctypes.get_errno(), "PTRACE_SECCOMP_GET_FILTER")
            program = ctypes.create_string_buffer(length * 8)
            _ptrace(_GET_FILTER, pid, len(found), ctypes.addressof(program))
            found.append(program.raw)


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    for request in (_SEIZE, _INTERRUPT):
        if _ptrace(request, pid, None, None) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace of {pid}")
    os.waitpid(pid, _WALL)
    try:
        yield
    finally:
        _ptrace(_DETACH, pid, None, None)
        os.kill(pid, signal.SIGCONT)


def writable(root: Path, top: str) -> Iterator[str]:
    """The files below that its root could open to write, but for those that are a process'."""
    for directory, names, files in os.walk(root / top):
        if Path(directory) == root / "proc":
            names[:] = [name for name in names if not name.isdigit() and "self" not in name]
        for path in (Path(directory, name) for name in files):
            if _may_be_written(path) and os.access(path, os.W_OK):
                yield f"/{path.relative_to(root)}"


def devices(root: Path) -> Iterator[str]:
    for directory, _, files in os.walk(root / "dev"):
        for path in (Path(directory, name) for name in files):
            if _is_device(path):
                yield f"/{path.relative_to(root)}"


def _may_be_written(path: Path) -> bool:
    """By its mode, which root need not heed; but where nobody may write, there is nothing to write to."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o222)


def _is_device(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _names(bits: int) -> list[str]:
    return [name for number, name in enumerate(NAMES) if bits >> number & 1]


def _mounts(pid: int) -> dict[str, tuple[str, bool]]:
    """Mount point → filesystem type, and whether it is read-only; the last one on each counts."""
    found = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        found[fields[4]] = (after.split()[0], "ro" in fields[5].split(","))
    return found


def _is_masked(root: Path, path: str, kind: str) -> bool:
    """Something empty in place of the kernel's: a tmpfs, or a device."""
    below = path.startswith(("/proc/", "/sys/")) and not path.startswith("/sys/fs/cgroup")
    return below and kind not in ("proc", "sysfs", "mqueue") and (kind != "tmpfs" or _is_empty(root, path))


def _is_empty(root: Path, path: str) -> bool:
    place = root / path[1:]
    return not place.is_dir() or not os.listdir(place)


def _own_namespaces(pid: int) -> Iterator[str]:
    for kind in os.listdir("/proc/self/ns"):
        own, host = (os.readlink(f"/proc/{who}/ns/{kind}") for who in (pid, "self"))
        if own != host and not kind.endswith("_for_children"):
            yield kind
