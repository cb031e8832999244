"""Mounts that the launcher makes itself, attached nowhere: the child only puts them in their places.

Those that the child could not make. It sees no other mount namespace; its own mounts are private, so what is
mounted on the host later would not reach it; and it has no user namespace to map owners with.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

from launcher import overlay, user_namespaces
from launcher.kernel import mounts
from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.kernel.safe_path import open_beneath
from launcher.launch_info import IdMapping, LaunchInfo, Mount
from launcher.program import mounts as written
from launcher.program import runner
from launcher.program.assembler import CHANNEL, Program, Slot
from launcher.program.messages import OPENED, message_with_descriptor

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_PROPAGATION = {"": mounts.MS_PRIVATE, "slave": mounts.MS_SLAVE, "shared": mounts.MS_SHARED}
_NO_IDMAP = "idmapped mounts need Linux 5.19, and a filesystem that has them (ext4, xfs, btrfs; tmpfs: 6.3)"
_NO_IDS = "no id of it is one of the container's"

Map = Sequence[IdMapping]


def is_needed(mount: Mount, info: LaunchInfo) -> bool:
    special = mount.within or mount.propagation or mount.top_flags or mount.fstype == "overlay"
    return bool(special or maps_of(mount, info))


def open_all(info: LaunchInfo, opened: contextlib.ExitStack) -> dict[str, int]:
    """Descriptors of such mounts, by target. Raises OSError."""
    trees = {}
    for mount in info.mounts:
        if is_needed(mount, info):
            trees[mount.target] = _make(mount, info)
            opened.callback(os.close, trees[mount.target])
    return trees


def maps_of(mount: Mount, info: LaunchInfo) -> tuple[Map, Map] | None:
    """How the mount shows owners, from those on disk to the host's ids; None: as they are."""
    owners = mount.owners
    if owners is None or (owners.relative and not owners.uids and info.uid_map is None):
        return None
    if not owners.relative:
        return owners.uids, owners.gids
    own = info.uid_map or (), info.gid_map or ()
    if not owners.uids:
        return own
    return _through(owners.uids, own[0]), _through(owners.gids, own[1])


def _through(first: Map, second: Map) -> Map:
    """The one map after the other; without a second, the first."""
    if not second:
        return first
    parts = []
    for one in first:
        for other in second:
            start = max(one.outside, other.inside)
            count = min(one.outside + one.count, other.inside + other.count) - start
            if count > 0:
                inside, outside = one.inside + start - one.outside, other.outside + start - other.inside
                parts.append(IdMapping(inside, outside, count))
    return tuple(parts)


def _make(mount: Mount, info: LaunchInfo) -> int:
    if mount.within:
        from launcher import elsewhere  # for those in pods

        return elsewhere.clone_tree(mount)
    with _mapping(mount, info) as namespace:
        if mount.fstype == "overlay":
            return _overlay(mount, info, namespace)
        tree = _clone(mount)
        try:
            _change(tree, mount, namespace)
        except BaseException:
            os.close(tree)
            raise
        return tree


@contextlib.contextmanager
def _mapping(mount: Mount, info: LaunchInfo) -> Iterator[int | None]:
    """A user namespace that maps the owners as asked, if they are to be mapped."""
    maps = maps_of(mount, info)
    if maps is None:
        yield None
        return
    if not all(maps):
        raise OSError(errno.EINVAL, _NO_IDS, mount.target)
    uids, gids = (tuple((part.inside, part.outside, part.count) for part in each) for each in maps)
    namespace = user_namespaces.create(uids, gids)
    try:
        yield namespace
    finally:
        os.close(namespace)


def _clone(mount: Mount) -> int:
    recursive = mount.fstype == "rbind"
    if not mount.part:
        return mounts.clone_tree(mount.source, mount.flags, recursive=recursive)
    root = os.open(mount.source, _DIRECTORY)
    try:
        source = open_beneath(root, mount.part, os.O_PATH)
    finally:
        os.close(root)
    try:
        return mounts.clone_tree(source, mount.flags, recursive=recursive, name=mount.source)
    finally:
        os.close(source)


def _change(tree: int, mount: Mount, namespace: int | None) -> None:
    """A copy of a mount that others see changes of is one of those, too, until it is told otherwise."""
    mounts.set_propagation(tree, _PROPAGATION[mount.propagation], recursive=True)
    if mount.top_flags:
        mounts.set_attributes(tree, mounts.attribute_bits(mount.top_flags))
    if namespace is not None:
        try:
            mounts.map_owners(tree, namespace, recursive=mount.fstype == "rbind")
        except OSError as error:
            why = _NO_IDMAP if error.errno == errno.EINVAL else error.strerror
            raise OSError(error.errno, why, mount.source) from None


# The files of images --------------------------------------------------------------------------------


def _overlay(mount: Mount, info: LaunchInfo, namespace: int | None) -> int:
    """Overlayfs maps no owners itself, but works on mounts that do."""
    if namespace is None and not mount.part:
        return overlay.new_overlay(mount)
    program = Program()
    program.call("unshare", CLONE_FLAGS["mnt"], on="mnt")
    written.make_all_private(program)
    if namespace is not None:
        _cover_directories(program, mount, info, program.pass_descriptor(namespace))
    tree: Slot | int = overlay.write_overlay(program, mount)
    sent = message_with_descriptor(program, OPENED)
    place = mount.target if not overlay.BY_DESCRIPTOR else _some_directory(mount)
    if overlay.BY_DESCRIPTOR:  # else it is in its place
        target = program.call("openat", AT_FDCWD, os.fsencode(place), _DIRECTORY, 0, on=place)
        written.attach(program, tree, target, place)
    root = program.call("openat", AT_FDCWD, os.fsencode(place), _DIRECTORY, 0, on=place)
    source = written.open_beneath(program, root, mount.part or "/", on=mount.part)
    written.clone_tree(program, source, on=mount.part, store=sent.descriptor)
    program.call("sendmsg", CHANNEL, sent.header, 0)
    program.call("exit_group", 0)
    (found,) = runner.run(program).descriptors
    return found


def _some_directory(mount: Mount) -> str:
    return next(value for key, value in mount.options if key == "lowerdir+")


def _cover_directories(program: Program, mount: Mount, info: LaunchInfo, namespace: int) -> None:
    """As launcher.intermediate does for the root filesystem."""
    from launcher.intermediate import act_as_root_of, cover

    for key, directory in mount.options:
        if key in ("lowerdir+", "upperdir"):
            cover(program, directory if key == "lowerdir+" else os.path.dirname(directory), namespace)
    uids, gids = maps_of(mount, info) or ((), ())
    act_as_root_of(program, uids, gids)
