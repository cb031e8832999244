"""The supervisor: one process a container, from before its clone until after its end.

It outlives the launcher that asked for it, and everybody else. It is the child's parent, so it alone
can collect the exit status; and it is the subreaper, so what the task leaves behind comes to it.

It is no Python: it is the machine (launcher/program/machine.py), which runs the first part of the
launch program; the child that it clones goes on with the rest. So it has 60 KiB of its own where a
forked interpreter has a megabyte, and nobody's memory is copied to make it. What it cannot do in a
list of system calls it leaves to a process of Python: to end what a task without a PID namespace has
left (launcher/orphans.py), and to clean up when the launcher is gone (the reaper, which it becomes).

    descriptor 3: the channel to the launcher, which has sent the descriptors that are the child's
    descriptor 4: the program; later the end that only it has open of a channel to the child
    descriptor 5: later the record of the exit status
    descriptor 6: later the link to the relay that serves the task's stdio, if there is one
    descriptors 7, 8: later the reading ends of the pipes that the relay serves, if there are
    descriptor 9: later the task's secrets, if it has any (launcher/secret_file.py)

It never reads the pipes: they keep the pipes whole when the relay is killed, until the next one takes
them (launcher/io/adoption.py). A terminal's master waits for that too, in the channel to the child.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterable, Sequence

from launcher import exit_record
from launcher.data import Data
from launcher.kernel import signals
from launcher.kernel.clone import CLONE_INTO_CGROUP, CLONE_PIDFD, FORK
from launcher.kernel.libc import AT_FDCWD
from launcher.program.assembler import (
    ALIVE,
    ANY,
    CHANNEL,
    FIRST_PASSED,
    FIRST_STDIO,
    SECRETS,
    Label,
    Program,
    Slot,
)
from launcher.program.messages import CLONED, ENDED, PACKET, message_with_descriptor, receive

_RECORD = 5
_LINK = 6

_EVERYTHING = 0xFFFFFFFF
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36
_AF_UNIX, _SOCK_SEQPACKET = 1, 5
_SOL_SOCKET, _SO_PASSCRED = 1, 16
_UCRED = 12  # bytes; the pid comes first: unix(7)
_POLLIN = 1
_POLLFD = struct.Struct("=ihh")
_MSG_NOSIGNAL, _MSG_PEEK, _MSG_DONTWAIT = 0x4000, 0x02, 0x40
_CLOCK_REALTIME = 0
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_WNOHANG = 1
_SIGNAL_SET = 8  # bytes
_CLONE_ARGS = struct.Struct("=11Q")

# Of the environment: it stays in a supervisor's memory as long as the container, so no more than this.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH")

# Its own, which whoever its posix_spawn(3) has started ignores: nptl(7).
_OF_GLIBC = (32, 33)

_IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_END_ORPHANS = (
    *(sys.executable, "-I", "-S", "-B", "-c"),
    "import sys; sys.path.insert(0, sys.argv[1]); from launcher import orphans; orphans.main()",
    _IMPORT_ROOT,
)


class Supervised(Data):
    """What a supervisor has to know of its container."""

    container_id: str
    exit_status_path: str
    reaper: Sequence[str]  # argv that cleans up when the launcher has gone; () for none
    caretaker: str | None  # the lock file of who cleans up instead
    flags: int  # of clone(2)
    cgroup: int  # the child's descriptor of the v2 cgroup that it is cloned into; -1: none
    intermediate: bool  # what is cloned first clones the child
    leaves_orphans: bool  # no PID namespace ends everything with the task
    link: int  # the child's descriptor of the link to the relay; -1: none
    kept: Sequence[int]  # the child's descriptors of the reading ends of what the relay serves
    terminal: bool  # the child sends us its master
    secrets: int  # the child's descriptor of their file; -1: none


class Supervisor:
    """What the steps share."""

    def __init__(self, program: Program, asked: Supervised) -> None:
        self.program = program
        self.asked = asked
        self.child = Label()  # where the child goes on
        self.launcher_gone = Label()
        self.task = Slot()  # where its pid is, once it is known
        self.record = program.buffer(exit_record.RECORD.pack(exit_record.MARK, 0, 0, 0))
        self.opened_record = Slot()
        ends = program.buffer(bytes(8))
        self.own_end, self.child_end = Slot(ends), Slot(ends + 4)


def settle(own: Supervisor) -> None:
    """Leave the launcher's directory, name and descriptors; its session is whoever's that has started it.

    One for each would be another group of the scheduler's (sched(7), autogroup) in the way of every write of
    a CPU quota, for each walks all of them.
    """
    program = own.program
    program.call("close_range", FIRST_STDIO, _EVERYTHING, 0)
    null = program.call("openat", AT_FDCWD, os.devnull.encode(), os.O_RDWR, on=os.devnull)
    for descriptor in range(3):
        program.call("dup3", null, descriptor, 0, tolerate=(errno.EINVAL,))  # it is the same already
    program.call("close_range", FIRST_STDIO, _EVERYTHING, 0)
    program.call("chdir", b"/")
    program.call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # What ps shows: 15 bytes, the rest is cut.
    program.call("prctl", _PR_SET_NAME, os.fsencode(f"ctz:{own.asked.container_id}"), 0, 0, 0)
    _set_signals(program, signals.IGNORED, signal.SIG_IGN)
    _set_signals(program, _OF_GLIBC, signal.SIG_DFL)


def take_descriptors(own: Supervisor) -> None:
    """Of the launcher, straight into their places: above the program nothing is open."""
    program, taken = own.program, Label()
    receive(program, CHANNEL, 4 * (FIRST_PASSED - FIRST_STDIO + len(program.passed)), taken)
    program.call("exit_group", 1)  # it is gone
    program.place(taken)


def reserve_the_record(own: Supervisor) -> None:
    program = own.program
    path = os.fsencode(exit_record.being_written(own.asked.exit_status_path))
    own.opened_record = program.call("openat", AT_FDCWD, path, _WRITE, 0o600, tolerate=(ANY,))
    program.call("fallocate", own.opened_record, 0, 0, exit_record.ROOM, tolerate=(ANY,))


def make_the_channel(own: Supervisor) -> None:
    program = own.program
    program.call("socketpair", _AF_UNIX, _SOCK_SEQPACKET | os.O_CLOEXEC, 0, int(own.own_end))
    if own.asked.intermediate:
        on = program.constant(struct.pack("=i", 1))
        program.call("setsockopt", own.own_end, _SOL_SOCKET, _SO_PASSCRED, on, 4)


def clone_the_child(own: Supervisor) -> None:
    program, asked, parent = own.program, own.asked, Label()
    told = message_with_descriptor(program, CLONED)
    flags = CLONE_PIDFD | (0 if asked.intermediate else asked.flags)
    cgroup = max(asked.cgroup, 0)
    if cgroup:
        flags |= CLONE_INTO_CGROUP
    args = _CLONE_ARGS.pack(flags, told.descriptor, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, cgroup)
    place = program.buffer(args)
    own.task = program.call(
        "clone3", place, len(args), on=f"flags {asked.flags:#x}", store=told.number, then=parent
    )
    program.jump(own.child)
    program.place(parent)
    if not asked.intermediate:
        for receiver in (CHANNEL, asked.link) if asked.link >= 0 else (CHANNEL,):
            program.call("sendmsg", receiver, told.header, _MSG_NOSIGNAL, tolerate=(ANY,))


def close_the_rest(own: Supervisor) -> None:
    program, kept, unopened = own.program, Label(), Label()
    program.call("dup3", own.own_end, ALIVE, os.O_CLOEXEC)
    program.call("dup3", own.opened_record, _RECORD, os.O_CLOEXEC, tolerate=(ANY,), otherwise=unopened)
    program.jump(kept)
    program.place(unopened)
    program.call("close_range", _RECORD, _RECORD, 0)
    program.place(kept)
    # The last two are KEPT.
    served = () if own.asked.link < 0 else (own.asked.link, *own.asked.kept)
    for place, descriptor in enumerate(served, _LINK):
        program.call("dup3", descriptor, place, os.O_CLOEXEC)
    free = _LINK + len(served)
    if own.asked.secrets >= 0:
        there = (errno.EINVAL,)  # it has that number already
        program.call("dup3", own.asked.secrets, SECRETS, os.O_CLOEXEC, tolerate=there)
        if free < SECRETS:
            program.call("close_range", free, SECRETS - 1, 0)
        free = SECRETS + 1
    program.call("close_range", free, _EVERYTHING, 0)


def learn_of_the_child(own: Supervisor) -> None:
    if not own.asked.intermediate:
        return
    program, waiting, born = own.program, Label(), Label()
    # The launcher may give up, or go, while the intermediate hangs in a mount.
    either = _POLLFD.pack(ALIVE, _POLLIN, 0) + _POLLFD.pack(CHANNEL, _POLLIN, 0)
    program.call("ppoll", program.buffer(either), 2, 0, 0, 0)
    peek = (program.buffer(bytes(1), 1), 1, _MSG_PEEK | _MSG_DONTWAIT, 0, 0)
    program.call("recvfrom", CHANNEL, *peek, tolerate=(errno.EAGAIN,), otherwise=waiting)
    program.call("kill", own.task, signal.SIGKILL)  # still the intermediate, and not collected
    program.place(waiting)
    own.task = Slot(receive(program, ALIVE, _UCRED, born))
    # It has failed, and has said why. Until it is collected no PID namespace that it has entered ends.
    status, collect, over = program.buffer(bytes(4)), Label(), Label()
    program.place(collect)
    program.call("wait4", -1, status, 0, 0, then=collect, tolerate=(errno.ECHILD,), otherwise=over)
    program.place(over)
    program.call("exit_group", 1)
    program.place(born)


def wait_for_the_end(own: Supervisor) -> None:
    program, again, ended = own.program, Label(), Label()
    program.place(again)
    status = own.record + exit_record.STATUS
    nobody = {"tolerate": (errno.ECHILD,), "otherwise": ended}
    program.call("wait4", -1, status, 0, 0, then=ended, equals=own.task, **nobody)  # type: ignore[arg-type]
    program.jump(again)
    program.place(ended)
    program.call("clock_gettime", _CLOCK_REALTIME, own.record + exit_record.TIME)


def end_orphans(own: Supervisor) -> None:
    if not own.asked.leaves_orphans:
        return
    program, collect, wait, none = own.program, Label(), Label(), Label()
    status = program.buffer(bytes(4))
    program.place(collect)
    program.call("wait4", -1, status, _WNOHANG, 0, then=collect, tolerate=(errno.ECHILD,), otherwise=none)
    program.call("clone", *FORK, 0, 0, 0, then=wait)
    _execute(program, _END_ORPHANS)
    program.place(wait)
    program.call("wait4", -1, status, 0, 0, then=wait, tolerate=(errno.ECHILD,), otherwise=none)
    program.place(none)


def forget_what_never_ran(own: Supervisor) -> None:
    """What has said nothing before its end was never executed: its status is none of a task's."""
    program, ran = own.program, Label()
    said = (program.buffer(bytes(1), 1), 1, _MSG_DONTWAIT, 0, 0)
    if own.asked.terminal:
        program.call("recvfrom", ALIVE, *said, tolerate=(ANY,))  # its master comes first
    program.call("recvfrom", ALIVE, *said, then=ran, tolerate=(ANY,))
    ended = (program.constant(PACKET.pack(ENDED, 0)), PACKET.size, _MSG_NOSIGNAL, 0, 0)
    program.call("sendto", CHANNEL, *ended, tolerate=(ANY,), otherwise=own.launcher_gone)
    program.call("exit_group", 0)
    program.place(ran)


def await_the_output(own: Supervisor) -> None:
    if own.asked.link < 0:
        return
    program, over = own.program, Label()
    record = (own.record, exit_record.RECORD.size, _MSG_NOSIGNAL, 0, 0)
    program.call("sendto", _LINK, *record, tolerate=(ANY,), otherwise=over)
    answer = (program.buffer(bytes(1), 1), 1, 0, 0, 0)
    program.call("recvfrom", _LINK, *answer, tolerate=(ANY,))  # in time, or never: the link has a time limit
    program.place(over)


def record_the_end(own: Supervisor) -> None:
    program, untold = own.program, Label()
    path = own.asked.exit_status_path
    fails = {"tolerate": (ANY,), "otherwise": untold}
    new, whole = os.fsencode(exit_record.being_written(path)), os.fsencode(path)
    size = exit_record.RECORD.size
    for call in (
        ("pwrite64", _RECORD, own.record, size, 0),  # into the blocks that were reserved,
        ("ftruncate", _RECORD, size),  # so before they are cut off
        ("fsync", _RECORD),
        ("renameat2", AT_FDCWD, new, AT_FDCWD, whole, 0),
    ):
        program.call(*call, **fails)  # type: ignore[arg-type]
    program.place(untold)


def tell_of_the_end(own: Supervisor) -> None:
    record = (own.record, exit_record.RECORD.size, _MSG_NOSIGNAL, 0, 0)
    own.program.call("sendto", CHANNEL, *record, tolerate=(ANY,), otherwise=own.launcher_gone)
    own.program.call("exit_group", 0)
    own.program.place(own.launcher_gone)


def become_the_reaper(own: Supervisor) -> None:
    if own.asked.reaper:
        _leave_it_to_the_caretaker(own)
        _set_signals(own.program, signals.IGNORED, signal.SIG_DFL)
        own.program.call("close_range", CHANNEL, _EVERYTHING, 0)
        _execute(own.program, own.asked.reaper)
    own.program.call("exit_group", 0)


def _leave_it_to_the_caretaker(own: Supervisor) -> None:
    """Exit where somebody holds the lock: they see us end, or look for what has ended when they start."""
    if own.asked.caretaker is None:
        return
    program, nobody = own.program, Label()
    path = os.fsencode(own.asked.caretaker)
    file = program.call("openat", AT_FDCWD, path, _READ, 0, tolerate=(ANY,), otherwise=nobody)
    taken, shared = Label(), fcntl.LOCK_SH | fcntl.LOCK_NB
    program.call("flock", file, shared, tolerate=(errno.EWOULDBLOCK,), otherwise=taken)
    program.jump(nobody)
    program.place(taken)
    program.call("exit_group", 0)
    program.place(nobody)


# The order is the design, as in launcher.child.
STEPS: tuple[tuple[str, Callable[[Supervisor], None]], ...] = (
    # First, or what the launcher has open by accident would be open as long as the container lives.
    ("leave the launcher", settle),
    ("take the descriptors", take_descriptors),
    # While there is some space: the task may fill the disk.
    ("reserve the record of the exit status", reserve_the_record),
    # Whose end tells the child that we are gone, where its parent death signal comes too early.
    ("make a channel to the child", make_the_channel),
    ("clone the child", clone_the_child),
    # Or whoever reads the task's output would wait for us.
    ("close what is the child's", close_the_rest),
    # One that is not of our cloning: it says something, and the kernel adds who it is.
    ("learn of the child", learn_of_the_child),
    # Collecting meanwhile whatever else ends.
    ("wait for the end", wait_for_the_end),
    # Without a PID namespace, what the task forked may live on: now our children.
    ("end what the task has left", end_orphans),
    ("forget what never ran", forget_what_never_ran),
    # In the order in which others rely on it: the output, the record, the news, the clean-up.
    ("await the end of the output", await_the_output),
    ("record the exit status", record_the_end),
    ("tell of the end", tell_of_the_end),
    ("clean up", become_the_reaper),
)


def write(program: Program, asked: Supervised) -> None:
    """Begin the program with the supervisor's part; what is written next is the child's."""
    own, first = Supervisor(program, asked), Label()
    program.jump(first)

    def write_steps() -> None:  # last, when it is known what the child is passed
        for name, step in STEPS:
            program.stage = name
            step(own)

    program.aside(first, write_steps)
    program.place(own.child)
    program.call("close", own.own_end)  # which is to end with the supervisor
    program.call("dup3", own.child_end, ALIVE, os.O_CLOEXEC)


def _set_signals(program: Program, numbers: Iterable[int], action: int) -> None:
    handler = program.constant(struct.pack("=4Q", action, 0, 0, 0))
    for number in numbers:
        program.call("rt_sigaction", number, handler, 0, _SIGNAL_SET)


def inherited() -> tuple[tuple[str, str], ...]:
    """What of the launcher's environment goes into programs."""
    return tuple((name, value) for name in _INHERITED if (value := os.environ.get(name)) is not None)


def _execute(program: Program, argv: Sequence[str]) -> None:
    arguments = program.pointers(map(os.fsencode, argv))
    variables = program.pointers(os.fsencode(f"{name}={value}") for name, value in inherited())
    program.call("execve", os.fsencode(argv[0]), arguments, variables, on=argv[0])
