"""The intermediate: a process between supervisor and child, for namespaces that clone(2) cannot make.

To be born in a namespace that is there already, somebody has to enter it first; a supervisor that
did would not come back from a user namespace, and would end with the container's PID namespace. So
it forks this process, which enters, clones the child as its sibling (CLONE_PARENT: the supervisor
is the parent) and ends. A container all of whose namespaces are new, the user's not among them,
does without.

Mounts that need the host's privileges are made here too, in a mount namespace of their own, of
which the child gets a copy.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from launcher import child, namespaces, protocol, root_filesystem
from launcher.data import replace
from launcher.kernel import cgroups, clone, mounts, prctl, user_namespaces
from launcher.kernel import namespaces as kernel_namespaces
from launcher.launch_info import IdMapping, LaunchInfo
from launcher.stdio import Stdio

_OFFSETS = "/proc/self/timens_offsets"


class Intermediate:
    """What the steps share."""

    def __init__(self, info: LaunchInfo) -> None:
        self.info = info
        self.made = namespaces.made(info)
        self.joined = namespaces.joined(info)
        self.opened: dict[str, int] = {}  # descriptors of the namespaces to enter, by kind


def is_needed(info: LaunchInfo) -> bool:
    """Whether the child cannot be cloned by the supervisor itself."""
    return bool(namespaces.joined(info)) or not {"user", "time"}.isdisjoint(namespaces.made(info))


def join_cgroups(own: Intermediate) -> None:
    for cgroup in own.info.cgroups_v1:
        cgroups.join_v1(cgroup)


def open_namespaces(own: Intermediate) -> None:
    for kind, path in own.joined.items():
        own.opened[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if "user" in own.made:
        uid_map, gid_map = (
            [(part.inside, part.outside, part.count) for part in whole]
            for whole in (own.info.uid_map or (), own.info.gid_map or ())
        )
        own.opened["user"] = user_namespaces.create(uid_map, gid_map)


def make_time_namespace(own: Intermediate) -> None:
    if "time" not in own.made:
        return
    kernel_namespaces.unshare("time")
    with open(_OFFSETS, "wb", buffering=0) as file:
        for clock, seconds in own.info.time_offsets.items():
            file.write(f"{clock} {seconds} 0\n".encode())


def mount_with_mapped_owners(own: Intermediate) -> None:
    """Show the image and the sandbox with their owners as the user namespace maps them.

    Each directory is covered, in this mount namespace, by an idmapped mount of itself: no file
    changes hands on disk. Overlayfs then works with the host's privileges on top of them.
    """
    if "user" not in own.opened or "mnt" not in own.made:
        return
    kernel_namespaces.unshare("mnt")
    mounts.make_all_private()
    for directory in own.info.idmapped_paths:
        mounts.cover_idmapped(directory, own.opened["user"])
    with user_namespaces.filesystem_ids(_root(own.info.uid_map), _root(own.info.gid_map)):
        os.close(root_filesystem.mount_root(own.info))


def _root(mapping: tuple[IdMapping, ...] | None) -> int:
    return next(part.outside for part in mapping or () if part.inside == 0)


def enter_namespaces(own: Intermediate) -> None:
    # With the host's privileges, whoever owns them; the user namespace last, for it takes those away.
    # Who has no privileges gets some from it, and enters it first: setns(2).
    user_first = os.geteuid() != 0
    for kind in sorted(own.opened, key=lambda kind: (kind == "user") != user_first):
        kernel_namespaces.enter(own.opened[kind], kind, own.joined.get(kind, "a new one"))
        os.close(own.opened[kind])


def be_born_in_pid_namespace(own: Intermediate) -> None:
    """A PID namespace is made below that which its maker is in, not one it has entered: setns(2)."""
    if "pid" in own.made and "pid" in own.joined:
        pid, _ = clone.clone_sibling(0)
        if pid:
            os._exit(0)
        prctl.set_parent_death_signal(signal.SIGKILL)


# The order is the design, as in launcher.child.
STEPS: tuple[tuple[str, Callable[[Intermediate], None]], ...] = (
    # While the host's cgroupfs is in sight; the child inherits them.
    ("join the cgroups", join_cgroups),
    # All before the first is entered: seen from another mount namespace, a path leads elsewhere.
    ("open the namespaces", open_namespaces),
    # Before a process is in it, or its offsets could not be set: time_namespaces(7).
    ("make the time namespace", make_time_namespace),
    ("mount with mapped owners", mount_with_mapped_owners),
    ("enter the namespaces", enter_namespaces),
    # What else may be entered is entered; this process is the one that clones.
    ("be born in the PID namespace", be_born_in_pid_namespace),
)


def run(
    info: LaunchInfo, channel: socket.socket, stdio: Stdio, descriptors: tuple[int, int, int]
) -> NoReturn:
    """Be the intermediate: sends Cloned or Failed on `channel`, which the child then goes on using."""
    stage = "hide"
    try:
        # Our memory is the host's; the namespaces may be full of strangers: CVE-2016-9962.
        prctl.hide_from_ptrace()
        prctl.set_parent_death_signal(signal.SIGKILL)
        own = Intermediate(info)
        for name, step in STEPS:
            stage = name
            step(own)
        stage = "clone the child"
        # The cgroup namespace is the child's to make, as in launcher.child; time's is made already.
        flags = [kernel_namespaces.CLONE_FLAGS[k] for k in own.made if k not in ("user", "time", "cgroup")]
        pid, pidfd = clone.clone_sibling(sum(flags))
        if pid == 0:
            child.run(replace(info, cgroups_v1=()), channel, stdio, descriptors)
        protocol.send(channel, protocol.Cloned(pid), [pidfd])
    except BaseException as error:
        with contextlib.suppress(OSError):  # the supervisor is gone
            protocol.send(channel, protocol.Failed.from_error(stage, error))
    os._exit(0)
