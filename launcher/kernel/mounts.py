"""Mounts by descriptor: the mount API of Linux 5.12 (fsopen, open_tree, mount_setattr, move_mount).

A mount is made detached, gets its flags, and only then shows at its place, so the task never sees
a writable moment of a read-only mount. Targets are descriptors, so no path is resolved twice.
See mount_setattr(2), and Documentation/filesystems/mount_api.rst for the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterable, Iterator

from launcher.kernel.libc import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    SyscallError,
    function,
    pivot_root_number,
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
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_MNT_DETACH = 2
_MS_PRIVATE = 1 << 18

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

_ATIME = 0x70  # MOUNT_ATTR__ATIME
_LONGEST_VALUE = 255  # bytes

_IDMAP = 0x00100000  # MOUNT_ATTR_IDMAP

_umount2 = function("umount2", ctypes.c_char_p, ctypes.c_int)
_mount = function("mount", *[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)


class _MountAttr(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def new_filesystem(fstype: str, source: str, flags: Iterable[str], options: Iterable[tuple[str, str]]) -> int:
    """Make a mount of a new filesystem, attached nowhere. Returns its descriptor."""
    if fstype == "overlay":
        with _shortened(options) as shortened:
            return _new_filesystem(fstype, source, flags, shortened)
    return _new_filesystem(fstype, source, flags, options)


def _new_filesystem(
    fstype: str, source: str, flags: Iterable[str], options: Iterable[tuple[str, str]]
) -> int:
    context = syscall("fsopen", _NR_FSOPEN, fstype, fstype.encode(), ctypes.c_uint(_FSOPEN_CLOEXEC))
    try:
        if source:
            _configure(context, fstype, "source", source)
        for key, value in options:
            if fstype == "overlay" and key in ("upperdir", "workdir"):
                value = value.replace("\\", "\\\\")  # unescaped by the kernel, unlike "lowerdir+"
            _configure(context, fstype, key, value)
        _fsconfig(context, fstype, _FSCONFIG_CMD_CREATE, None, None)
        attributes = ctypes.c_uint(_attributes(flags))
        return syscall(
            "fsmount", _NR_FSMOUNT, fstype, ctypes.c_int(context), ctypes.c_uint(_FSMOUNT_CLOEXEC), attributes
        )
    finally:
        os.close(context)


def mount_overlay_by_string(target: str, flags: Iterable[str], options: Iterable[tuple[str, str]]) -> None:
    """Mount an overlay by mount(2), for kernels before 6.8: they have no "lowerdir+", and take at most
    255 bytes a value from fsconfig. Here all options together have one page.
    """
    with _shortened(options) as shortened:
        lower = ":".join(_escape(value) for key, value in shortened if key == "lowerdir+")
        others = [
            f"{key}={_escape(value)}" if value else key for key, value in shortened if key != "lowerdir+"
        ]
        data = os.fsencode(",".join([f"lowerdir={lower}", *others]))
        _mount(target, b"overlay", os.fsencode(target), b"overlay", 0, data)
    mounted = os.open(target, os.O_PATH | os.O_CLOEXEC)
    try:
        set_attributes(mounted, _attributes(flags))  # mount(2) has no flag for some of them
    finally:
        os.close(mounted)


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
        ctypes.c_uint(_OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recurse),
    )
    attributes = _attributes(flags)
    if attributes:
        try:
            set_attributes(tree, attributes, recursive=recursive)
        except OSError:
            os.close(tree)
            raise
    return tree


def cover_idmapped(directory: str, user_namespace: int) -> None:
    """Cover the directory with a mount of itself whose owners are those that the namespace maps.

    What belongs to id 0 on disk then belongs to the namespace's root. Raises OSError; EINVAL where
    the filesystem has no idmapped mounts: see mount_setattr(2).
    """
    tree = clone_tree(directory)
    try:
        attr = _MountAttr(attr_set=_IDMAP, userns_fd=user_namespace)
        _mount_setattr(tree, "", 0, attr)
        target = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            attach(tree, target, directory)
        finally:
            os.close(target)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        lacks = (
            "idmapped mounts need Linux 5.19, and a filesystem that has them (ext4, xfs, btrfs; tmpfs: 6.3)"
        )
        raise OSError(error.errno, lacks, directory) from None
    finally:
        os.close(tree)


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
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH),
    )


def set_attributes(mount: int, attributes: int, *, recursive: bool = False) -> None:
    """Add MOUNT_ATTR_* to the mount whose root is the descriptor `mount`."""
    # The ways to keep access times exclude each other: to set one is to clear all first.
    cleared = _ATIME if attributes & _ATIME else 0
    attr = _MountAttr(attr_set=attributes, attr_clr=cleared)
    _mount_setattr(mount, "", AT_RECURSIVE if recursive else 0, attr)


def make_all_private() -> None:
    """Stop every mount of this namespace from sending or receiving mounts."""
    _mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, _MountAttr(propagation=_MS_PRIVATE))


def pivot_root(new_root: int) -> None:
    """Make the mount at descriptor `new_root` the root, and let go of the old one.

    pivot_root(".", ".") stacks the old root on the new one, so no directory for it is needed:
    pivot_root(2), NOTES.
    """
    os.fchdir(new_root)
    syscall("pivot_root", _PIVOT_ROOT, ".", b".", b".")
    _umount2("the old root", b".", _MNT_DETACH)
    os.chdir("/")


_PIVOT_ROOT = pivot_root_number()


def _attributes(flags: Iterable[str]) -> int:
    attributes = 0
    for flag in flags:
        attributes |= ATTRIBUTES[flag]
    return attributes


@contextlib.contextmanager
def _shortened(options: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """An overlay's options with its directories by descriptor where their paths are too long.

    Those of deeply nested containers are: fsconfig(2) takes 255 bytes a value, mount(2) a page in all.
    """
    with contextlib.ExitStack() as opened:
        shortened = []
        for key, value in options:
            if len(os.fsencode(value)) > _LONGEST_VALUE:
                directory = os.open(value, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.callback(os.close, directory)
                value = f"/proc/self/fd/{directory}"
            shortened.append((key, value))
        yield shortened


def _escape(path: str) -> str:
    """Overlayfs separates by ":" and ","; a backslash takes their meaning away."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _configure(context: int, fstype: str, key: str, value: str) -> None:
    if value:
        _fsconfig(context, fstype, _FSCONFIG_SET_STRING, key, value)
    else:
        _fsconfig(context, fstype, _FSCONFIG_SET_FLAG, key, None)


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
