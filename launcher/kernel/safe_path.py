"""openat2(2): open a path that somebody else wrote, without ever leaving a root directory.

Theory: names inside an image are untrusted, and so are the symbolic links on the way to them. The
kernel can resolve such a path as if the root directory were `/` (RESOLVE_IN_ROOT): absolute links
start there, `..` stops there. It does so in one call, so nothing can be swapped between a check
and a use. Everything else is then done on the descriptor, or on one name relative to it.
Linux 5.6 or newer.
"""

from __future__ import annotations

import ctypes
import errno
import os

# linux/openat2.h
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10

_NR_OPENAT2 = 437  # the same on every architecture: all calls since Linux 5.1 share their numbers
_ATTEMPTS = 128  # EAGAIN: the kernel saw a rename or mount race with a `..`; see openat2(2)


class _OpenHow(ctypes.Structure):
    """struct open_how."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (
    ctypes.c_long,  # number
    ctypes.c_int,  # dirfd
    ctypes.c_char_p,  # path
    ctypes.POINTER(_OpenHow),
    ctypes.c_size_t,  # sizeof(struct open_how)
)


def open_beneath(
    root_fd: int, path: str | bytes, flags: int, mode: int = 0, *, follow_symlinks: bool = True
) -> int:
    """Open `path` as if the directory `root_fd` were `/`; the descriptor is close-on-exec.

    `flags` and `mode` are those of open(2). Without `follow_symlinks` a symbolic link anywhere in
    the path is ELOOP; with it, links are followed inside the root only. Links of procfs that jump
    elsewhere are always ELOOP. Raises OSError with errno and the path.
    """
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise OSError(errno.EINVAL, "path contains a null byte", path)
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    if not follow_symlinks:
        resolve |= RESOLVE_NO_SYMLINKS
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=mode, resolve=resolve)
    for _ in range(_ATTEMPTS):
        fd: int = _syscall(_NR_OPENAT2, root_fd, encoded, how, ctypes.sizeof(how))
        if fd >= 0:
            return fd
        error = ctypes.get_errno()
        if error not in (errno.EINTR, errno.EAGAIN):
            break
    raise OSError(error, f"openat2: {os.strerror(error)}", path)


def make_directories(root_fd: int, path: str, mode: int) -> int:
    """Open the directory `path` as `open_beneath` does; what is missing of it is made, with this mode.

    A name that is a link leading nowhere is FileExistsError. Returns its O_PATH descriptor. Raises OSError.
    """
    names = [name for name in path.split("/") if name not in ("", ".")]
    at = os.dup(root_fd)
    for number, name in enumerate(names, 1):
        try:
            following = _step(root_fd, at, "/".join(names[:number]), name, mode)
        finally:
            os.close(at)
        at = following
    return at


def _step(root_fd: int, at: int, path: str, name: str, mode: int) -> int:
    """The directory `path` below `root_fd`, which is `name` in `at` if it has to be made."""
    directory = os.O_PATH | os.O_DIRECTORY
    try:
        return open_beneath(root_fd, path, directory)
    except FileNotFoundError:
        os.mkdir(name, dir_fd=at)
    made = open_beneath(at, name, os.O_RDONLY | os.O_DIRECTORY, follow_symlinks=False)
    os.fchmod(made, mode)
    return made
