"""The child's steps that give up the launcher's credentials for the task's, and shut the doors behind it.

See capabilities(7), credentials(7), prctl(2) and seccomp(2).
"""

from __future__ import annotations

import binascii
import errno
import struct
from typing import TYPE_CHECKING

from launcher.kernel import capabilities, process, seccomp
from launcher.kernel.seccomp import SET_MODE_FILTER
from launcher.program.assembler import Program
from launcher.program.objects import Explained
from launcher.user import User

if TYPE_CHECKING:
    from typing import Protocol

    from launcher.child import Child
    from launcher.launch_info import LaunchInfo

    class Credentialed(Protocol):
        """Whose program it is: a child, or a hook in its place."""

        @property
        def program(self) -> Program: ...
        @property
        def info(self) -> LaunchInfo: ...
        @property
        def user(self) -> User: ...


# What taking the task's ids, sets, terminal and directory needs.
_TO_BECOME_ANOTHER = (
    *("CAP_SETPCAP", "CAP_SETUID", "CAP_SETGID"),
    *("CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"),
)

_PR_SET_KEEPCAPS = 8
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_SECCOMP_MODE_FILTER = 2  # of prctl(2)


def take_ids(program: Program, user: User, *, keep_capabilities: bool = False) -> None:
    """Groups, gid and uid."""
    groups = program.constant(struct.pack(f"<{len(user.groups)}I", *user.groups) or bytes(4))
    if not process.keeps_groups():
        program.call("setgroups", len(user.groups), groups, on=_mapped("groups", user.groups))
    program.call("setresgid", user.gid, user.gid, user.gid, on=_mapped("group", user.gid))
    if keep_capabilities:  # till the sets are made: what is inheritable must be permitted now
        program.call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    program.call("setresuid", user.uid, user.uid, user.uid, on=_mapped("user", user.uid))


def _mapped(what: str, ids: object) -> Explained:
    return Explained(f"{what} {ids}", {errno.EINVAL: "the user namespace does not map it: see subuid(5)"})


def take_credentials(child: Credentialed) -> None:
    """Groups, gid, uid, and the capability sets, in the one order that the kernel allows.

    The bounding set first, since dropping from it needs CAP_SETPCAP; the ids next, since they need
    CAP_SETUID and CAP_SETGID; the other sets last. See capabilities(7) and credentials(7).
    """
    program, user, sets = child.program, child.user, child.info.capabilities
    if sets is None:
        take_ids(program, user)
        return
    for number in capabilities.others(sets.bounding):
        # EINVAL: the kernel knows no capability of this number.
        program.call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0, on=number, tolerate=(errno.EINVAL,))
    program.call("prctl", _PR_CAP_AMBIENT, capabilities.AMBIENT_CLEAR_ALL, 0, 0, 0)
    if user.uid == 0:
        take_ids(program, user)
        last = (sets.effective, sets.permitted, sets.inheritable)
    else:
        take_ids(program, user, keep_capabilities=True)
        # execve(2) leaves another user only what is ambient; leave no more before it either.
        last = (sets.ambient, sets.ambient, sets.inheritable)
    header, data = (program.constant(part) for part in capabilities.packed(*last))
    program.call("capset", header, data)
    for name in sets.ambient:
        number = capabilities.NUMBERS[name]
        program.call("prctl", _PR_CAP_AMBIENT, capabilities.AMBIENT_RAISE, number, 0, 0, on=name)


def set_labels(child: Child) -> None:
    if not child.inherits:
        write_labels(child.program, child.info)


def write_labels(program: Program, info: LaunchInfo) -> None:
    if info.apparmor or info.selinux:
        from launcher import label_steps  # which few hosts have

        label_steps.write_labels(program, info)


def lower_privileges(program: Program, info: LaunchInfo) -> None:
    """For a child that enters a container and makes nothing: leave it what it still needs of them.

    A task that has CAP_SYS_PTRACE can trace it from the moment when it is in the PID namespace; so it must
    have no more to give than the task, but for what is named here.
    """
    sets = info.capabilities
    if sets is None:
        return
    for number in capabilities.others(sets.bounding):
        program.call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0, on=number, tolerate=(errno.EINVAL,))
    needed = {*_TO_BECOME_ANOTHER, *sets.permitted, *sets.inheritable, *sets.effective}
    if info.seccomp is not None and not info.no_new_privileges:
        needed.add("CAP_SYS_ADMIN")  # to load it, seccomp(2)
    if info.rlimits:
        needed.add("CAP_SYS_RESOURCE")
    if info.nice or info.scheduler or info.io_priority or info.cpu_affinity:
        needed.add("CAP_SYS_NICE")
    kept = [name for name in capabilities.get_capabilities()[1] if name in needed]
    header, data = (program.constant(part) for part in capabilities.packed(kept, kept, sets.inheritable))
    program.call("capset", header, data)


def forbid_new_privileges(child: Credentialed) -> None:
    if child.info.no_new_privileges:
        child.program.call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def load_filter_with_privileges(child: Credentialed) -> None:
    if not child.info.no_new_privileges:
        _load_filter(child)


def load_filter(child: Credentialed) -> None:
    if child.info.no_new_privileges:
        _load_filter(child)


def _load_filter(child: Credentialed) -> None:
    if child.info.seccomp is None:
        return
    instructions = binascii.a2b_base64(child.info.seccomp)
    address = child.program.constant(instructions)
    fprog = child.program.constant(struct.pack("@HP", len(instructions) // seccomp.INSTRUCTION, address))
    if child.info.seccomp_listener is not None:
        from launcher import seccomp_listener  # which few have

        seccomp_listener.load(child.program, child.info.seccomp_flags or 0, fprog)
    elif child.info.seccomp_flags:
        child.program.call("seccomp", SET_MODE_FILTER, child.info.seccomp_flags, fprog)
    else:
        child.program.call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, fprog, 0, 0)
