"""The child's part that makes the task's root filesystem from mounts given as data.

Everything below the root comes from an image and is not to be trusted: each path is resolved with
the root's descriptor as its "/", so that no link leads out of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from fcntl import F_DUPFD_CLOEXEC
from typing import TYPE_CHECKING

from launcher import overlay, shields
from launcher.kernel import mounts as kernel
from launcher.kernel.libc import AT_FDCWD
from launcher.launch_info import FileOperation, LaunchInfo, Mount
from launcher.program import mounts
from launcher.program.assembler import EMPTY, ROOT, Label, Program, Slot
from launcher.program.objects import Explained

if TYPE_CHECKING:
    from launcher.child import Child

_BINDS = ("bind", "rbind")
_FRESH = ("tmpfs", "devpts", "mqueue")  # a new one has nothing in it but what we put there
_DEV = "/dev"
_FIXED = ("proc", "sysfs")  # nobody makes files in these
_HOST_MOUNTS = {"sysfs": "/sys", "mqueue": "/dev/mqueue"}  # where the host has them

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NAME = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# A new file, so that no link of the image is followed and no file of it is written to.
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC

_ELSEWHERE = "the volume would lie in another mount"
_DANGLING = "the image has a dangling symbolic link here"


def mount_root(program: Program, info: LaunchInfo, trees: Sequence[int] | None) -> Slot | int:
    """Attach what makes the root filesystem. Returns its top directory.

    `trees` is as in RootView; None: they are still to be made.
    """
    at: dict[str, Slot | int] = {}
    if trees is None:
        at = {mount.target: make_mount(program, mount) for mount in info.rootfs_mounts}
    else:
        for mount, tree in zip(info.rootfs_mounts, trees, strict=True):
            at[mount.target] = program.pass_descriptor(tree)
            target = program.call("openat", AT_FDCWD, os.fsencode(mount.target), _DIRECTORY, on=mount.target)
            mounts.attach(program, at[mount.target], target, mount.target)
    root = info.rootfs or "/"
    if root in at:
        return at[root]
    return program.call("openat", AT_FDCWD, os.fsencode(root), _DIRECTORY, on=root)


def make_mount(program: Program, mount: Mount) -> Slot:
    """Make one of those that make the root filesystem, in its place. Returns its top."""
    if mount.fstype == "overlay" and not overlay.BY_DESCRIPTOR:
        return overlay.write_overlay(program, mount)  # and it is in its place
    if mount.fstype in _BINDS:
        recursive = mount.fstype == "rbind"
        tree = mounts.clone_tree(program, mount.source, mount.flags, recursive=recursive, on=mount.source)
    elif mount.fstype == "overlay":
        tree = overlay.write_overlay(program, mount)
    else:
        what = (mount.fstype, mount.source, mount.flags, mount.options)
        tree = mounts.new_filesystem(program, *what, on=mount)
    path = os.fsencode(mount.target)
    target = program.call("openat", AT_FDCWD, path, os.O_PATH | os.O_CLOEXEC, on=mount.target)
    mounts.attach(program, tree, target, mount.target)
    return tree


def show_to_hooks(program: Program, root: Slot | int, bundle: str) -> Slot:
    """Mount the root filesystem where hooks look for it, and can get to; returns its top directory there."""
    path = f"{bundle}/rootfs"
    target = program.call("openat", AT_FDCWD, os.fsencode(path), _DIRECTORY, on=path)
    tree = mounts.clone_tree(program, root, recursive=True, on=path)
    mounts.attach(program, tree, target, path)
    return tree


def detach_root(program: Program, info: LaunchInfo) -> Slot:
    """Mount the root filesystem that is mounted already on itself; returns its top directory.

    In a user namespace the mounts that were there before are locked, and cannot become the root:
    mount_namespaces(7).
    """
    path = info.rootfs or "/"
    root = program.call("openat", AT_FDCWD, os.fsencode(path), _DIRECTORY, on=path)
    if info.rootfs is None:
        return root
    tree = mounts.clone_tree(program, root, recursive=True, on=path)
    mounts.attach(program, tree, root, path)
    return tree


class Filler:
    """Makes the mounts and files below the root, then hides and protects what the task must not touch."""

    def __init__(self, child: Child) -> None:
        self._program = child.program
        self._root = child.root
        self._info = child.info
        self._view = child.view
        self._detached = child.detached
        self._are_directories = child.directories
        self._mounted: dict[str, str] = {}  # target → filesystem type
        self._directories: dict[str, Slot | int] = {}  # open ones, by their paths
        self._made: set[str] = set()
        self._sources: dict[str, Slot | int] = {}
        self._hidden: Slot | None = None  # a directory without anything in it, below what is mounted there

    def open_sources(self) -> None:
        """Copy the mounts that are bound below the root, while the paths of the host are in sight."""
        for mount in self._info.mounts:
            if mount.target in self._detached:
                tree = self._detached[mount.target]
                self._sources[mount.target] = self._program.pass_descriptor(tree)
            elif mount.fstype in _BINDS:
                recursive = mount.fstype == "rbind"
                source = self._part(mount) if mount.part else mount.source
                self._sources[mount.target] = mounts.clone_tree(
                    self._program, source, mount.flags, recursive=recursive, on=mount.source
                )

    def _part(self, mount: Mount) -> Slot:
        """Opened by whoever binds it: who writes to the source may change what is there at any time."""
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        root = self._program.call("openat", AT_FDCWD, os.fsencode(mount.source), flags, 0, on=mount.source)
        return mounts.open_beneath(self._program, root, mount.part, on=f"{mount.source}/{mount.part}")

    def fill(self) -> None:
        for mount, directory in zip(self._info.mounts, self._are_directories, strict=True):
            self._mount(mount, directory=directory)
        for operation in self._info.file_operations:
            if operation.path not in self._mounted:  # whoever mounts something there wants that
                self._operate(operation)
        self._program.call("fcntl", self._root, F_DUPFD_CLOEXEC, 0, store=ROOT)
        if self._info.masked_paths:
            self._make_cover()
        self._program.run_routine()
        if self._info.readonly_rootfs:
            ro = kernel.ATTRIBUTES["ro"]
            mounts.set_attributes(self._program, self._root, ro, on=self._info.rootfs or "/")

    # Mounts ------------------------------------------------------------------------------------

    def _mount(self, mount: Mount, *, directory: bool) -> None:
        tree = self._sources.get(mount.target)
        if tree is None:
            tree = self._new_filesystem(mount)
        over = self._over(mount.target)
        is_new = directory and self._mounted.get(over or "") == "tmpfs" and self._is_free(mount.target, over)
        target = self._target(mount.target, directory=directory)
        if mount.fstype in _FIXED or mount.target == _DEV:
            # A link here would put /proc elsewhere, and what is masked in it not (CVE-2019-19921); or
            # /dev on top of it.
            mounts.open_beneath(self._program, self._root, mount.target, follow_symlinks=False)
        if mount.populate:
            self._stay_in_mount(mount.target)
        mounts.attach(self._program, tree, target, mount.target)
        if is_new:
            self._hidden = target
        self._mounted[mount.target] = mount.fstype
        hidden = mount.target.rstrip("/") + "/"
        for path in [path for path in self._directories if path.startswith(hidden)]:
            del self._directories[path]
        if directory:
            self._directories[mount.target] = tree

    def _stay_in_mount(self, path: str) -> None:
        """An image may lead its volume into what is mounted by now, /proc for one, by a link.

        But what its place is in by its name, another volume, is where it belongs.
        """
        over = self._over(path) or ""
        root = self._directories.get(over, self._root)
        below = path.removeprefix(over) if over in self._directories else path
        inside = Explained(path, {errno.EXDEV: _ELSEWHERE})
        mounts.open_beneath(self._program, root, below, leave_mount=False, on=inside)

    def _new_filesystem(self, mount: Mount) -> Slot:
        what = (mount.fstype, mount.source, mount.flags, mount.options)
        place = _HOST_MOUNTS.get(mount.fstype)
        if "user" not in self._info.namespaces or place is None:
            return mounts.new_filesystem(self._program, *what, on=mount)
        # To root in a user namespace, what shows somebody else's network or IPC namespace is denied.
        chosen, denied, done = self._program.slot(), Label(), Label()
        made = mounts.new_filesystem(
            self._program, *what, on=mount, tolerate=(errno.EPERM,), otherwise=denied
        )
        self._program.call("fcntl", made, F_DUPFD_CLOEXEC, 0, store=chosen, then=done)
        self._program.place(denied)
        if os.path.isdir(place):
            tree = mounts.clone_tree(self._program, place, mount.flags, recursive=True, on=place)
        else:
            tree = mounts.new_filesystem(self._program, "tmpfs", "tmpfs", ("ro", *mount.flags), (), on=mount)
        self._program.call("fcntl", tree, F_DUPFD_CLOEXEC, 0, store=chosen)
        self._program.place(done)
        return chosen

    def _make_cover(self) -> None:
        """A read-only mount of nothing, for `shields`: of a filesystem that is there, if there is one.

        Each filesystem is one more that the kernel walks, at the end of every memory cgroup above all.
        """
        if self._hidden is not None:
            mounts.clone_tree(self._program, self._hidden, shields.COVER, on="the cover", store=EMPTY)
            return
        made = mounts.new_filesystem(self._program, "tmpfs", "tmpfs", shields.COVER, (), on="tmpfs")
        self._program.call("fcntl", made, F_DUPFD_CLOEXEC, 0, store=EMPTY)

    # Targets -----------------------------------------------------------------------------------

    def _target(self, path: str, *, directory: bool) -> Slot:
        """Open `path` below the root with O_PATH; what is missing is made, the last as directory or file."""
        over = self._over(path)
        if self._is_free(path, over):
            self._made.add(path)
            return self._make(self._directories[over or ""], path, directory=directory)
        if self._mounted.get(over or "") in _FIXED or (over is None and self._view.has(path)):
            return mounts.open_beneath(self._program, self._root, path)
        return self._open_or_make(path, directory=directory)

    def _is_free(self, path: str, over: str | None) -> bool:
        """Whether it is sure that nothing is there yet, but what it is in."""
        if over is None or self._mounted[over] not in _FRESH or path in self._made:
            return False
        return os.path.dirname(path) == over

    def _over(self, path: str) -> str | None:
        """The target of the mount that `path` is in; None for the root filesystem itself."""
        while path != "/":
            path = os.path.dirname(path)
            if path in self._mounted:
                return path
        return None

    def _open_or_make(self, path: str, *, directory: bool) -> Slot:
        """Go down from the root by the names of `path`; from the first that is missing on, make them."""
        opened, done, making = self._program.slot(), Label(), Label()
        mounts.open_beneath(
            *(self._program, self._root, path),
            store=opened,
            then=done,
            tolerate=(errno.ENOENT,),
            otherwise=making,
        )
        self._program.place(making)
        parent = mounts.open_beneath(self._program, self._root, "/")
        names = [name for name in path.split("/") if name]
        for depth in range(1, len(names) + 1):
            prefix = "/" + "/".join(names[:depth])
            self._made.add(prefix)
            is_directory = directory or depth < len(names)
            parent = self._step(parent, prefix, directory=is_directory)
        self._program.call("fcntl", parent, F_DUPFD_CLOEXEC, 0, store=opened)
        self._program.place(done)
        return opened

    def _step(self, parent: Slot, path: str, *, directory: bool) -> Slot:
        opened, missing, there = self._program.slot(), Label(), Label()
        mounts.open_beneath(
            *(self._program, self._root, path),
            store=opened,
            then=there,
            tolerate=(errno.ENOENT,),
            otherwise=missing,
        )
        self._program.place(missing)
        self._make(parent, path, directory=directory, store=opened)
        self._program.place(there)
        return opened

    def _make(self, parent: Slot | int, path: str, *, directory: bool, store: int = 0) -> Slot:
        """Make a directory or an empty file, and open it with O_PATH."""
        name, on = os.path.basename(path).encode(), Explained(path, {errno.EEXIST: _DANGLING})
        if directory:
            self._program.call("mkdirat", parent, name, 0o755, on=on)
        else:
            made = self._program.call("openat", parent, name, _CREATE, 0o644, on=on)
            self._program.call("close", made, on=on)  # open for writing, it would keep the root from ro
        return self._program.call("openat", parent, name, _NAME, on=path, store=store)

    # Files -------------------------------------------------------------------------------------

    def _operate(self, operation: FileOperation) -> None:
        parent_path, name = os.path.split(operation.path)
        parent = self._directories.get(parent_path)
        if parent is None:
            parent = self._directories[parent_path] = self._target(parent_path or "/", directory=True)
        if self._mounted.get(parent_path) not in _FRESH:
            # Removed first, so that a link of the image is replaced and not followed.
            self._program.call(
                "unlinkat", parent, name.encode(), 0, on=operation.path, tolerate=(errno.ENOENT,)
            )
        content = os.fsencode(operation.content)
        if operation.kind == "symlink":
            self._program.call("symlinkat", content, parent, name.encode(), on=operation.path)
        else:
            self._write(parent, name, operation, content)

    def _write(self, parent: Slot | int, name: str, operation: FileOperation, content: bytes) -> None:
        on = operation.path
        file = self._program.call("openat", parent, name.encode(), _CREATE, operation.mode, on=on)
        self._program.call("write", file, self._program.constant(content, 1), len(content), on=on)
        self._program.call("fchmod", file, operation.mode, on=on)
        self._program.call("close", file, on=on)
