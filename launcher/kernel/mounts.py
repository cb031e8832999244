"""Mounts by descriptor: the mount API of Linux 5.12 (fsopen, open_tree, mount_setattr, move_mount).

A mount is made detached, gets its flags, and only then shows at its place, so the task never sees
a writable moment of a read-only mount. Targets are descriptors, so no path is resolved twice.
See mount_setattr(2), and Documentation/filesystems/mount_api.rst for the rest.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from launcher.kernel.libc import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    SyscallError,
    function,
    syscall,
)

# One number on every architecture.
_NR_OPEN_TREE = 428
_NR_MOVE_MOUNT = 429
_NR_FSOPEN = 430
_NR_FSCONFIG = 431
_NR_FSMOUNT = 432
_NR_MOUNT_SETATTR = 442

# linux/mount.h and linux/fs.h.
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
MNT_DETACH = 2
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20

# A mount's flag → MOUNT_ATTR_* to set. "relatime" is the kernel's default, 0.
ATTRIBUTES = {
    "ro": 0x01,
    "nosuid": 0x02,
    "nodev": 0x04,
    "noexec": 0x08,
    "relatime": 0x00,
    "noatime": 0x10,
    "strictatime": 0x20,
    "nodiratime": 0x80,
    "nosymfollow": 0x200000,
}

ATIME = 0x70  # MOUNT_ATTR__ATIME
IDMAP = 0x00100000  # MOUNT_ATTR_IDMAP


_umount2 = function("umount2", ctypes.c_char_p, ctypes.c_int)


class _MountAttr(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def new_filesystem(fstype: str, source: str, flags: Iterable[str], options: Iterable[tuple[str, str]]) -> int:
    """Make a mount of a new filesystem, attached nowhere. Returns its descriptor."""
    context = syscall("fsopen", _NR_FSOPEN, fstype, fstype.encode(), ctypes.c_uint(FSOPEN_CLOEXEC))
    try:
        if source:
            _configure(context, fstype, "source", source)
        for key, value in options:
            _configure(context, fstype, key, escaped(fstype, key, value))
        _fsconfig(context, fstype, FSCONFIG_CMD_CREATE, None, None)
        attributes = ctypes.c_uint(attribute_bits(flags))
        return syscall(
            "fsmount", _NR_FSMOUNT, fstype, ctypes.c_int(context), ctypes.c_uint(FSMOUNT_CLOEXEC), attributes
        )
    finally:
        os.close(context)


def escaped(fstype: str, key: str, value: str) -> str:
    """A filesystem's option as fsconfig(2) wants it."""
    if fstype == "overlay" and key in ("upperdir", "workdir"):
        return value.replace("\\", "\\\\")  # unescaped by the kernel, unlike "lowerdir+"
    return value


def clone_tree(
    source: int | str, flags: Iterable[str] = (), *, recursive: bool = False, name: str = ""
) -> int:
    """Copy the mount at `source` (a path of the host, or a descriptor). Returns its descriptor.

    The flags are added to those that the source has. `name` is what a descriptor is, for the error.
    """
    recurse = AT_RECURSIVE if recursive else 0
    directory, path = (source, "") if isinstance(source, int) else (AT_FDCWD, source)
    tree = syscall(
        "open_tree",
        _NR_OPEN_TREE,
        name or str(source),
        ctypes.c_int(directory),
        os.fsencode(path),
        ctypes.c_uint(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recurse),
    )
    attributes = attribute_bits(flags)
    if attributes:
        try:
            set_attributes(tree, attributes, recursive=recursive)
        except OSError:
            os.close(tree)
            raise
    return tree


def attach(mount: int, target: int, name: str) -> None:
    """Put a detached mount on the file or directory `target`; `name` is for the error."""
    syscall(
        "move_mount",
        _NR_MOVE_MOUNT,
        name,
        ctypes.c_int(mount),
        b"",
        ctypes.c_int(target),
        b"",
        ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
    )


def unmount(path: str) -> None:
    """Take the topmost mount at `path` away; who still uses files of it goes on with them."""
    _umount2(path, os.fsencode(path), MNT_DETACH)


def set_attributes(mount: int, attributes: int, *, recursive: bool = False) -> None:
    """Add MOUNT_ATTR_* to the mount whose root is the descriptor `mount`."""
    # The ways to keep access times exclude each other: to set one is to clear all first.
    cleared = ATIME if attributes & ATIME else 0
    attr = _MountAttr(attr_set=attributes, attr_clr=cleared)
    _mount_setattr(mount, "", AT_RECURSIVE if recursive else 0, attr)


def set_propagation(mount: int, propagation: int, *, recursive: bool = False) -> None:
    """Make the mount whose root is the descriptor private, or receive only: MS_*."""
    _mount_setattr(mount, "", AT_RECURSIVE if recursive else 0, _MountAttr(propagation=propagation))


def map_owners(mount: int, user_namespace: int, *, recursive: bool) -> None:
    """Let a detached mount show the owners that the user namespace maps."""
    attr = _MountAttr(attr_set=IDMAP, userns_fd=user_namespace)
    _mount_setattr(mount, "", AT_RECURSIVE if recursive else 0, attr)


def attribute_bits(flags: Iterable[str]) -> int:
    """MOUNT_ATTR_* of the flags, together."""
    bits = 0
    for flag in flags:
        bits |= ATTRIBUTES[flag]
    return bits


def _configure(context: int, fstype: str, key: str, value: str) -> None:
    if value:
        _fsconfig(context, fstype, FSCONFIG_SET_STRING, key, value)
    else:
        _fsconfig(context, fstype, FSCONFIG_SET_FLAG, key, None)


def _fsconfig(context: int, fstype: str, command: int, key: str | None, value: str | None) -> None:
    try:
        syscall(
            "fsconfig",
            _NR_FSCONFIG,
            f"{fstype} {key}={value}" if key else fstype,
            ctypes.c_int(context),
            ctypes.c_uint(command),
            key.encode() if key else None,
            os.fsencode(value) if value else None,
            ctypes.c_int(0),
        )
    except SyscallError as error:
        raise _explained(error, context) from None


def _explained(error: SyscallError, context: int) -> SyscallError:
    """Add what the filesystem logged to its context: "e overlay: no such directory …"."""
    try:
        log = os.read(context, 512).decode(errors="replace").strip()
    except OSError:
        return error  # no message: the errno is all there is
    error.filename = f"{error.filename}: {log}"
    return error


def _mount_setattr(directory: int, path: str, flags: int, attr: _MountAttr) -> None:
    syscall(
        "mount_setattr",
        _NR_MOUNT_SETATTR,
        path or f"descriptor {directory}",
        ctypes.c_int(directory),
        os.fsencode(path),
        ctypes.c_uint(flags | AT_EMPTY_PATH),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )
