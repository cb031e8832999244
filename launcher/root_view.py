"""The root filesystem as the launcher looks into it, before there is a child: mounted, but nowhere.

Who the task runs as is written in the image's own files; what a fresh volume begins with is there as
well. Both are read here, so the child need not. Everything comes from an image and is not to be
trusted: each path is resolved with the root's descriptor as its "/", so that no link leads out of it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping

from launcher import namespaces, overlay
from launcher.kernel import files, mounts
from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.kernel.safe_path import open_beneath
from launcher.launch_info import LaunchInfo, Mount
from launcher.program.assembler import CHANNEL, Program
from launcher.program.messages import OPENED, message_with_descriptor
from launcher.user import User
from launcher.user import resolve_user as _resolve

_MAX_PASSWD = 4 * 1024 * 1024  # bytes; an image's file is read no further
_BINDS = ("bind", "rbind")


class RootView:
    """Descriptors that are open as long as the context that made it.

    `trees` are the detached mounts of the LaunchInfo's `rootfs_mounts` in their order, for the child to
    attach; none where it has to make them by itself.
    """

    def __init__(self, root: int, trees: tuple[int, ...] = ()) -> None:
        self.root = root
        self.trees = trees
        self.found: dict[str, bool] = {}  # what `has` has said

    def resolve_user(self, user: str | None, image_groups: bool | None = None) -> User:
        """The task's user, from the passwd and group files: launcher/user.py. Raises OSError."""
        return _resolve(user or "", self._read("/etc/passwd"), self._read("/etc/group"), image_groups)

    def has(self, path: str) -> bool:
        """Whether the image has something there."""
        if path not in self.found:
            try:
                os.close(open_beneath(self.root, path, os.O_PATH))
                self.found[path] = True
            except OSError:
                self.found[path] = False
        return self.found[path]

    def fill_volumes(self, info: LaunchInfo, user: User) -> None:
        """See to what is in them, for this container and its task's user. Raises OSError."""
        for mount in info.mounts:
            if mount.populate or mount.chown:
                from launcher import volume_content  # few have volumes

                volume_content.make(mount, self.root, info, user)

    def _read(self, path: str) -> str:
        """The text of an image's file, "" if it has none. A fifo or device is never opened for real."""
        try:
            fd = open_beneath(self.root, path, os.O_PATH)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return ""
            content = files.read(f"/proc/self/fd/{fd}", _MAX_PASSWD)
            return content[:_MAX_PASSWD].decode("utf-8", "surrogateescape")
        finally:
            os.close(fd)


@contextlib.contextmanager
def opened(info: LaunchInfo) -> Iterator[RootView]:
    """Look into the root filesystem that `info` asks for. Raises OSError."""
    with contextlib.ExitStack() as stack:

        def closed(descriptor: int) -> int:
            stack.callback(os.close, descriptor)
            return descriptor

        joined = namespaces.joined(info).get("mnt")
        if joined is not None:
            yield RootView(closed(_root_of(joined)))
        elif info.rootfs is None:
            yield RootView(closed(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)))
        elif "user" in info.namespaces:
            # The child mounts it, with other owners; this is only to look.
            yield RootView(closed(_glimpse(info)))
        else:
            trees = tuple(closed(new_mount(mount)) for mount in info.rootfs_mounts)
            at = {mount.target: tree for mount, tree in zip(info.rootfs_mounts, trees, strict=True)}
            if info.rootfs not in at:
                at[info.rootfs] = closed(os.open(info.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            yield RootView(at[info.rootfs], trees)


def are_directories(info: LaunchInfo, detached: Mapping[str, int]) -> tuple[bool, ...]:
    """What the mounts mount. `detached`: what `open_detached` has opened. Raises OSError."""
    cgroups = {*info.cgroups_v1, info.cgroup_v2}  # which have been made, so need not be looked at
    return tuple(
        (mount.source in cgroups and not mount.part) or _is_mounted_directory(mount, detached)
        for mount in info.mounts
    )


def _is_mounted_directory(mount: Mount, detached: Mapping[str, int]) -> bool:
    """If what is bound is changed meanwhile, the kernel refuses to put the one on the other."""
    if mount.target in detached:
        return stat.S_ISDIR(os.fstat(detached[mount.target]).st_mode)
    if mount.fstype not in _BINDS:
        return True
    return _is_directory(mount.source, mount.part) if mount.part else os.path.isdir(mount.source)


def _is_directory(source: str, part: str) -> bool:
    root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_beneath(root, part, os.O_PATH)
    finally:
        os.close(root)
    try:
        return stat.S_ISDIR(os.fstat(found).st_mode)
    finally:
        os.close(found)


def open_detached(info: LaunchInfo, opened: contextlib.ExitStack) -> dict[str, int]:
    """What the launcher has to make by itself, by target. Raises OSError, InvalidRequest."""
    trees = {}
    if any(map(_may_be_detached, info.mounts)):
        from launcher import detached  # few have such volumes

        trees = detached.open_all(info, opened)
    if any(mount.file for mount in info.mounts):
        from launcher import memory_files  # for those with secrets

        trees |= memory_files.trees(info, opened)
    return trees


def _may_be_detached(mount: Mount) -> bool:
    special = mount.within or mount.owners or mount.propagation or mount.top_flags
    return bool(special or mount.fstype == "overlay")


def _root_of(namespace: str) -> int:
    """The root directory of a mount namespace. A process of its own has to enter it."""
    from launcher.program import runner  # for those who join one

    program = Program()
    with open(namespace, "rb") as file:
        number = program.pass_descriptor(file.fileno())
        program.call("setns", number, CLONE_FLAGS["mnt"], on=namespace)
        sent = message_with_descriptor(program, OPENED)
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        program.call("openat", AT_FDCWD, b"/", flags, store=sent.descriptor)
        program.call("sendmsg", CHANNEL, sent.header, 0)
        program.call("exit_group", 0)
        (root,) = runner.run(program).descriptors
    return root


def _glimpse(info: LaunchInfo) -> int:
    for mount in info.rootfs_mounts:
        if mount.target == info.rootfs:
            return new_mount(_readonly(mount))
    return os.open(info.rootfs or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _readonly(mount: Mount) -> Mount:
    """The same with nothing to write to: an upper directory must not be in two overlays at once."""
    if mount.fstype != "overlay":
        return mount
    upper = [("lowerdir+", value) for key, value in mount.options if key == "upperdir"]
    lower = [(key, value) for key, value in mount.options if key == "lowerdir+"]
    options = (*upper, *lower)
    return Mount(target=mount.target, fstype="overlay", source=mount.source, flags=("ro",), options=options)


def new_mount(mount: Mount) -> int:
    """Make a mount, attached nowhere. Returns its descriptor. Raises OSError."""
    if mount.fstype in _BINDS:
        return mounts.clone_tree(mount.source, mount.flags, recursive=mount.fstype == "rbind")
    if mount.fstype == "overlay":
        return overlay.new_overlay(mount)
    return mounts.new_filesystem(mount.fstype, mount.source, mount.flags, mount.options)
