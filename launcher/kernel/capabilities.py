"""Capabilities: their names, the host's bounding set, and the calls that set those of a process.

Sources: capabilities(7), capset(2), prctl(2), and linux/capability.h for the order of the names.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Iterable, Iterator

from launcher.errors import InvalidRequest
from launcher.kernel import files
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
_MOST = 64  # a set has as many bits
AMBIENT_RAISE = 2  # operations of PR_CAP_AMBIENT: prctl(2)
AMBIENT_CLEAR_ALL = 4


_HEADER = struct.Struct("=Ii")  # struct __user_cap_header_struct: version, pid (0: the caller)
_DATA = struct.Struct("=6I")  # two of __user_cap_data_struct: the three sets' low 32 bits, then the high

_capset = function("capset", ctypes.c_char_p, ctypes.c_char_p)
_capget = function("capget", ctypes.c_char_p, ctypes.c_void_p)


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


def is_effective(name: str) -> bool:
    """Whether this thread has the capability now, in its own user namespace. Raises SyscallError."""
    return name in get_capabilities()[0]


def others(names: Iterable[str]) -> Iterator[int]:
    """The numbers of all capabilities but these, also of those newer than this table."""
    kept = _bits(names)
    return (number for number in range(_known()) if not kept >> number & 1)


@functools.cache
def _known() -> int:
    """How many this kernel knows, which stays as it is while it runs."""
    try:
        return int(files.read("/proc/sys/kernel/cap_last_cap", 16)) + 1
    except OSError:  # of all that there may be, the child passes over those that there are not
        return _MOST


def packed(
    effective: Iterable[str], permitted: Iterable[str], inheritable: Iterable[str]
) -> tuple[bytes, bytes]:
    """The two arguments of capset(2)."""
    sets = _bits(effective), _bits(permitted), _bits(inheritable)
    low, high = (bits & 0xFFFFFFFF for bits in sets), (bits >> 32 for bits in sets)
    return _HEADER.pack(_VERSION_3, 0), _DATA.pack(*low, *high)


def set_capabilities(effective: Iterable[str], permitted: Iterable[str], inheritable: Iterable[str]) -> None:
    """Set the three sets of this thread. Raises SyscallError."""
    _capset("capset", *packed(effective, permitted, inheritable))


def get_capabilities() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The effective, permitted and inheritable set of this thread. Raises SyscallError."""
    data = ctypes.create_string_buffer(_DATA.size)
    _capget("capget", _HEADER.pack(_VERSION_3, 0), ctypes.addressof(data))
    words = _DATA.unpack(data.raw)
    effective, permitted, inheritable = (_names(words[n] | words[n + 3] << 32) for n in range(3))
    return effective, permitted, inheritable


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
