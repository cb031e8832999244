"""The supervisor: one forked process a container, from before its clone until after its end.

It outlives the launcher that asked for it. It is the child's parent, so it alone can collect the
exit status; and it is the subreaper, so what the task leaves behind comes to it and is ended here.

It has no part in how the container is made: it hands the launch program on, unread. The fewer
objects it touches the smaller it is, since each that it does is no longer its fork server's.

Its descriptors come from the launcher as: the program; what is to be the task's stdin, stdout and
stderr (of pipes stdin only, of a terminal none); what the program has the launcher pass along.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Sequence
from typing import NoReturn

from launcher import exit_record, protocol
from launcher.exit_status import ExitStatus
from launcher.io.inherited import InheritedIO
from launcher.io.loop import IN, Loop
from launcher.kernel import cgroups, clone, prctl, signals, user_namespaces
from launcher.program.assembler import CHANNEL, FIRST_PASSED, FIRST_STDIO
from launcher.program.messages import CLONED, EXECUTING, PACKET, TERMINAL_OPENED, is_failure
from launcher.program.spawn import Spawner
from launcher.supervision import Descriptors, Main, supervise

_CHILD_KILLED = protocol.Failed("prepare the task", "", "", 0, "the child was killed")
_PIPE_BUFFER = 64 * 1024  # bytes
_STDIO = {"inherit": 3, "pipes": 1, "terminal": 0}  # how many of the task's descriptors come with it
_ANCILLARY = socket.CMSG_SPACE(4)  # one descriptor

_ToLauncher = protocol.Cloned | protocol.Running | protocol.Failed | protocol.Exited


def prepare(*, settled: bool) -> Main:
    """What a forked process runs; in a fork server (`settled`) its process takes the common steps now."""
    shared = Spawner() if settled else None
    if settled:
        _settle()

    def main(channel: socket.socket, request: protocol.Launch, descriptors: Descriptors) -> NoReturn:
        def make() -> Supervisor:
            os.setsid()
            signals.default((signal.SIGCHLD,))
            prctl.set_child_subreaper()
            spawner = shared or Spawner()
            stdio = _STDIO[request.stdio["mode"]]
            own = _Descriptors(channel, spawner.executable, descriptors, stdio)
            if not settled:
                _settle()  # now that no descriptor of the task's is among what it replaces
            return Supervisor(own, spawner, request)

        supervise(channel, make)

    return main


def _settle() -> None:
    """Leave the launcher's directory, signal handlers and stdio; stderr till later."""
    os.chdir("/")
    signal.set_wakeup_fd(-1)
    signals.reset_ignored()  # Python's and the launcher's own, so that the child knows what to reset
    signals.ignore(signals.IGNORED)
    signals.unblock_all()
    _close_stdio((0, 1) if _is_open(2) else (0, 1, 2))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _close_stdio(descriptors: Sequence[int]) -> None:
    """Put /dev/null in the place of descriptors below 3, which may be closed already."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
        os.set_inheritable(descriptor, True)  # dup2(2) leaves it alone where it is `null` itself
    if null not in descriptors:
        os.close(null)


class _Descriptors:
    """The child's in their places, all of them taken from the start; above these our own; no others."""

    def __init__(self, channel: socket.socket, executable: int, descriptors: Descriptors, stdio: int) -> None:
        """`stdio`: how many of the descriptors are the task's, after the program."""
        program, *rest = descriptors
        places = [program] * (FIRST_PASSED - CHANNEL)
        places[FIRST_STDIO - CHANNEL : FIRST_STDIO - CHANNEL + stdio] = rest[:stdio]
        wanted = [*places, *rest[stdio:], executable, channel.detach()]
        above = CHANNEL + len(wanted)
        moved = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in set(wanted)}
        self.executable, self.launcher = above - 2, above - 1
        prctl.close_range(CHANNEL, above - 1)
        for place, descriptor in enumerate(wanted, CHANNEL):
            os.dup2(moved[descriptor], place, inheritable=place < self.executable)
        prctl.close_from(above)

    def place(self, descriptor: int, place: int) -> None:
        """Give the child this one there; it is closed here."""
        os.dup2(descriptor, place)
        os.close(descriptor)

    def close(self) -> None:
        """Keep no copy of the child's: whoever reads its output would wait for us."""
        prctl.close_range(CHANNEL, self.executable)


class NotCloned(Exception):
    """The child could not be cloned."""


class Supervisor:
    """The life of one container, seen from its parent."""

    def __init__(self, descriptors: _Descriptors, spawner: Spawner, request: protocol.Launch) -> None:
        self.launcher = socket.socket(fileno=descriptors.launcher)
        self._descriptors = descriptors
        self._spawner = spawner
        self._request = request
        self._launcher_gone = False
        self._ended = False
        self._loop = Loop()
        self._io = self._open_io()
        prctl.set_name(f"ctz:{request.container_id}")

    def run(self) -> None:
        """Clone, wait for the release, start the task, and see it to its end."""
        try:
            self._clone()
        except NotCloned:
            return
        except OSError as error:
            self._tell(protocol.Failed.from_error("clone the child", error))
            return
        running = False
        try:
            self._tell(protocol.Cloned(self._pid), [self._pidfd])
            if self._wait_for_release():
                running = self._start_task()
            if running:
                self._watch()
        finally:
            status = self._end_everything()  # whatever happened: nobody else could
            self._finish(status if running else None)

    def _finish(self, status: ExitStatus | None) -> None:
        """The end, in the order in which others may rely on it: the output, the status, the clean-up."""
        try:
            self._io.drain()
        finally:
            self._report(status)

    def _report(self, status: ExitStatus | None) -> None:
        """Tell of the end of a task that ran: the disk, the launcher, and if that is gone the reaper."""
        try:
            if status:
                exit_record.write(self._request.exit_status_path, status)
        finally:
            if status:
                self._tell(protocol.Exited(status.code, status.signal))
            self._io.end(status)
            if self._launcher_gone and self._request.reaper:
                self._become_reaper()

    def _become_reaper(self) -> NoReturn:
        signals.default(signals.IGNORED)
        os.execv(self._request.reaper[0], list(self._request.reaper))  # noqa: S606 - no shell wanted

    def _open_io(self) -> InheritedIO:
        if self._request.service is None:
            return InheritedIO()
        from launcher.io.served import ServedIO  # what `run` in the foreground need not load

        return ServedIO(self._request.stdio, self._request.service, self._loop)

    def _clone(self) -> None:
        own_end, child_end = protocol.channel()
        self._channel = own_end
        self._descriptors.place(child_end.detach(), CHANNEL)
        for number, descriptor in enumerate(self._io.take_child_ends(), FIRST_STDIO):
            if descriptor >= 0:
                self._descriptors.place(descriptor, number)
        if self._request.maps:
            self._make_user_namespace()
        flags = 0 if self._request.intermediate else self._request.flags
        self._pid, self._pidfd = self._spawn(flags)
        self._descriptors.close()
        if self._request.intermediate:
            self._replace_intermediate()

    def _make_user_namespace(self) -> None:
        uid_map, gid_map = ([(i, o, n) for i, o, n in ranges] for ranges in self._request.maps)
        try:
            namespace = user_namespaces.create(uid_map, gid_map)
        except OSError as error:
            self._tell(protocol.Failed.from_error("make the user namespace", error))
            raise NotCloned from error
        self._descriptors.place(namespace, self._request.user_namespace)

    def _spawn(self, flags: int) -> tuple[int, int]:
        if self._request.cgroup_v2 is None:
            return self._spawner.spawn(self._descriptors.executable, flags)
        home = cgroups.home(self._request.cgroup_v2)
        cgroup = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return self._spawner.spawn(self._descriptors.executable, flags, cgroup)
        finally:
            os.close(cgroup)

    def _replace_intermediate(self) -> None:
        """Wait for the child, our own, that the intermediate clones before it ends."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self.launcher, select.POLLIN)  # it gives up, or is gone: this may hang in a mount
        if self._channel.fileno() not in {fd for fd, _ in poll.poll()}:
            self._signal(signal.SIGKILL)
        packet, descriptor = self._receive()
        os.waitpid(self._pid, 0)
        os.close(self._pidfd)
        if not packet or descriptor < 0:
            _end_children()  # a second one: the PID namespace that it joined does not end before it
            if not packet:
                self._tell(_CHILD_KILLED)
            raise NotCloned
        self._pidfd = descriptor
        self._pid = clone.pid_of(self._pidfd)  # which is another one where the intermediate is

    def _wait_for_release(self) -> bool:
        """Whether it came. SIGKILL, or the end of the launcher or the child, may come instead of it."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self.launcher, select.POLLIN)
        while not self._launcher_gone:
            if self._pidfd in {fd for fd, _ in poll.poll()}:
                # With the PID namespace that it joined, which cannot end before we collect it.
                self._tell(_CHILD_KILLED)
                break
            try:
                message, _ = protocol.receive(self.launcher, protocol.Release, protocol.Signal)
            except protocol.PeerGone:
                self._launcher_gone = True
                break
            if isinstance(message, protocol.Release):
                return True
            if isinstance(message, protocol.Signal) and message.number == signal.SIGKILL:
                break  # any other signal has no task to go to
        return False

    def _start_task(self) -> bool:
        """Release the child, and tell the launcher whether it became the task."""
        with self._channel:
            running = self._became_task()
        if running:
            _close_stdio((2,))  # the launcher's so far: the only way to tell of a defect
            self._tell(protocol.Running())
            exit_record.reserve(self._request.exit_status_path)
        return running

    def _became_task(self) -> bool:
        with contextlib.suppress(ConnectionError):  # it has ended; it has said why
            self._channel.send(b"\0", socket.MSG_NOSIGNAL)
        executing = False
        while True:
            packet, descriptor = self._receive()
            if not packet:
                if not executing:
                    self._tell(_CHILD_KILLED)
                return executing
            kind, _ = PACKET.unpack(packet)
            if kind == EXECUTING:
                executing = True
            elif kind == TERMINAL_OPENED:
                self._io.terminal_opened(descriptor)
            elif is_failure(kind):
                return False

    def _receive(self) -> tuple[bytes, int]:
        """The child's next packet and its descriptor, -1 if it has none; b"" at the end of its channel.

        What is for the launcher is passed on.
        """
        try:
            packet, ancillary, _, _ = self._channel.recvmsg(PACKET.size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return b"", -1
        if packet and PACKET.unpack(packet)[0] not in (CLONED, EXECUTING, TERMINAL_OPENED):
            try:
                protocol.relay(self.launcher, packet)
            except protocol.PeerGone:
                self._launcher_gone = True
        return packet, next((memoryview(data).cast("i")[0] for _, _, data in ancillary), -1)

    def _watch(self) -> None:
        """Serve everyone, and collect what the task orphans, until the task has ended."""
        child_ended = _child_end_notifier()
        self._collect_orphans()
        self._loop.watch(self._pidfd, IN, self._task_ended)
        self._loop.watch(child_ended, IN, lambda: self._collect_ended(child_ended))
        if not self._launcher_gone:
            self._loop.watch(self.launcher.fileno(), IN, self._serve)
        self._io.serve(self._signal)
        while not self._ended:
            self._loop.turn()
        for descriptor in (self._pidfd, child_ended):  # others are served a little longer
            self._loop.forget(descriptor)

    def _task_ended(self) -> None:
        self._ended = True

    def _collect_ended(self, child_ended: int) -> None:
        os.read(child_ended, _PIPE_BUFFER)
        self._collect_orphans()

    def _serve(self) -> None:
        """Handle one message of the launcher, or its end."""
        try:
            message, _ = protocol.receive(self.launcher, protocol.Signal)
        except protocol.PeerGone:
            self._launcher_gone = True
            self._loop.forget(self.launcher.fileno())
            return
        self._signal(message.number)

    def _collect_orphans(self) -> None:
        """Collect the zombies but the task: each counts against the container's limit of processes."""
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while (child := os.waitid(os.P_ALL, 0, ended)) and child.si_pid != self._pid:
            os.waitpid(child.si_pid, 0)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):  # it ended just now, or there is no such signal
            signal.pidfd_send_signal(self._pidfd, number)

    def _end_everything(self) -> ExitStatus:
        """Kill and collect the task and every orphan that came to us; the task's status."""
        self._signal(signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        # Without a PID namespace of its own, what the task forked may live on: now our children.
        _end_children()
        return ExitStatus.from_wait(status)

    def _tell(self, message: _ToLauncher, descriptors: Sequence[int] = ()) -> None:
        try:
            protocol.send(self.launcher, message, descriptors)
        except protocol.PeerGone:
            self._launcher_gone = True


def _end_children() -> None:
    """Kill and collect every child of ours, and those that they leave to us."""
    while children := _children():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.waitpid(-1, 0)


def _children() -> list[int]:
    """Our children, orphans of the task among them: proc(5), needs CONFIG_PROC_CHILDREN."""
    with open("/proc/thread-self/children") as file:
        return [int(pid) for pid in file.read().split()]


def _child_end_notifier() -> int:
    """A descriptor that polls readable when a child has ended."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader
