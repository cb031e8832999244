"""Which disk a path is, or lies on, as the kernel's block controllers name it: "254:0".

They know whole disks only (blkcg_conf_open_bdev, block/blk-cgroup.c), so a partition stands for its
disk. A loop device and a device-mapper volume are disks of their own.
"""

from __future__ import annotations

import contextlib
import os
import stat

from launcher.errors import InvalidRequest
from launcher.kernel import files

_MOUNTINFO_LIMIT = 1 << 26  # bytes; 100,000 mounts have some 16 MiB
_HINT = "name a block device, such as /dev/sda, or a path on a filesystem of one"


def disk_of(path: str, sysfs: str = "/sys") -> str:
    """The disk of a block device, or of the filesystem of any other path. Raises InvalidRequest."""
    number = _device_of(path)
    name = f"{os.major(number)}:{os.minor(number)}"
    directory = os.path.realpath(f"{sysfs}/dev/block/{name}")
    if os.path.exists(f"{directory}/partition"):  # it lies in its disk's directory: sysfs-block
        directory = os.path.dirname(directory)
    try:
        return files.read(f"{directory}/dev", 64).decode().strip()
    except OSError:
        raise InvalidRequest(f"this host has no disk {name}, which {path} names", hint=_HINT) from None


def _device_of(path: str) -> int:
    if not path.startswith("/"):
        raise InvalidRequest(f"the device {path!r} is not absolute", hint=_HINT)
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else str(error)
        raise InvalidRequest(f"unknown device {path!r}: {reason}", hint=_HINT) from None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISBLK(status.st_mode):
            return status.st_rdev
        if stat.S_ISCHR(status.st_mode):
            raise InvalidRequest(f"{path} is no block device", hint=_HINT)
        return status.st_dev if os.major(status.st_dev) else _source(descriptor, path)
    finally:
        os.close(descriptor)


def _source(descriptor: int, path: str) -> int:
    """What is mounted there, where files have an anonymous device number, as those of btrfs do."""
    found = files.read(f"/proc/self/fdinfo/{descriptor}", 4096).decode()
    mount = next(line.split()[1] for line in found.splitlines() if line.startswith("mnt_id:"))
    mounts = os.fsdecode(files.read("/proc/self/mountinfo", _MOUNTINFO_LIMIT)).splitlines()
    mounted = next(line for line in mounts if line.split(" ", 1)[0] == mount)
    fstype, source = mounted.partition(" - ")[2].split()[:2]
    with contextlib.suppress(OSError):  # it names no file
        status = os.stat(os.path.join("/", source))
        if stat.S_ISBLK(status.st_mode):
            return status.st_rdev
    raise InvalidRequest(f"{path} lies on {fstype}, which has no disk of its own", hint=_HINT)
