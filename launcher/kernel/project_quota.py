"""Project quotas: what the files of one project take on a filesystem, and how much they may.

A project is a number that files have and that directories hand on: FS_IOC_FSSETXATTR, linux/fs.h. XFS and
ext4 count for each. The generic commands of quotactl(2) serve both, by a descriptor (quotactl_fd, Linux
5.14) or else by the path of the device.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

from launcher.data import Data
from launcher.kernel.filesystems import mounted
from launcher.kernel.libc import SyscallError, function, syscall

_POWER = os.uname().machine.startswith("ppc")  # has another direction's bits
_GET, _SET = (0x401C581F, 0x801C5820) if _POWER else (0x801C581F, 0x401C5820)
_FSXATTR = struct.Struct("=IIIIi8x")  # flags, extent size, number of extents, project, CoW extent size
_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT

_NR_QUOTACTL_FD = 443
_PROJECTS = 2  # PRJQUOTA
_GET_QUOTA, _SET_QUOTA, _GET_STATE = 0x800007, 0x800008, 0x5805  # linux/quota.h, linux/dqblk_xfs.h
_LIMITS = 1 | 4  # QIF_BLIMITS, QIF_ILIMITS
_BLOCK = 1024  # bytes: the unit of limits; what is used is in bytes
_ACCOUNTED, _ENFORCED = 1 << 4, 1 << 5  # FS_QUOTA_PDQ_*
_DQBLK = struct.Struct(
    "=QQQQQQQQI4x"
)  # block limits (hard, soft), bytes, inode limits, inodes, times, what is valid
_QUOTA_STATE_SIZE = 80  # struct fs_quota_stat; it begins with a version and, at 2, the flags

_quotactl = function("quotactl", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)


class Quota(Data, kw_only=True):
    """Of one project on one filesystem."""

    used: int  # bytes
    inodes: int
    limit: int | None  # bytes; the hard one


def is_accounted(directory: int) -> bool:
    """Whether the filesystem of the open directory counts by project. Raises OSError."""
    return bool(_state(directory) & _ACCOUNTED)


def is_enforced(directory: int) -> bool:
    """Whether it keeps projects within their limits. Raises OSError."""
    return bool(_state(directory) & _ENFORCED)


def read(directory: int, project: int) -> Quota:
    """One that was never seen has nothing. Raises OSError."""
    buffer = ctypes.create_string_buffer(_DQBLK.size)
    try:
        _command(directory, _GET_QUOTA, project, buffer)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    hard, _, used, _, _, inodes, _, _, _ = _DQBLK.unpack(buffer.raw)
    return Quota(used=used, inodes=inodes, limit=hard * _BLOCK or None)


def limit(directory: int, project: int, size: int | None, inodes: int | None = None) -> None:
    """Let its files take so many bytes, in whole blocks, and be so many. None: no limit. Raises OSError."""
    blocks = 0 if size is None else -(-size // _BLOCK)
    packed = _DQBLK.pack(blocks, 0, 0, inodes or 0, 0, 0, 0, 0, _LIMITS)
    _command(directory, _SET_QUOTA, project, ctypes.create_string_buffer(packed, len(packed)))


def project_of(descriptor: int) -> int:
    """Of an open file. Raises OSError."""
    project: int = _FSXATTR.unpack(fcntl.ioctl(descriptor, _GET, bytes(_FSXATTR.size)))[3]
    return project


def assign(descriptor: int, project: int, *, inherit: bool) -> None:
    """Make an open file the project's; `inherit`: it is a directory, and what is made in it is too.

    Raises OSError.
    """
    flags, extent, extents, _, cow = _FSXATTR.unpack(fcntl.ioctl(descriptor, _GET, bytes(_FSXATTR.size)))
    flags = flags | _INHERIT if inherit else flags
    fcntl.ioctl(descriptor, _SET, _FSXATTR.pack(flags, extent, extents, project, cow))


def _state(directory: int) -> int:
    buffer = ctypes.create_string_buffer(_QUOTA_STATE_SIZE)
    try:
        _command(directory, _GET_STATE, 0, buffer)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ESRCH, errno.EINVAL, errno.ENOTBLK):  # no quotas there
            return 0
        raise
    flags: int = struct.unpack_from("=H", buffer, 2)[0]
    return flags


def _command(directory: int, command: int, project: int, buffer: ctypes.Array[ctypes.c_char]) -> None:
    of_projects = command << 8 | _PROJECTS
    try:
        arguments = map(ctypes.c_uint, (directory, of_projects, project))
        syscall("quotactl_fd", _NR_QUOTACTL_FD, f"project {project}", *arguments, ctypes.byref(buffer))
    except SyscallError as error:
        if error.errno != errno.ENOSYS or not (found := mounted(directory)):
            raise
        device = os.fsencode(found[1])
        _quotactl(
            f"project {project}", ctypes.c_int(of_projects).value, device, project, ctypes.byref(buffer)
        )
