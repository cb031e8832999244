"""What is in a volume when the task starts: what the image has in its place, and whose it is.

Both need the image's files, where the task's user is named, too; so it is the launcher that does it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from launcher.copy_tree import copy_tree
from launcher.detached import Map, maps_of
from launcher.kernel.safe_path import open_beneath
from launcher.launch_info import LaunchInfo, Mount
from launcher.remove_tree import remove_tree
from launcher.user import User

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_BEGUN, _DONE = b"begun", b"done"
_MAX_DEPTH = 256  # levels, as launcher.copy_tree has it


def make(mount: Mount, root: int, info: LaunchInfo, user: User) -> None:
    """`root`: the image's top directory. Raises OSError."""
    if mount.populate and mount.once:
        with _once(mount.once, mount.source) as done:
            if not done:
                _populate(mount, root)
    elif mount.populate:
        _populate(mount, root)
    if mount.chown:
        _give(mount, info, user)


@contextlib.contextmanager
def _once(path: str, directory: str) -> Iterator[bool]:
    """Whether it was done before; it counts as done when the context ends well. Others wait meanwhile.

    What somebody has put into the directory stays as it is; what was copied by one who was killed does not.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        said = os.read(descriptor, len(_BEGUN))
        if said == _BEGUN:
            _empty(directory)
        done = said == _DONE or bool(os.listdir(directory))
        if not done:
            os.pwrite(descriptor, _BEGUN, 0)
        yield done
        if said != _DONE:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _DONE, 0)
    finally:
        os.close(descriptor)


def _empty(directory: str) -> None:
    for name in os.listdir(directory):
        remove_tree(os.path.join(directory, name))


def _populate(mount: Mount, root: int) -> None:
    """Copy what the image has at a volume's place into the fresh volume."""
    try:
        source = open_beneath(root, mount.target, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        target = os.open(mount.source, _DIRECTORY)
        try:
            copy_tree(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


# Owners ---------------------------------------------------------------------------------------------


def _give(mount: Mount, info: LaunchInfo, user: User) -> None:
    """No link is followed, and no other filesystem entered: who writes there may do so meanwhile."""
    shown = maps_of(mount, info) or ((), ())
    own = info.uid_map or (), info.gid_map or ()
    uid, gid = (
        _on_disk(number, outside, by)
        for number, outside, by in zip((user.uid, user.gid), own, shown, strict=True)
    )
    top = os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
    try:
        found = open_beneath(top, mount.part, os.O_PATH) if mount.part else os.dup(top)
        try:
            _give_tree(found, uid, gid, os.fstat(found).st_dev, 0)
        finally:
            os.close(found)
    finally:
        os.close(top)


def _on_disk(number: int, own: Map, shown: Map) -> int:
    """The container's id, as the host has it, and as files have it that are shown with others."""
    outside = _mapped(number, [(part.inside, part.outside, part.count) for part in own])
    return _mapped(outside, [(part.outside, part.inside, part.count) for part in shown])


def _mapped(number: int, ranges: list[tuple[int, int, int]]) -> int:
    for first, other, count in ranges:
        if first <= number < first + count:
            return other + number - first
    if ranges:
        raise OSError(errno.EINVAL, "the task's user is none of those that it maps", str(number))
    return number


def _give_tree(found: int, uid: int, gid: int, device: int, depth: int) -> None:
    """`found` is O_PATH, which fchownat(2) takes with AT_EMPTY_PATH only; so by its name in /proc."""
    if depth > _MAX_DEPTH:
        raise OSError(errno.ELOOP, f"directories nested deeper than {_MAX_DEPTH} levels")
    status = os.fstat(found)
    if status.st_dev != device:
        return
    if (status.st_uid, status.st_gid) != (uid, gid) and not stat.S_ISLNK(status.st_mode):
        os.chown(f"/proc/self/fd/{found}", uid, gid)
    if not stat.S_ISDIR(status.st_mode):
        return
    inside = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(inside):
            _give_entry(inside, name, uid, gid, device, depth + 1)
    finally:
        os.close(inside)


def _give_entry(directory: int, name: str, uid: int, gid: int, device: int, depth: int) -> None:
    try:
        entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:  # removed just now
        return
    try:
        if stat.S_ISLNK(os.fstat(entry).st_mode):
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
        else:
            _give_tree(entry, uid, gid, device, depth)
    finally:
        os.close(entry)
