"""The intermediate: a process between supervisor and child, for namespaces that clone(2) cannot make.

To be born in a namespace that is there already, somebody has to enter it first; a supervisor that
did would not come back from a user namespace, and would end with the container's PID namespace. So
it starts this process, which enters, clones the child as its sibling (CLONE_PARENT: the supervisor
is the parent) and ends. A container all of whose namespaces are new, the user's not among them,
does without. Its steps come first in the same launch program as the child's.

Mounts that need the host's privileges are made here too, in a mount namespace of their own, of
which the child gets a copy.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable

from launcher import attribute_steps, credential_steps, namespaces, root_filesystem
from launcher.child import Child, hide, join_cgroups
from launcher.kernel import capabilities, clone
from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import IdMapping, LaunchInfo
from launcher.program import mounts
from launcher.program.assembler import CHANNEL, FIRST_PASSED, Argument, Label, Program
from launcher.program.files import open_proc, write_file
from launcher.program.messages import CLONED, message_with_descriptor, say_to_supervisor
from launcher.program.objects import Explained

_OFFSETS = "/proc/self/timens_offsets"
_EVERYTHING = 0xFFFFFFFF
_CLONE_ARGS = struct.Struct("=11Q")
_NO_IDMAP = "idmapped mounts need Linux 5.19, and a filesystem that has them (ext4, xfs, btrfs; tmpfs: 6.3)"


class Intermediate:
    """What the steps share."""

    def __init__(self, child: Child, opened: dict[str, int]) -> None:
        """`opened`: the child's descriptors of the namespaces to enter, by kind; the new user's too."""
        self.child = child
        self.program = child.program
        self.info = child.info
        self.made = namespaces.made(child.info)
        self.joined = namespaces.joined(child.info)
        self.opened: dict[str, Argument] = dict(opened)


def is_needed(info: LaunchInfo) -> bool:
    """Whether the child cannot be cloned by the supervisor itself."""
    return bool(namespaces.joined(info)) or not {"user", "time"}.isdisjoint(namespaces.made(info))


def join_the_cgroups(own: Intermediate) -> None:
    join_cgroups(own.child)


def use_the_hosts_proc(own: Intermediate) -> None:
    """The child inherits what is set here. It is given no way to the host's procfs, unless it needs one."""
    if "mnt" not in own.joined:
        return
    attribute_steps.bequeath_oom_score_adj(own.program, own.info)
    credential_steps.write_labels(own.program, own.info)
    own.child.inherits = True
    if own.info.sysctls:
        own.child.proc = open_proc(own.program)


def make_time_namespace(own: Intermediate) -> None:
    if "time" not in own.made:
        return
    own.program.call("unshare", CLONE_FLAGS["time"], on="time")
    for clock, seconds in own.info.time_offsets.items():
        write_file(own.program, _OFFSETS, f"{clock} {seconds} 0\n".encode())


def mount_with_mapped_owners(own: Intermediate) -> None:
    """Show the image and the sandbox with their owners as the user namespace maps them.

    Each directory is covered, in this mount namespace, by an idmapped mount of itself: no file
    changes hands on disk. Overlayfs then works with the host's privileges on top of them.
    """
    if "user" not in own.opened or "mnt" not in own.made:
        return
    own.program.call("unshare", CLONE_FLAGS["mnt"], on="mnt")
    mounts.make_all_private(own.program)
    for directory in own.info.idmapped_paths:
        cover(own.program, directory, own.opened["user"])
    act_as_root_of(own.program, own.info.uid_map or (), own.info.gid_map or ())
    for mount in own.info.rootfs_mounts:
        root_filesystem.make_mount(own.program, mount)
    own.program.call("setfsuid", 0)
    own.program.call("setfsgid", 0)


def act_as_root_of(program: Program, uid_map: Iterable[IdMapping], gid_map: Iterable[IdMapping]) -> None:
    """Through an idmapped mount an id that is not mapped can make nothing, root's among them: setfsuid(2).

    What is mounted meanwhile goes on with these ids; overlayfs keeps the mounter's privileges.
    """
    program.call("setfsgid", _root(gid_map))
    program.call("setfsuid", _root(uid_map))
    # All that this process has, which another filesystem user id has lowered.
    sets = capabilities.packed(*capabilities.get_capabilities())
    header, data = (program.constant(part) for part in sets)
    program.call("capset", header, data)


def cover(program: Program, directory: str, user_namespace: Argument) -> None:
    """Mount on the directory itself, with its owners as the namespace maps them."""
    tree = mounts.clone_tree(program, directory, on=directory)
    mounts.map_owners(program, tree, user_namespace, Explained(directory, {errno.EINVAL: _NO_IDMAP}))
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    target = program.call("openat", AT_FDCWD, os.fsencode(directory), flags, on=directory)
    mounts.attach(program, tree, target, directory)


def _root(mapping: Iterable[IdMapping]) -> int:
    return next(part.outside for part in mapping if part.inside == 0)


def enter_namespaces(own: Intermediate) -> None:
    # With the host's privileges, whoever owns them; the user namespace last, for it takes those away.
    # Who has no privileges gets some from it, and enters it first: setns(2).
    user_first = os.geteuid() != 0
    for kind in sorted(own.opened, key=lambda kind: (kind == "user") != user_first):
        name = own.joined.get(kind, "a new one")
        own.program.call("setns", own.opened[kind], CLONE_FLAGS[kind], on=name)


def be_born_in_pid_namespace(own: Intermediate) -> None:
    """A PID namespace is made below that which its maker is in, not one it has entered: setns(2)."""
    if "pid" in own.made and "pid" in own.joined:
        _clone_sibling(own, 0, tell=False)


def give_up_what_is_not_needed(own: Intermediate) -> None:
    """Of who comes in without making anything: descriptors of the host's, and privileges that are the host's.

    From the clone on a task with CAP_SYS_PTRACE may trace it, and on by its /proc/<pid>/fd (CVE-2016-9962).
    """
    if "mnt" not in own.joined or own.made:
        return
    first = FIRST_PASSED
    for kept in sorted({own.child.channel, own.child.link} - {-1}):
        if kept > first:
            own.program.call("close_range", first, kept - 1, 0)
        first = kept + 1
    own.program.call("close_range", first, _EVERYTHING, 0)
    if "user" not in own.opened:
        credential_steps.lower_privileges(own.program, own.info)


def clone_the_child(own: Intermediate) -> None:
    # The cgroup namespace is the child's to make, as in launcher.child; time's is made already.
    flags = [CLONE_FLAGS[kind] for kind in own.made if kind not in ("user", "time", "cgroup")]
    _clone_sibling(own, sum(flags), tell=True)


def be_known(own: Intermediate) -> None:
    say_to_supervisor(own.program)


def _clone_sibling(own: Intermediate, flags: int, *, tell: bool) -> None:
    """Go on in a new process whose parent is this one's; this one ends."""
    program, parent, child = own.program, Label(), Label()
    cloned = message_with_descriptor(program, CLONED)
    flags |= clone.CLONE_PARENT | clone.CLONE_PIDFD
    args = program.buffer(_CLONE_ARGS.pack(flags, cloned.descriptor, *(0,) * 9))
    program.call("clone3", args, _CLONE_ARGS.size, on=f"flags {flags:#x}", then=parent)
    program.jump(child)
    program.place(parent)
    if tell:
        program.call("sendmsg", CHANNEL, cloned.header, 0)
        if own.child.link >= 0:
            program.call("sendmsg", own.child.link, cloned.header, 0, on="the relay")
    program.call("exit_group", 0)
    program.place(child)


# The order is the design, as in launcher.child.
STEPS: tuple[tuple[str, Callable[[Intermediate], None]], ...] = (
    # While the host's cgroupfs is in sight; the child inherits them.
    ("join the cgroups", join_the_cgroups),
    # Before the files in sight are the container's.
    ("use the host's proc", use_the_hosts_proc),
    # Before a process is in it, or its offsets could not be set: time_namespaces(7).
    ("make the time namespace", make_time_namespace),
    ("mount with mapped owners", mount_with_mapped_owners),
    ("enter the namespaces", enter_namespaces),
    # What else may be entered is entered; this process is the one that clones.
    ("be born in the PID namespace", be_born_in_pid_namespace),
    # The last step before somebody in the container may see, and perhaps trace, what comes.
    ("give up what is not needed", give_up_what_is_not_needed),
    ("clone the child", clone_the_child),
    # To the supervisor, by whoever sends this.
    ("be known", be_known),
)


def write_steps(own: Intermediate) -> None:
    """Write the intermediate's part of the program."""
    own.program.stage = "hide"
    hide(own.child)
    for name, step in STEPS:
        own.program.stage = name
        step(own)
