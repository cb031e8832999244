"""The supervisor: one forked process a container, from before its clone until after its end.

It outlives the launcher that asked for it. It is the child's parent, so it alone can collect the
exit status; and it is the subreaper, so what the task leaves behind comes to it and is ended here.
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

from launcher import child, exit_record, intermediate, namespaces, protocol
from launcher.exit_status import ExitStatus
from launcher.io.inherited import InheritedIO
from launcher.io.loop import IN, Loop
from launcher.kernel import cgroups, clone, prctl, signals
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import LaunchInfo
from launcher.stdio import Inherit, Service, from_json
from launcher.supervision import supervise

_CHANNEL = 3  # the descriptor of the channel to the launcher; everything above is not ours
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_CHILD_KILLED = protocol.Failed("prepare the task", "", "", 0, "the child was killed")
_PIPE_BUFFER = 64 * 1024  # bytes

_ToLauncher = protocol.Cloned | protocol.Running | protocol.Failed | protocol.Exited


def main(channel: socket.socket) -> NoReturn:
    """Be a supervisor, just forked, talking on `channel`. Never returns."""
    supervise(channel, _settle, Supervisor)


def _settle(channel: socket.socket) -> socket.socket:
    """Leave the launcher's session, directory, signal handlers and descriptors; stderr till later."""
    os.setsid()
    os.chdir("/")
    signal.set_wakeup_fd(-1)
    signals.default((signal.SIGCHLD,))
    signals.ignore(_IGNORED)
    signals.unblock_all()  # `fork` has blocked them
    descriptor = fcntl.fcntl(channel, fcntl.F_DUPFD_CLOEXEC, _CHANNEL + 1)
    channel.close()
    _close_stdio((0, 1) if _is_open(2) else (0, 1, 2))
    os.dup2(descriptor, _CHANNEL, inheritable=False)
    prctl.close_from(_CHANNEL + 1)
    prctl.set_child_subreaper()
    return socket.socket(fileno=_CHANNEL)


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


class NotCloned(Exception):
    """The intermediate could not clone the child, for the reason in `failed`."""

    def __init__(self, failed: protocol.Failed) -> None:
        super().__init__(failed.stage)
        self.failed = failed


class Supervisor:
    """The life of one container, seen from its parent."""

    def __init__(self, launcher: socket.socket) -> None:
        self._launcher = launcher
        self._launcher_gone = False
        self._ended = False
        self._request, descriptors = protocol.receive(launcher, protocol.Launch)
        self._stdio = from_json(self._request.stdio)
        self._loop = Loop()
        self._io = self._open_io(descriptors)
        self._info = LaunchInfo.from_json(self._request.launch_info)
        prctl.set_name(f"ctz:{self._request.container_id}")

    def run(self) -> None:
        """Clone, wait for the release, start the task, and see it to its end."""
        try:
            child_channel = self._clone()
        except NotCloned as error:
            self._tell(error.failed)
            return
        except OSError as error:
            self._tell(protocol.Failed.from_error("clone the child", error))
            return
        running = False
        try:
            self._io.child_made()
            self._tell(protocol.Cloned(self._pid), [self._pidfd])
            if self._wait_for_release():
                running = self._start_task(child_channel)
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
        signals.default(_IGNORED)
        os.execv(self._request.reaper[0], list(self._request.reaper))  # noqa: S606 - no shell wanted

    def _open_io(self, descriptors: Sequence[int]) -> InheritedIO:
        if isinstance(self._stdio, Inherit):
            return InheritedIO(descriptors)
        from launcher.io.served import ServedIO  # what `run` in the foreground need not load

        assert self._request.service is not None
        return ServedIO(self._stdio, Service(**self._request.service), self._loop)

    def _clone(self) -> socket.socket:
        own_end, child_end = protocol.channel()
        between = intermediate.is_needed(self._info)
        kinds = () if between else [kind for kind in namespaces.made(self._info) if kind != "cgroup"]
        self._pid, self._pidfd = self._clone_into_cgroup(sum(CLONE_FLAGS[kind] for kind in kinds))
        if self._pid == 0:
            own_end.close()  # or the child would never see the channel end
            be = intermediate if between else child
            be.run(self._info, child_end, self._stdio, self._io.descriptors)
        child_end.close()
        if between:
            self._replace_intermediate(own_end)
        return own_end

    def _replace_intermediate(self, channel: socket.socket) -> None:
        """Wait for the child, our own, that the intermediate clones before it ends."""
        poll = select.poll()
        poll.register(channel, select.POLLIN)
        poll.register(_CHANNEL, select.POLLIN)  # the launcher gives up, or is gone: it may hang in a mount
        if channel.fileno() not in {fd for fd, _ in poll.poll()}:
            self._signal(signal.SIGKILL)
        try:
            message, descriptors = protocol.receive(channel, protocol.Cloned, protocol.Failed)
        except protocol.PeerGone:
            message, descriptors = _CHILD_KILLED, []
        finally:
            os.waitpid(self._pid, 0)
            os.close(self._pidfd)
        if isinstance(message, protocol.Failed):
            _end_children()  # a second one: the PID namespace that it joined does not end before it
            raise NotCloned(message)
        assert isinstance(message, protocol.Cloned)
        (self._pidfd,) = descriptors
        self._pid = clone.pid_of(self._pidfd)  # which is another one where the intermediate is

    def _clone_into_cgroup(self, flags: int) -> tuple[int, int]:
        if self._info.cgroup_v2 is None:
            return clone.clone(flags)
        cgroup = os.open(cgroups.home(self._info.cgroup_v2), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return clone.clone(flags, cgroup)
        finally:
            os.close(cgroup)

    def _wait_for_release(self) -> bool:
        """Whether it came. SIGKILL, or the end of the launcher or the child, may come instead of it."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(_CHANNEL, select.POLLIN)
        while not self._launcher_gone:
            if self._pidfd in {fd for fd, _ in poll.poll()}:
                # With the PID namespace that it joined, which cannot end before we collect it.
                self._tell(_CHILD_KILLED)
                break
            try:
                message, _ = protocol.receive(self._launcher, protocol.Release, protocol.Signal)
            except protocol.PeerGone:
                self._launcher_gone = True
                break
            if isinstance(message, protocol.Release):
                return True
            if isinstance(message, protocol.Signal) and message.number == signal.SIGKILL:
                break  # any other signal has no task to go to
        return False

    def _start_task(self, channel: socket.socket) -> bool:
        """Release the child, and tell the launcher whether it became the task."""
        with channel:
            outcome = self._outcome(channel)
        running = isinstance(outcome, protocol.Running)
        if running:
            _close_stdio((2,))  # the launcher's so far: the only way to tell of a defect
        self._tell(outcome)
        if running:
            exit_record.reserve(self._request.exit_status_path)
        return running

    def _outcome(self, channel: socket.socket) -> protocol.Running | protocol.Failed:
        try:
            protocol.send(channel, protocol.Release())
            message, descriptors = protocol.receive(
                channel, protocol.TerminalOpened, protocol.Executing, protocol.Failed
            )
            if isinstance(message, protocol.TerminalOpened):
                self._io.terminal_opened(descriptors[0])
                message, _ = protocol.receive(channel, protocol.Executing, protocol.Failed)
        except protocol.PeerGone:
            return _CHILD_KILLED
        if isinstance(message, protocol.Executing):
            return protocol.receive_end(channel, message.path) or protocol.Running(message.clamped)
        assert isinstance(message, protocol.Failed)
        return message

    def _watch(self) -> None:
        """Serve everyone, and collect what the task orphans, until the task has ended."""
        child_ended = _child_end_notifier()
        self._collect_orphans()
        self._loop.watch(self._pidfd, IN, self._task_ended)
        self._loop.watch(child_ended, IN, lambda: self._collect_ended(child_ended))
        if not self._launcher_gone:
            self._loop.watch(_CHANNEL, IN, self._serve)
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
            message, _ = protocol.receive(self._launcher, protocol.Signal)
        except protocol.PeerGone:
            self._launcher_gone = True
            self._loop.forget(_CHANNEL)
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
            protocol.send(self._launcher, message, descriptors)
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
