"""filesystem/linux: the task's own mount namespace, and in it the image as root file system.

With a root file system come the mounts that every Linux program expects, as strict as Docker's.
Without one (image `host`) the task sees the host's files, from a mount namespace of its own.

Device nodes are bind mounts of the host's on a tmpfs that is `nodev`: a node that the task makes
for itself, there or in any writable place that we mount, opens nothing, with or without a devices
cgroup. They are read-only, which a device does not heed, but its node's mode and owner do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from isolators.isolator import (
    OF_HOST,
    PROC_MOUNT,
    ContainerConfig,
    Isolator,
    IsolatorFlags,
    Need,
    shares,
)
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups, process
from launcher.launch_info import FileOperation, LaunchInfo, Mount

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/ptmx": "pts/ptmx",
}

# What shows or changes more than the container: the lists of Docker's default specification.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_SEALED = ("nosuid", "nodev", "noexec")
_TTY = 5  # the group of terminals

MOUNTS = (
    PROC_MOUNT,
    Mount(target="/sys", fstype="sysfs", source="sysfs", flags=("ro", *_SEALED)),
    Mount(
        target="/dev",
        fstype="tmpfs",
        source="tmpfs",
        flags=_SEALED,
        options=(("mode", "755"), ("size", "65536k")),
    ),
    *(
        Mount(target=f"/dev/{name}", fstype="bind", source=f"/dev/{name}", flags=("ro", "nosuid", "noexec"))
        for name in DEVICES
    ),
    Mount(
        target="/dev/pts",
        fstype="devpts",
        source="devpts",
        flags=("nosuid", "noexec"),
        options=(("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", str(_TTY))),
    ),
    Mount(
        target="/dev/shm",  # noqa: S108 - where shm_open(3) looks
        fstype="tmpfs",
        source="shm",
        flags=_SEALED,
        options=(("mode", "1777"), ("size", "65536k")),
    ),
    Mount(target="/dev/mqueue", fstype="mqueue", source="mqueue", flags=_SEALED),
)

# Where v1 is in use each hierarchy has a directory, on which the cgroup isolators mount their own.
CGROUP_BASE = Mount(
    target="/sys/fs/cgroup",
    fstype="tmpfs",
    source="tmpfs",
    flags=_SEALED,
    options=(("mode", "755"), ("size", "64k")),
)


class FilesystemLinux(Isolator):
    name = "filesystem/linux"
    needs = (
        Need(
            "mount namespaces",
            lambda: os.path.exists("/proc/self/ns/mnt"),
            "mount /proc, and use a kernel with CONFIG_NAMESPACES",
        ),
    )

    def __init__(self, flags: IsolatorFlags, mountinfo: str = cgroups.MOUNTINFO) -> None:
        super().__init__(flags)
        v1 = any(hierarchy.version == 1 for hierarchy in cgroups.hierarchies(mountinfo))
        mounts = MOUNTS if process.maps_group(_TTY) else tuple(map(_without_group, MOUNTS))
        self._mounts = (*mounts, CGROUP_BASE) if v1 else mounts

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if shares("mnt", config):
            return _shared(config)
        if config.rootfs is None:
            return LaunchInfo(namespaces={"mnt": "new"})
        return LaunchInfo(
            namespaces={"mnt": "new"},
            rootfs=config.rootfs,
            rootfs_mounts=config.rootfs_mounts,
            mounts=(*config.rootfs_inside, *self._others(config)),
            file_operations=tuple(
                FileOperation(kind="symlink", path=path, content=content) for path, content in LINKS.items()
            ),
            masked_paths=MASKED_PATHS if config.masked_paths is None else config.masked_paths,
            readonly_paths=READONLY_PATHS if config.readonly_paths is None else config.readonly_paths,
            readonly_rootfs=config.readonly_rootfs or None,
        )

    def _others(self, config: ContainerConfig) -> Iterable[Mount]:
        """Without those that the request has its own for: the size of /dev/shm, say."""
        mounts: Iterable[Mount] = self._mounts
        if config.mounted:
            mounts = [mount for mount in mounts if mount.target not in config.mounted]
        if config.namespaces.get("net") == OF_HOST and process.is_rootless():
            mounts = dict.fromkeys(each for mount in mounts for each in _of_others_network(mount))
        return map(_writable, mounts) if config.writable_sysfs else mounts


def _of_others_network(mount: Mount) -> tuple[Mount, ...]:
    """A sysfs is of a network, and mounted by who is root of that: an ordinary user's is the host's own.

    The kernel lets nobody see what the host has mounted over it, so all of that comes along.
    """
    if mount.fstype != "sysfs":
        return (mount,)
    return (replace(mount, fstype="rbind", source=mount.target), CGROUP_BASE)


def _writable(mount: Mount) -> Mount:
    return replace(mount, flags=_SEALED) if mount.fstype == "sysfs" else mount


def _without_group(mount: Mount) -> Mount:
    """For a user namespace of one user, whose terminals are that one's group's."""
    return replace(mount, options=tuple(option for option in mount.options if option[0] != "gid"))


def _shared(config: ContainerConfig) -> LaunchInfo:
    if config.rootfs is not None:
        hint = "run the image `host`, which stands for the files that are there"
        raise InvalidRequest("an image needs a mount namespace of the container's own", hint=hint)
    return LaunchInfo()
