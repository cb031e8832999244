"""The child: from clone to exec, as one list of steps.

Rules, for this file and what it calls after `clone`:
- nothing is imported: once the root has changed, the files are gone;
- nothing is logged: a failure is one `Failed` record, and the launcher writes the sentence;
- every way out is execve or os._exit.
"""

from __future__ import annotations

import binascii
import contextlib
import errno
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import NoReturn

from launcher import attributes, init, protocol, root_filesystem, task_stdio, trampoline
from launcher import namespaces as namespace_plan
from launcher.credentials import apply_credentials
from launcher.data import asdict
from launcher.execute import execute, find
from launcher.kernel import cgroups, mounts, namespaces, prctl, seccomp, signals
from launcher.launch_info import LaunchInfo
from launcher.process_attributes import Clamped
from launcher.stdio import Inherit, Stdio, Terminal
from launcher.user import User

_STDIO = 3  # descriptors 0, 1 and 2; the channel to the supervisor becomes this one

_IFREQ = "16sH22x"  # struct ifreq up to its flags, netdevice(7)
_NULL = os.makedev(1, 3)  # Documentation/admin-guide/devices.txt

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


class Child:
    """What the steps share: the task in, and what earlier steps found out."""

    def __init__(self, info: LaunchInfo, channel: socket.socket, stdio: Stdio) -> None:
        self.info = info
        self.channel = channel
        self.stdio = stdio
        self.environment: dict[str, str] = {}
        self.sources: dict[str, int] = {}  # what is bound into the root filesystem, by target
        self.root = -1  # descriptor of the root filesystem, until it is /
        self.user = User(0, 0, (), "/")
        self.trampoline: int | None = None
        self.command_line = (0, 0)  # where ours lies in memory
        self.clamped: list[Clamped] = []  # what the host did not grant, and nobody required


def join_cgroups(child: Child) -> None:
    for cgroup in child.info.cgroups_v1:
        cgroups.join_v1(cgroup)


def unshare_cgroup_namespace(child: Child) -> None:
    if child.info.namespaces.get("cgroup") == "new":
        namespaces.unshare("cgroup")


def detach_from_session(child: Child) -> None:
    os.setsid()
    os.umask(0o022)
    # The task starts as if from init: what the launcher ignores (Python: SIGPIPE) is not for it.
    signals.reset_ignored()
    signals.unblock_all()


def bring_up_interfaces(child: Child) -> None:
    if not child.info.interfaces_up:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for name in child.info.interfaces_up:
            request = struct.pack(_IFREQ, name.encode(), 0)
            (flags,) = struct.unpack_from("H", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack(_IFREQ, name.encode(), flags | _IFF_UP))


def set_hostname(child: Child) -> None:
    if child.info.hostname is not None:
        namespaces.set_hostname(child.info.hostname)


def set_sysctls(child: Child) -> None:
    attributes.set_sysctls(child.info.sysctls)


def set_oom_score_adj(child: Child) -> None:
    child.clamped += attributes.set_oom_score_adj(child.info.oom_score_adj)


def find_command_line(child: Child) -> None:
    if child.info.init:
        child.command_line = init.command_line()


def isolate_mounts(child: Child) -> None:
    if child.info.namespaces.get("mnt") == "new":
        mounts.make_all_private()


def mount_root(child: Child) -> None:
    if "user" in child.info.namespaces:  # then launcher.intermediate has mounted it
        child.root = root_filesystem.detach_root(child.info)
    else:
        child.root = root_filesystem.mount_root(child.info)


def open_sources(child: Child) -> None:
    child.sources = root_filesystem.open_sources(child.info)


def become_root(child: Child) -> None:
    if "user" in child.info.namespaces:
        apply_credentials(User(0, 0, (), "/"), None)


def resolve_user(child: Child) -> None:
    child.user = root_filesystem.resolve_user(child.root, child.info)
    terminal = {"TERM": task_stdio.TERM} if isinstance(child.stdio, Terminal) else {}
    child.environment = {"HOME": child.user.home, **terminal, **child.info.environment}


def fill_root(child: Child) -> None:
    root_filesystem.fill(child.root, child.info, child.sources)


def change_root(child: Child) -> None:
    if child.info.rootfs is not None:
        mounts.pivot_root(child.root)


def reopen_null(child: Child) -> None:
    """What the launcher gave as /dev/null is the host's, whose mode root in the container could change."""
    if child.info.rootfs is None and "mnt" not in namespace_plan.joined(child.info):
        return
    for descriptor in range(_STDIO):
        if os.fstat(descriptor).st_rdev == _NULL:
            null = os.open("/dev/null", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            if os.fstat(null).st_rdev != _NULL:  # a task has put something else there
                raise OSError(errno.ENODEV, "it is not the null device any more", "/dev/null")
            os.dup2(null, descriptor)
            os.close(null)


def take_stdio(child: Child) -> None:
    if isinstance(child.stdio, Terminal):
        task_stdio.open_terminal(child.stdio, child.channel, contained=child.info.rootfs is not None)
    if not isinstance(child.stdio, Inherit):
        task_stdio.hand_over(child.user)


def close_descriptors(child: Child) -> None:
    prctl.close_from(_STDIO + 1)


def enter_working_directory(child: Child) -> None:
    directory = child.info.working_directory or "/"
    try:
        os.chdir("/")
        for name in filter(None, directory.split("/")):  # one by one: os.makedirs recurses
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755)
            os.chdir(name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, directory) from None
    # The kernel names a directory outside the root "(unreachable)/…": CVE-2024-21626.
    if not os.getcwd().startswith("/"):
        raise PermissionError(1, "the working directory is outside the container", directory)


def set_attributes(child: Child) -> None:
    child.clamped += attributes.set_attributes(child.info)


def make_trampoline(child: Child) -> None:
    child.trampoline = trampoline.make()


def load_filter_with_privileges(child: Child) -> None:
    if not child.info.no_new_privileges:
        _load_filter(child)


def take_credentials(child: Child) -> None:
    apply_credentials(child.user, child.info.capabilities)
    if child.info.no_new_privileges:
        prctl.set_no_new_privileges()


def load_filter(child: Child) -> None:
    if child.info.no_new_privileges:
        _load_filter(child)


def _load_filter(child: Child) -> None:
    if child.info.seccomp is not None:
        seccomp.load(binascii.a2b_base64(child.info.seccomp))


# The order is the design: each step stands where the reason puts it.
STEPS: tuple[tuple[str, Callable[[Child], None]], ...] = (
    # First, so that all that follows counts; by the child itself, since any other way is slow.
    ("join the cgroups", join_cgroups),
    # Now, not at clone: the namespace is rooted at the cgroups that the child has joined meanwhile.
    ("unshare the cgroup namespace", unshare_cgroup_namespace),
    # Away from the launcher's terminal: no TIOCSTI into it, no signals from it.
    ("start a session", detach_from_session),
    # While /sys of the host and all capabilities are still there.
    ("bring up the network interfaces", bring_up_interfaces),
    ("set the hostname", set_hostname),
    # In the container's namespaces, by the host's /proc, which the change of root takes away.
    ("set the sysctls", set_sysctls),
    ("set the OOM score adjustment", set_oom_score_adj),
    ("find the command line", find_command_line),
    # Before the first mount, or it would show on the host.
    ("make the mounts private", isolate_mounts),
    ("mount the root filesystem", mount_root),
    # As the host's root, who may pass through every directory on the way.
    ("open the sources of the mounts", open_sources),
    # An id that the user namespace does not map can make no file.
    ("become root in the user namespace", become_root),
    # From the image's own files, before the mounts can hide them, and before the root changes.
    ("resolve the user", resolve_user),
    ("mount the filesystems", fill_root),
    ("change the root", change_root),
    # The container's own /dev is there now, and no descriptor of the terminal's is left over.
    ("open the terminal", take_stdio),
    # From the container's own /dev, which is there by now.
    ("reopen /dev/null", reopen_null),
    # Before the working directory: a path through /proc/self/fd would lead out (CVE-2024-21626).
    ("close the descriptors", close_descriptors),
    ("enter the working directory", enter_working_directory),
    # After the descriptors are closed, and before what may forbid it: its file must be the launcher's.
    ("make the trampoline", make_trampoline),
    # After what makes files and opens them, which a umask and the limits would disturb.
    ("set the process attributes", set_attributes),
    # Without no-new-privileges only who has CAP_SYS_ADMIN may: seccomp(2). The next step gives it up.
    ("load the seccomp filter", load_filter_with_privileges),
    # Every step above needs privileges that this one gives up.
    ("take the task's credentials", take_credentials),
    # Last: what the filter forbids the task, the steps above may need.
    ("load the seccomp filter", load_filter),
)


def run(
    info: LaunchInfo, channel: socket.socket, stdio: Stdio, descriptors: tuple[int, int, int]
) -> NoReturn:
    """Be the child: wait for the release, take the steps, become the task. Never returns."""
    stage = "wait for the release"
    try:
        # This is still our memory, in a PID namespace that may be another container's: CVE-2016-9962.
        prctl.hide_from_ptrace()
        prctl.set_parent_death_signal(signal.SIGKILL)
        channel = _rearrange_descriptors(channel, descriptors)
        protocol.receive(channel, protocol.Release)
        child = Child(info, channel, stdio)
        for name, step in STEPS:
            stage = name
            step(child)
        # The change of uid has undone it: prctl(2). It misses a supervisor that is gone already;
        # then so is the other end of the channel, and the next line fails.
        prctl.set_parent_death_signal(signal.SIGKILL)
        stage = protocol.EXECUTE
        argv = info.argv or ("",)
        path = find(argv[0], child.environment)
        if info.init:
            init.split(child.command_line)
        protocol.send(channel, protocol.Executing(path, tuple(map(asdict, child.clamped))))
        execute(path, argv, child.environment, child.trampoline, channel.fileno())
    except BaseException as error:
        _report(channel, stage, error)
    os._exit(1)


def _rearrange_descriptors(channel: socket.socket, stdio: tuple[int, int, int]) -> socket.socket:
    """stdin, stdout, stderr to 0, 1, 2, and the channel to 3: everything above can be closed."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STDIO + 1) for fd in (*stdio, channel.detach())]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=target < _STDIO)
        os.close(source)
    return socket.socket(fileno=_STDIO)


def _report(channel: socket.socket, stage: str, error: BaseException) -> None:
    """Ship the failure to the supervisor, which may be gone: then there is nobody to tell."""
    if isinstance(error, protocol.PeerGone):
        return
    try:
        protocol.send(channel, protocol.Failed.from_error(stage, error))
    except OSError:
        os._exit(1)
