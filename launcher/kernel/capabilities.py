"""Capabilities: their names, the host's bounding set, and the calls that set those of a process.

Sources: capabilities(7), capset(2), prctl(2), and linux/capability.h for the order of the names.
The functions below "For the child" run between clone and exec: they import nothing and compute
nothing but bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from launcher.errors import InvalidRequest
from launcher.kernel.libc import function

# A name's place is its number.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}

STATUS = "/proc/self/status"

_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4


class _Header(ctypes.Structure):
    """struct __user_cap_header_struct; pid 0 is the caller."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    """struct __user_cap_data_struct; two of them, the low 32 bits first."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_DataPair = _Data * 2
_capset = function("capset", ctypes.POINTER(_Header), ctypes.POINTER(_Data))
_capget = function("capget", ctypes.POINTER(_Header), ctypes.POINTER(_Data))
_prctl = function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)


def parse(name: str) -> str:
    """The kernel's spelling of a capability: case and "CAP_" do not matter. Raises InvalidRequest."""
    canonical = name.upper()
    canonical = canonical if canonical.startswith("CAP_") else f"CAP_{canonical}"
    if canonical in NUMBERS:
        return canonical
    import difflib  # for those who misspell only

    near = difflib.get_close_matches(canonical, NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else "see capabilities(7) for the names"
    raise InvalidRequest(f"unknown capability {name!r}", hint=hint)


def bounding_set(status: str = STATUS) -> tuple[str, ...]:
    """What this process, and so any that it starts, can ever have; in the order of the numbers."""
    return _names(_bounding_bits(status))


# For the child -----------------------------------------------------------------------------------


def apply_bounding(names: Iterable[str]) -> None:
    """Drop from the bounding set all but `names`, also those newer than this table.

    Needs CAP_SETPCAP, so it comes before `set_capabilities`. Raises SyscallError.
    """
    dropped = _bounding_bits(STATUS) & ~_bits(names)
    for number in range(64):
        if dropped >> number & 1:
            _prctl(f"PR_CAPBSET_DROP {number}", _PR_CAPBSET_DROP, number, 0, 0, 0)


def set_capabilities(effective: Iterable[str], permitted: Iterable[str], inheritable: Iterable[str]) -> None:
    """Set the three sets of this thread. Raises SyscallError."""
    sets = _bits(effective), _bits(permitted), _bits(inheritable)
    data = _DataPair(
        _Data(*(bits & 0xFFFFFFFF for bits in sets)),
        _Data(*(bits >> 32 for bits in sets)),
    )
    _capset("capset", ctypes.byref(_Header(_VERSION_3, 0)), data)


def get_capabilities() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The effective, permitted and inheritable set of this thread. Raises SyscallError."""
    data = _DataPair()
    _capget("capget", ctypes.byref(_Header(_VERSION_3, 0)), data)
    low, high = data
    return (
        _names(low.effective | high.effective << 32),
        _names(low.permitted | high.permitted << 32),
        _names(low.inheritable | high.inheritable << 32),
    )


def is_effective(name: str) -> bool:
    """Whether this thread has the capability now, in its own user namespace. Raises SyscallError."""
    return name in get_capabilities()[0]


def clear_ambient() -> None:
    """Empty the ambient set. Raises SyscallError."""
    _prctl("PR_CAP_AMBIENT_CLEAR_ALL", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def raise_ambient(names: Iterable[str]) -> None:
    """Add to the ambient set, which survives execve(2) as any user; each must be permitted and inheritable.

    Raises SyscallError.
    """
    for name in names:
        _prctl(name, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, NUMBERS[name], 0, 0)


def _bounding_bits(status: str) -> int:
    with open(status, "rb") as file:
        line = next(line for line in file if line.startswith(b"CapBnd:"))
    return int(line.split()[1], 16)


def _bits(names: Iterable[str]) -> int:
    bits = 0
    for name in names:
        bits |= 1 << NUMBERS[name]
    return bits


def _names(bits: int) -> tuple[str, ...]:
    return tuple(name for number, name in enumerate(NAMES) if bits >> number & 1)
