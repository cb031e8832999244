"""The child: from clone to exec, as one list of steps.

Each step writes its system calls into the launch program (launcher/program), which the child runs: no
interpreter, no allocation and no decision lies between its clone and the task. What has to be known
for that (the task's user, what the host grants) is found out here, in the launcher, before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
from collections.abc import Callable, Sequence

from launcher import attribute_steps, namespaces, root_filesystem, root_view, shields
from launcher.credential_steps import (
    forbid_new_privileges,
    load_filter,
    load_filter_with_privileges,
    set_labels,
    take_credentials,
    take_ids,
)
from launcher.execute import candidates
from launcher.kernel import keyring, signals
from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.mounts import MNT_DETACH
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.kernel.sysctl import path_of
from launcher.launch_info import LaunchInfo
from launcher.process_attributes import Clamped
from launcher.program import mounts
from launcher.program.assembler import ALIVE, ANY, CHANNEL, FIRST_STDIO, Label, Program, Slot
from launcher.program.files import write_file
from launcher.program.messages import EXECUTING, REPORT, await_release, say_to_supervisor, tell
from launcher.program.objects import Explained
from launcher.protocol import EXECUTE, NO_INTERPRETER
from launcher.root_view import RootView
from launcher.stdio import Inherit, Stdio, Terminal
from launcher.user import User

TERM = "xterm"  # what every terminal understands; the image and the request come first

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_SIG_SETMASK = 2
_SIGNAL_SET = 8  # bytes
_EVERYTHING = 0xFFFFFFFF

_IFREQ = struct.Struct("16sH22x")  # struct ifreq up to its flags, netdevice(7)
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFF_MULTICAST = 0x1000
_MSG_PEEK, _MSG_DONTWAIT = 0x02, 0x40
_AF_INET, _SOCK_DGRAM = 2, 2
_X_OK = 1
_PATH_MAX = 4096
_OUTSIDE = "the working directory is outside the container"
_NOT_HERE = (errno.ENOENT, errno.ENOTDIR)

_ROOT = User(0, 0, (), "/")


class Child:
    """What the steps share: the task in, the program out."""

    def __init__(self, info: LaunchInfo, stdio: Stdio, channel: int, link: int = -1) -> None:
        """Our descriptors of the child's end of a channel to the launcher, and of the link to its relay."""
        self.info = info
        self.stdio = stdio
        self.program = Program()
        self.channel = self.program.pass_descriptor(channel)
        self.link = self.program.pass_descriptor(link) if link >= 0 else -1
        self.view = RootView(-1)  # as long as the program is written
        self.makes_root = False  # itself, the mounts of the root filesystem, and not the launcher
        self.directories: tuple[bool, ...] = ()  # of each of the mounts: whether its target is one
        self.detached: dict[str, int] = {}  # target → what is mounted there, made already: launcher.detached
        self.root: Slot | int = -1  # descriptor of the root filesystem, until it is /
        self.filler: root_filesystem.Filler | None = None
        self.proc: Slot | None = None  # the host's, where another one may be in sight
        self.inherits = False  # whether an intermediate has set what is set by the host's procfs
        self.user = _ROOT
        self.granted: list[Clamped] = []  # less than was asked for: known by now,
        self.reports: list[Clamped] = []  # or reported by the child, by the place here

    def look_at_sources(self, opened: contextlib.ExitStack, *, plain: bool = False) -> None:
        """Find out what is mounted below the root; if `plain`, by the child alone. Raises OSError."""
        self.program.stage = "open the sources of the mounts"
        self.detached = {} if plain else root_view.open_detached(self.info, opened)
        self.directories = root_view.are_directories(self.info, self.detached)

    def look_into_root(self, opened: contextlib.ExitStack) -> None:
        """Open the view, with the mounts of the root filesystem. Raises OSError."""
        self.program.stage = "mount the root filesystem"
        self.view = opened.enter_context(root_view.opened(self.info))

    def resolve_user(self) -> None:
        """Find the user in the image's own files. Raises OSError."""
        self.program.stage = "resolve the user"
        found = self.view.resolve_user(self.info.user, self.info.image_groups)
        self.user = found.with_groups(self.info.additional_gids) if self.info.additional_gids else found

    @property
    def environment(self) -> dict[str, str]:
        """The task's, once its user is known."""
        terminal = {"TERM": TERM} if isinstance(self.stdio, Terminal) else {}
        named = {**self.info.environment, **self.info.secret_environment}
        return {"HOME": self.user.home, **terminal, **named}

    def begin(self) -> None:
        """Begin the program; what it passes stays passed."""
        passed, stage = self.program.passed, self.program.stage
        self.program = shields.shielded(self.info.readonly_paths, self.info.masked_paths).copy()
        self.program.passed, self.program.stage = passed, stage

    def with_other(self, info: LaunchInfo) -> Child:
        """One for this info, that passes and sees the same."""
        other = Child.__new__(Child)
        other.__dict__ |= self.__dict__
        other.info = info
        other.program = Program()
        other.program.passed = list(self.program.passed)
        return other

    def report(self, clamped: Clamped) -> None:
        """Have the child report this when it comes here."""
        tell(self.program, REPORT, len(self.reports))
        self.reports.append(clamped)


def hide(child: Child) -> None:
    """From whoever is in a PID namespace that it enters, and with its supervisor's end: prctl(2)."""
    child.program.call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    die_with_supervisor(child)


def take_channel(child: Child) -> None:
    """The one to the launcher, in the place of its supervisor's."""
    child.program.call("dup3", child.channel, CHANNEL, os.O_CLOEXEC)


def join_cgroups(child: Child) -> None:
    # "0" in `tasks`, by the process itself, is the one move without the kernel's global lock, whose first
    # taker waits for an RCU grace period, 5 to 25 ms: cgroup_procs_write_start() in
    # kernel/cgroup/cgroup.c. On v2 the same is had from clone(2) with CLONE_INTO_CGROUP.
    for cgroup in child.info.cgroups_v1:
        tasks = os.path.join(cgroup, "tasks")
        write_file(child.program, tasks, b"0")


def unshare_cgroup_namespace(child: Child) -> None:
    if child.info.namespaces.get("cgroup") == namespaces.NEW:
        child.program.call("unshare", CLONE_FLAGS["cgroup"], on="cgroup")


def detach_from_session(child: Child) -> None:
    program = child.program
    program.call("setsid")
    program.call("umask", 0o022)
    # The task starts as if from init. Its supervisor ignores these, and no others.
    default = program.constant(bytes(32))
    for number in signals.IGNORED:
        program.call("rt_sigaction", number, default, 0, _SIGNAL_SET)
    program.call("rt_sigprocmask", _SIG_SETMASK, program.constant(bytes(_SIGNAL_SET)), 0, _SIGNAL_SET)


def take_keyring(child: Child) -> None:
    program, joined = child.program, keyring.JOIN_SESSION_KEYRING
    program.call("keyctl", joined, 0, on="session keyring", tolerate=keyring.NOTHING_TO_HIDE)


def take_stdio(child: Child) -> None:
    if not isinstance(child.stdio, Terminal):
        for target in range(3):
            child.program.call("dup3", FIRST_STDIO + target, target, 0)


def bring_up_interfaces(child: Child) -> None:
    if not child.info.interfaces_up:
        return
    any_socket = child.program.call("socket", _AF_INET, _SOCK_DGRAM, 0)
    for name in child.info.interfaces_up:
        flags = _IFF_UP if name == "lo" else _IFF_UP | _IFF_MULTICAST
        request = child.program.constant(_IFREQ.pack(name.encode(), flags))
        child.program.call("ioctl", any_socket, _SIOCSIFFLAGS, request, on=name)


def set_hostname(child: Child) -> None:
    if child.info.hostname is not None:
        name = child.info.hostname.encode()
        child.program.call("sethostname", name, len(name), on=child.info.hostname)


def set_sysctls(child: Child) -> None:
    """`launcher.validate` has refused what is not the container's own."""
    for name, value in child.info.sysctls.items():
        write_file(child.program, path_of(name), value.encode(), child.proc)


def isolate_mounts(child: Child) -> None:
    if child.info.namespaces.get("mnt") == namespaces.NEW:
        mounts.make_all_private(child.program)


def mount_root(child: Child) -> None:
    if "mnt" not in namespaces.made(child.info):
        return
    if "user" in child.info.namespaces:  # then launcher.intermediate has mounted it
        child.root = root_filesystem.detach_root(child.program, child.info)
    else:
        trees = None if child.makes_root else child.view.trees
        child.root = root_filesystem.mount_root(child.program, child.info, trees)
    if child.info.bundle and child.info.rootfs:
        child.root = root_filesystem.show_to_hooks(child.program, child.root, child.info.bundle)
    child.filler = root_filesystem.Filler(child)


def open_sources(child: Child) -> None:
    if child.filler:
        child.filler.open_sources()


def become_root(child: Child) -> None:
    if "user" in child.info.namespaces:
        take_ids(child.program, _ROOT)


def fill_root(child: Child) -> None:
    if child.filler:
        child.filler.fill()


def await_hooks(child: Child, point: str) -> None:
    if child.info.hooks:
        from launcher import hook_steps  # which few have

        hook_steps.await_hooks(child, point)


def change_root(child: Child) -> None:
    """Stack the old root on the new one, so that no directory for it is needed: pivot_root(2), NOTES."""
    if child.info.rootfs is None:
        return
    program = child.program
    program.call("fchdir", child.root, on=child.info.rootfs)
    program.call("pivot_root", b".", b".", on=child.info.rootfs)
    program.call("umount2", b".", MNT_DETACH, on="the old root")
    program.call("chdir", b"/")


def open_terminal(child: Child) -> None:
    if isinstance(child.stdio, Inherit):
        return
    from launcher import task_stdio

    if isinstance(child.stdio, Terminal):
        contained = child.info.rootfs is not None
        task_stdio.open_terminal(child.program, child.stdio, child.link, contained=contained)
    task_stdio.hand_over(child.program, child.stdio, child.user)


def close_descriptors(child: Child) -> None:
    child.program.call("close_range", FIRST_STDIO, _EVERYTHING, 0)


def enter_working_directory(child: Child) -> None:
    program = child.program
    directory = child.info.working_directory or "/"
    program.call("chdir", b"/")
    for name in filter(None, directory.split("/")):  # one by one, as far as they are missing
        program.call("mkdirat", AT_FDCWD, os.fsencode(name), 0o755, on=directory, tolerate=(errno.EEXIST,))
        program.call("chdir", os.fsencode(name), on=directory)
    if directory != "/":
        # A directory outside the root the kernel names "(unreachable)/…", which leads nowhere:
        # CVE-2024-21626.
        path = program.buffer(bytes(_PATH_MAX))
        program.call("getcwd", path, _PATH_MAX, on=directory)
        program.call("chdir", path, on=Explained(directory, {None: _OUTSIDE}))


def die_with_supervisor(child: Child) -> None:
    program, alive = child.program, Label()
    program.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # That misses one that is gone already; but then so is the other end of the channel.
    peek = (program.buffer(bytes(1), 1), 1, _MSG_PEEK | _MSG_DONTWAIT, 0, 0)
    program.call("recvfrom", ALIVE, *peek, tolerate=(ANY,), otherwise=alive)
    program.call("exit_group", 1)
    program.place(alive)


def split_init(child: Child) -> None:
    if child.info.init:
        from launcher import init

        init.split(child.program)


def execute(child: Child) -> None:
    """As execvpe(3): the first in PATH that is there and can be executed; else the best reason why not."""
    program = child.program
    argv = child.info.argv or ("",)
    # To the supervisor first: what the launcher takes for a task, that one must, too.
    say_to_supervisor(program)  # from here on its end is a task's
    tell(program, EXECUTING)
    if child.info.pause:
        from launcher import init

        init.pause(program)
        return
    environment = child.environment
    arguments = program.pointers(map(os.fsencode, argv))
    variables = program.pointers(os.fsencode(f"{name}={value}") for name, value in environment.items())
    paths = [(path, os.fsencode(path)) for path in candidates(argv[0], environment)]
    for unsuitable in (*_NOT_HERE, errno.EACCES), _NOT_HERE:
        for path, encoded in paths:
            following = Label()
            program.call(
                "faccessat", AT_FDCWD, encoded, _X_OK, on=path, tolerate=unsuitable, otherwise=following
            )
            denied = tuple(number for number in unsuitable if number == errno.EACCES)  # a directory
            program.call(
                "execve",
                *(encoded, arguments, variables),
                on=Explained(path, {errno.ENOENT: NO_INTERPRETER}),
                tolerate=denied,
                otherwise=following if denied else None,
            )
            program.place(following)
    program.call("faccessat", AT_FDCWD, b"", _X_OK, on=argv[0])  # ENOENT


# The order is the design: each step stands where the reason puts it.
STEPS: tuple[tuple[str, Callable[[Child], None]], ...] = (
    # First, so that all that follows counts; by the child itself, since any other way is slow.
    ("join the cgroups", join_cgroups),
    # Now, not at clone: the namespace is rooted at the cgroups that the child has joined meanwhile.
    ("unshare the cgroup namespace", unshare_cgroup_namespace),
    # Away from the launcher's terminal: no TIOCSTI into it, no signals from it.
    ("start a session", detach_from_session),
    # Or the launcher's would be in the task's reach. As the host's root, whose quota is large.
    ("take a keyring of its own", take_keyring),
    ("take the standard descriptors", take_stdio),
    # While /sys of the host and all capabilities are still there.
    ("bring up the network interfaces", bring_up_interfaces),
    ("set the hostname", set_hostname),
    # In the container's namespaces, by the host's /proc, which the change of root takes away.
    ("set the sysctls", set_sysctls),
    ("set the OOM score adjustment", attribute_steps.set_oom_score_adj),
    ("set the security labels", set_labels),
    # Before the first mount, or it would show on the host.
    ("make the mounts private", isolate_mounts),
    ("mount the root filesystem", mount_root),
    # As the host's root, who may pass through every directory on the way.
    ("open the sources of the mounts", open_sources),
    # An id that the user namespace does not map can make no file.
    ("become root in the user namespace", become_root),
    ("mount the filesystems", fill_root),
    # With all that is mounted in sight, and the host's files too.
    ("wait for the hooks before the change of root", lambda child: await_hooks(child, "prestart")),
    ("change the root", change_root),
    # The container's own /dev is there now, and no descriptor of the terminal's is left over.
    ("open the terminal", open_terminal),
    # Before the working directory: a path through /proc/self/fd would lead out (CVE-2024-21626).
    ("close the descriptors", close_descriptors),
    ("enter the working directory", enter_working_directory),
    ("wait for the hooks before the task", lambda child: await_hooks(child, "startContainer")),
    # After what makes files and opens them, which a umask and the limits would disturb.
    ("set the process attributes", attribute_steps.set_attributes),
    # Without no-new-privileges only who has CAP_SYS_ADMIN may: seccomp(2). The next step gives it up.
    ("load the seccomp filter", load_filter_with_privileges),
    # Every step above needs privileges that this one gives up.
    ("take the task's credentials", take_credentials),
    ("forbid new privileges", forbid_new_privileges),
    # Again: the change of credentials has undone it, prctl(2).
    ("die with the supervisor", die_with_supervisor),
    # Last: what the filter forbids the task, the steps above may need.
    ("load the seccomp filter", load_filter),
    # As the task, with its privileges and its filter.
    ("become PID 1", split_init),
    (EXECUTE, execute),
)


STEPS_AFTER_INTERMEDIATE = tuple(step for step in STEPS if step[1] is not join_cgroups)


def write_steps(child: Child, steps: Sequence[tuple[str, Callable[[Child], None]]]) -> None:
    """Write the child's program from its release on. Raises OSError for what can be told by now."""
    child.program.stage = "mount the filesystems"
    child.view.fill_volumes(child.info, child.user)
    child.program.stage = "wait for the release"
    hide(child)
    take_channel(child)
    await_release(child.program)
    for name, step in steps:
        child.program.stage = name
        step(child)
