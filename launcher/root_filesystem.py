"""The child's part that makes the task's root filesystem from mounts given as data.

Everything below the root comes from an image and is not to be trusted: each path is resolved with
the root's descriptor as its "/", so that no link leads out of it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from launcher.copy_tree import copy_tree
from launcher.kernel import mounts
from launcher.kernel.safe_path import open_beneath
from launcher.launch_info import FileOperation, LaunchInfo, Mount
from launcher.user import User
from launcher.user import resolve_user as _resolve

_MAX_PASSWD = 4 * 1024 * 1024  # bytes; an image's file is read no further
_BINDS = ("bind", "rbind")
_HOST_MOUNTS = {"sysfs": "/sys", "mqueue": "/dev/mqueue"}  # where the host has them

# A new file, so that no link of the image is followed and no file of it is written to.
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def mount_root(info: LaunchInfo) -> int:
    """Mount what makes the root filesystem. Returns a descriptor of its top directory."""
    for mount in info.rootfs_mounts:
        _mount_on_host_path(mount)
    return os.open(info.rootfs or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def detach_root(info: LaunchInfo) -> int:
    """Mount the root filesystem that is mounted already on itself; as `mount_root`.

    In a user namespace the mounts that were there before are locked, and cannot become the root:
    mount_namespaces(7).
    """
    root = os.open(info.rootfs or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if info.rootfs is None:
        return root
    _attach(mounts.clone_tree(root, recursive=True, name=info.rootfs), root, info.rootfs)
    return os.open(info.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_sources(info: LaunchInfo) -> dict[str, int]:
    """Copies of the mounts that are bound below the root, detached, by their targets."""
    binds = (mount for mount in info.mounts if mount.fstype in _BINDS)
    return {mount.target: _new_mount(mount) for mount in binds}


def resolve_user(root: int, info: LaunchInfo) -> User:
    """The task's user, from the passwd and group files below `root`. Raises OSError."""
    return _resolve(info.user or "", _read(root, "/etc/passwd"), _read(root, "/etc/group"))


def fill(root: int, info: LaunchInfo, sources: Mapping[str, int]) -> None:
    """Make the mounts and files below `root`, then hide and protect what the task must not touch.

    `sources` are those of `open_sources`; they are closed.
    """
    for mount in info.mounts:
        _mount_beneath(root, mount, sources.get(mount.target))
    for operation in info.file_operations:
        _operate(root, operation)
    for path in info.readonly_paths:
        _protect(root, path)
    for path in info.masked_paths:
        _mask(root, path)
    if info.readonly_rootfs:
        mounts.set_attributes(root, mounts.ATTRIBUTES["ro"])


def _mount_on_host_path(mount: Mount) -> None:
    try:
        tree = _new_mount(mount)
    except OSError as error:
        if mount.fstype != "overlay" or error.errno != errno.EINVAL:
            raise
        mounts.mount_overlay_by_string(mount.target, mount.flags, mount.options)
        return
    target = os.open(mount.target, os.O_PATH | os.O_CLOEXEC)
    _attach(tree, target, mount.target)


def _mount_beneath(root: int, mount: Mount, source: int | None) -> None:
    tree = _new_mount(mount) if source is None else source
    try:
        directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        target = make_target(root, mount.target, directory=directory)
        if mount.fstype in ("proc", "sysfs"):
            # A link here would put /proc elsewhere, and what is masked in it not: CVE-2019-19921.
            os.close(open_beneath(root, mount.target, os.O_PATH, follow_symlinks=False))
        if mount.populate:
            # An image may lead its volume into what is mounted by now, /proc for one, by a link.
            if os.fstat(target).st_dev != os.fstat(root).st_dev:
                raise OSError(errno.EXDEV, "the volume would lie in another mount", mount.target)
            copy_tree(target, tree)
    except BaseException:
        os.close(tree)
        raise
    _attach(tree, target, mount.target)


def _new_mount(mount: Mount) -> int:
    if mount.fstype in _BINDS:
        return mounts.clone_tree(mount.source, mount.flags, recursive=mount.fstype == "rbind")
    try:
        return mounts.new_filesystem(mount.fstype, mount.source, mount.flags, mount.options)
    except OSError as error:
        # To root in a user namespace, what shows somebody else's network or IPC namespace is denied.
        if error.errno != errno.EPERM or mount.fstype not in _HOST_MOUNTS:
            raise
        return _show_the_hosts(mount)


def _show_the_hosts(mount: Mount) -> int:
    place = _HOST_MOUNTS[mount.fstype]
    if not os.path.isdir(place):
        return mounts.new_filesystem("tmpfs", "tmpfs", ("ro", *mount.flags), ())
    return mounts.clone_tree(place, mount.flags, recursive=True)


def _attach(tree: int, target: int, name: str) -> None:
    try:
        mounts.attach(tree, target, name)
    finally:
        os.close(target)
        os.close(tree)


def make_target(root: int, path: str, *, directory: bool) -> int:
    """Open `path` below `root` with O_PATH; what is missing is made, the last as directory or file."""
    target, missing = _deepest(root, path)
    for depth, name in enumerate(missing, 1):
        parent = target
        try:
            target = _make(parent, name, directory=directory or depth < len(missing))
        except FileExistsError as error:
            raise OSError(error.errno, "the image has a dangling symbolic link here", path) from None
        finally:
            os.close(parent)
    return target


def _deepest(root: int, path: str) -> tuple[int, list[str]]:
    """Open what is there of `path`; the names of what is not."""
    missing: list[str] = []
    while True:
        try:
            return open_beneath(root, path or "/", os.O_PATH), missing
        except FileNotFoundError:
            path, name = os.path.split(path.rstrip("/"))
            missing.insert(0, name)


def _make(parent: int, name: str, *, directory: bool) -> int:
    """Make a directory or an empty file, and open it with O_PATH."""
    if directory:
        os.mkdir(name, 0o755, dir_fd=parent)
    else:
        os.close(os.open(name, _CREATE, 0o644, dir_fd=parent))
    return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def _operate(root: int, operation: FileOperation) -> None:
    parent_path, name = os.path.split(operation.path)
    parent = make_target(root, parent_path, directory=True)
    try:
        # Removed first, so that a link of the image is replaced and not followed.
        _unlink(name, parent)
        if operation.kind == "symlink":
            os.symlink(operation.content, name, dir_fd=parent)
        else:
            with open(os.open(name, _CREATE, operation.mode, dir_fd=parent), "wb") as file:
                file.write(os.fsencode(operation.content))
                os.fchmod(file.fileno(), operation.mode)
    finally:
        os.close(parent)


def _unlink(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _protect(root: int, path: str) -> None:
    """Make what is at `path`, and below it, read-only; a missing path is skipped."""
    try:
        target = open_beneath(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        tree = mounts.clone_tree(target, ("ro",), recursive=True, name=path)
    except BaseException:
        os.close(target)
        raise
    _attach(tree, target, path)


def _mask(root: int, path: str) -> None:
    """Hide a file behind /dev/null, a directory behind an empty read-only tmpfs."""
    try:
        target = open_beneath(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if stat.S_ISDIR(os.fstat(target).st_mode):
            tree = mounts.new_filesystem("tmpfs", "tmpfs", ("ro", "nosuid", "nodev", "noexec"), ())
        else:
            tree = mounts.clone_tree("/dev/null", ("ro",))
    except BaseException:
        os.close(target)
        raise
    _attach(tree, target, path)


def _read(root: int, path: str) -> str:
    """The text of an image's file, "" if it has none. A fifo or device is never opened for real."""
    try:
        fd = open_beneath(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        with open(f"/proc/self/fd/{fd}", "rb") as file:
            return file.read(_MAX_PASSWD).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
