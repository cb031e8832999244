"""What kind of filesystem a descriptor is on: statfs(2), which Python does not have."""

from __future__ import annotations

import ctypes
import os

from launcher.kernel.libc import function

# linux/magic.h: their files are not data but the kernel's state, and to write them is to command it.
_KERNELS_OWN = {
    *(0x9FA0, 0x62656572, 0x27E0EB, 0x63677270),  # proc, sysfs, cgroup, cgroup2
    *(0x64626720, 0x74726163, 0x73636673, 0xCAFE4A11),  # debugfs, tracefs, securityfs, bpf
    *(0x1CD1, 0x19800202, 0x6165676C, 0xDE5E81E4),  # devpts, mqueue, pstore, efivarfs
}
_STRUCT_STATFS = 256  # bytes at most; it begins with f_type

_fstatfs = function("fstatfs", ctypes.c_int, ctypes.c_void_p)


def is_the_kernels(descriptor: int) -> bool:
    """Whether the file is one of procfs, sysfs or the like. Raises SyscallError."""
    buffer = ctypes.create_string_buffer(_STRUCT_STATFS)
    _fstatfs(f"descriptor {descriptor}", descriptor, buffer)
    kind = ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
    return kind in _KERNELS_OWN


def mount_of(descriptor: int) -> int:
    """The id of the mount that the file was reached by: proc_pid_fdinfo(5)."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))


def mounted(descriptor: int) -> tuple[str, str] | None:
    """The type of the filesystem of an open file, and what was mounted: proc_pid_mountinfo(5)."""
    number = os.fstat(descriptor).st_dev
    wanted = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.split()[2] == wanted:
                fstype, source, _ = line.partition(" - ")[2].split(" ", 2)
                return fstype, source
    return None


def mount_points() -> dict[str, str]:
    """Mount point → type of what is on top there: by the kernel's list, since a look itself may never end."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, filesystem = line.partition(" - ")
            found[_unescaped(mount.split(" ", 5)[4])] = filesystem.partition(" ")[0]
    return found


def is_mount_point(path: str) -> bool:
    """Links on the way to it are followed, and what is mounted there is not asked."""
    directory, name = os.path.split(os.path.normpath(path))
    return os.path.join(os.path.realpath(directory), name) in mount_points()


def _unescaped(path: str) -> str:
    """Blanks, newlines and backslashes are written in octal digits: proc_pid_mountinfo(5)."""
    first, *others = path.split("\\")
    return first + "".join(chr(int(each[:3], 8)) + each[3:] for each in others)


def propagation(path: str) -> tuple[str, tuple[str, ...]]:
    """The mount point that the path is on, and of "shared", "master" what it is: mount_namespaces(7)."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        wanted = str(mount_of(descriptor))
    finally:
        os.close(descriptor)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            number, _, _, _, point, _, *rest = line.split()
            if number == wanted:
                tags = rest[: rest.index("-")]
                return point, tuple(tag.partition(":")[0] for tag in tags)
    return path, ()
