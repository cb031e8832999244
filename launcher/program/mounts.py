"""Mounts in a launch program: detached, with their flags, and then put on a descriptor.

The counterpart of launcher/kernel/mounts.py, which makes the same calls at once.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence

from launcher.kernel import mounts
from launcher.kernel.libc import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE
from launcher.kernel.safe_path import (
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)
from launcher.program.assembler import Argument, Label, Program, Slot

_OPEN_HOW = struct.Struct("=QQQ")  # flags, mode, resolve
_MOUNT_ATTR = struct.Struct("=QQQQ")  # set, clear, propagation, user namespace

_O_PATH = os.O_PATH | os.O_CLOEXEC


def new_filesystem(
    program: Program,
    fstype: str,
    source: str,
    flags: Iterable[str],
    options: Iterable[tuple[str, str]],
    *,
    on: object,
    tolerate: Sequence[int] = (),
    otherwise: Label | None = None,
) -> Slot:
    """A mount of a new filesystem; `on` is what the error names."""
    context = program.call(
        "fsopen",
        *(fstype.encode(), mounts.FSOPEN_CLOEXEC),
        on=on,
        tolerate=tolerate,
        otherwise=otherwise,
    )
    if source:
        _configure(program, context, "source", source, on)
    for key, value in options:
        _configure(program, context, key, mounts.escaped(fstype, key, value), on)
    create = (context, mounts.FSCONFIG_CMD_CREATE, 0, 0, 0)
    program.call("fsconfig", *create, on=on, tolerate=tolerate, otherwise=otherwise)
    attributes = mounts.attribute_bits(flags)
    return program.call(
        "fsmount", context, mounts.FSMOUNT_CLOEXEC, attributes, on=on, tolerate=tolerate, otherwise=otherwise
    )


def clone_tree(
    program: Program,
    source: Slot | int | str,
    flags: Iterable[str] = (),
    *,
    recursive: bool = False,
    on: object,
    store: int = 0,
    tolerate: Sequence[int] = (),
    otherwise: Label | None = None,
) -> Slot:
    """A copy of the mount at `source`, a path of the host or a descriptor, with the flags added."""
    recurse = AT_RECURSIVE if recursive else 0
    directory, path = (AT_FDCWD, os.fsencode(source)) if isinstance(source, str) else (source, b"")
    how = mounts.OPEN_TREE_CLONE | mounts.OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recurse
    tree = program.call(
        "open_tree", directory, path, how, on=on, store=store, tolerate=tolerate, otherwise=otherwise
    )
    attributes = mounts.attribute_bits(flags)
    if attributes:
        set_attributes(program, tree, attributes, recursive=recursive, on=on)
    return tree


def set_attributes(
    program: Program, mount: Slot | int, attributes: int, *, recursive: bool = False, on: object
) -> None:
    """Add MOUNT_ATTR_* to the mount whose root is the descriptor."""
    cleared = mounts.ATIME if attributes & mounts.ATIME else 0
    _setattr(program, mount, b"", recursive, (attributes, cleared, 0, 0), on)


def map_owners(program: Program, mount: Slot, user_namespace: Argument, on: object) -> None:
    """Let the mount show the owners that the user namespace maps."""
    assert isinstance(user_namespace, int)
    attr = program.constant(_MOUNT_ATTR.pack(mounts.IDMAP, 0, 0, user_namespace))
    program.call("mount_setattr", mount, b"", AT_EMPTY_PATH, attr, _MOUNT_ATTR.size, on=on)


def make_all_private(program: Program) -> None:
    """Stop every mount of this namespace from sending or receiving mounts."""
    _setattr(program, AT_FDCWD, b"/", True, (0, 0, mounts.MS_PRIVATE, 0), "/")


def attach(program: Program, mount: Slot | int, target: Slot | int, on: object) -> None:
    """Put a detached mount on the file or directory `target`."""
    flags = mounts.MOVE_MOUNT_F_EMPTY_PATH | mounts.MOVE_MOUNT_T_EMPTY_PATH
    program.call("move_mount", mount, b"", target, b"", flags, on=on)


def open_beneath(
    program: Program,
    root: Slot | int,
    path: str,
    flags: int = _O_PATH,
    *,
    follow_symlinks: bool = True,
    leave_mount: bool = True,
    on: object = None,
    store: int = 0,
    then: Label | None = None,
    tolerate: Sequence[int] = (),
    otherwise: Label | None = None,
) -> Slot:
    """Open `path` as if `root` were "/": launcher/kernel/safe_path.py. With O_PATH, close-on-exec.

    Without `leave_mount` it must be in the mount of the root itself. `on` is what the error names.
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (0 if follow_symlinks else RESOLVE_NO_SYMLINKS)
    resolve |= 0 if leave_mount else RESOLVE_NO_XDEV
    how = program.constant(_OPEN_HOW.pack(flags, 0, resolve))
    return program.call(
        "openat2",
        *(root, os.fsencode(path), how, _OPEN_HOW.size),
        on=path if on is None else on,
        store=store,
        then=then,
        tolerate=tolerate,
        otherwise=otherwise,
    )


def _configure(program: Program, context: Slot, key: str, value: str, on: object) -> None:
    if value:
        arguments: tuple[bytes | int, ...] = (mounts.FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0)
    else:
        arguments = (mounts.FSCONFIG_SET_FLAG, key.encode(), 0, 0)
    program.call("fsconfig", context, *arguments, on=on)


def _setattr(
    program: Program,
    mount: Slot | int,
    path: bytes,
    recursive: bool,
    attr: tuple[int, int, int, int],
    on: object,
) -> None:
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    address = program.constant(_MOUNT_ATTR.pack(*attr))
    program.call("mount_setattr", mount, path, flags, address, _MOUNT_ATTR.size, on=on)
