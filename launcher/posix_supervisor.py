"""The supervisor of the posix launcher: the life of one task by what every Unix has.

As `supervisor`, without what only Linux has: no namespace, no pidfd, no subreaper, no signal at the
parent's death. The task is kept together by its session. It is not collected before its session is
killed, so that the session's number, which is the task's pid, is nobody else's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from typing import NoReturn

from launcher import exit_record, posix_child, protocol, session, supervision
from launcher.exit_status import ExitStatus
from launcher.launch_info import LaunchInfo
from launcher.supervision import Descriptors

_CHANNEL = 3  # the descriptor of the channel to the launcher; everything above is not ours
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_CHILD_KILLED = protocol.Failed("prepare the task", "", "", 0, "the child was killed")
_ENDED = os.WEXITED | os.WNOWAIT

_ToLauncher = protocol.Cloned | protocol.Running | protocol.Failed | protocol.Exited


class Starter(supervision.Starter):
    """Forks them, from a process with one thread."""

    def start(self, channel: int, body: bytes, descriptors: Descriptors) -> int:
        """With the task's stdio."""
        # A Python signal handler that raises must not do so in a copy of the launcher.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _supervise(socket.socket(fileno=channel), body, descriptors)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid

    def close(self) -> None:
        pass


def _supervise(launcher: socket.socket, body: bytes, descriptors: Descriptors) -> NoReturn:
    """Be a supervisor, just forked."""
    code = 1
    try:
        launcher, stdio = _settle(launcher, descriptors)
        _run(launcher, stdio, body)
        code = 0
    except protocol.PeerGone:
        pass  # nobody to tell, and no child yet
    except BaseException:
        # The launcher's stderr: a defect of ours must not be silent. By number, since what the launcher
        # has as sys.stderr may have another, which is something else here.
        import traceback  # which no supervisor needs but one that fails

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _run(launcher: socket.socket, stdio: Descriptors, body: bytes) -> None:
    try:
        Supervisor(launcher, stdio, protocol.decode(body)).run()
    except protocol.PeerGone:
        raise
    except BaseException as error:
        protocol.send(launcher, protocol.Failed.from_error("supervise the task", error))
        raise


def _settle(channel: socket.socket, stdio: Descriptors) -> tuple[socket.socket, Descriptors]:
    """Leave the launcher's session, directory, signal handlers and descriptors but the task's stdio."""
    os.setsid()
    os.chdir("/")
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the fork has blocked them
    above = _CHANNEL + 1 + len(stdio)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in (channel.detach(), *stdio)]
    _silence(0, 1)
    for place, descriptor in enumerate(moved, _CHANNEL):
        os.dup2(descriptor, place, inheritable=False)
    posix_child.close_above(above - 1)
    return socket.socket(fileno=_CHANNEL), range(_CHANNEL + 1, above)


def _silence(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    if null not in descriptors:
        os.close(null)


class Supervisor:
    """The life of one task, seen from its parent."""

    def __init__(self, launcher: socket.socket, stdio: Descriptors, request: protocol.Launch) -> None:
        self.launcher = launcher
        self._launcher_gone = False
        self._request = request
        self._stdio = (stdio[0], stdio[1], stdio[2])
        self._info = LaunchInfo.from_json(request.launch_info)

    def run(self) -> None:
        """Fork, wait for the release, start the task, and see it to its end."""
        try:
            child_channel = self._fork()
        except OSError as error:
            self._tell(protocol.Failed.from_error("fork the child", error))
            return
        running = False
        try:
            self._child_ended = _child_end_notifier()
            for descriptor in self._stdio:
                os.close(descriptor)  # or a reader of the task's output would wait for us
            self._tell(protocol.Cloned(self._pid))
            if self._wait_for_release():
                running = self._start_task(child_channel)
            if running:
                self._watch()
        finally:
            status = self._end_everything()
            self._report(status if running else None)

    def _fork(self) -> socket.socket:
        own_end, child_end = protocol.channel()
        self._pid = os.fork()
        if self._pid == 0:
            own_end.close()  # or the child would never see the channel end
            posix_child.run(self._info, child_end, self._stdio)
        child_end.close()
        return own_end

    def _wait_for_release(self) -> bool:
        """Whether it came. SIGKILL, or the end of the launcher or the child, may come instead of it."""
        while not self._launcher_gone:
            if self._has_ended(self._wait_for_event()):
                self._tell(_CHILD_KILLED)
                break
            message = self._receive(protocol.Release, protocol.Signal)
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
            _silence(2)  # the launcher's so far: the only way to tell of a defect
        self._tell(outcome)
        if running:
            exit_record.reserve(self._request.exit_status_path)
        return running

    def _outcome(self, channel: socket.socket) -> protocol.Running | protocol.Failed:
        try:
            protocol.send(channel, protocol.Release())
            message, _ = protocol.receive(channel, protocol.Executing, protocol.Failed)
        except protocol.PeerGone:
            return _CHILD_KILLED
        if isinstance(message, protocol.Executing):
            return protocol.receive_end(channel) or protocol.Running(message.clamped)
        assert isinstance(message, protocol.Failed)
        return message

    def _watch(self) -> None:
        """Serve the launcher until the task has ended."""
        while not self._has_ended(ready := self._wait_for_event()):
            if _CHANNEL in ready:
                message = self._receive(protocol.Signal)
                if isinstance(message, protocol.Signal):
                    with contextlib.suppress(OSError):  # there is no such signal
                        os.kill(self._pid, message.number)

    def _wait_for_event(self) -> set[int]:
        """The descriptors of what has happened: the end of a child, a message."""
        poll = select.poll()
        poll.register(self._child_ended, select.POLLIN)
        if not self._launcher_gone:
            poll.register(_CHANNEL, select.POLLIN)
        return {descriptor for descriptor, _ in poll.poll()}

    def _has_ended(self, ready: set[int]) -> bool:
        """Whether the task has; it stays to be collected."""
        if self._child_ended in ready:
            os.read(self._child_ended, 4096)
        return os.waitid(os.P_PID, self._pid, _ENDED | os.WNOHANG) is not None

    def _receive(self, *expected: type[protocol.Release | protocol.Signal]) -> object:
        """The launcher's next message; None if it is gone."""
        try:
            message, _ = protocol.receive(self.launcher, *expected)
        except protocol.PeerGone:
            self._launcher_gone = True
            return None
        return message

    def _end_everything(self) -> int:
        """The task's status, as wait(2) has it."""
        session.kill(self._pid)
        os.waitid(os.P_PID, self._pid, _ENDED)
        session.kill(self._pid)  # what it forked before it died
        _, status = os.waitpid(self._pid, 0)
        return status

    def _report(self, wait_status: int | None) -> None:
        """Tell of the end of a task that ran: the disk, the launcher, and if that is gone the reaper."""
        try:
            if wait_status is not None:
                exit_record.write(self._request.exit_status_path, exit_record.pack(wait_status))
        finally:
            if wait_status is not None:
                status = ExitStatus.from_wait(wait_status)
                self._tell(protocol.Exited(status.code, status.signal))
            if self._launcher_gone and self._request.reaper and not _is_locked(self._request.caretaker):
                for number in _IGNORED:
                    signal.signal(number, signal.SIG_DFL)
                os.execv(self._request.reaper[0], list(self._request.reaper))  # noqa: S606 - no shell

    def _tell(self, message: _ToLauncher) -> None:
        try:
            protocol.send(self.launcher, message)
        except protocol.PeerGone:
            self._launcher_gone = True


def _is_locked(path: str | None) -> bool:
    """Whether somebody has the lock of the file; we do not keep it."""
    if path is None:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _child_end_notifier() -> int:
    """A descriptor that polls readable when a child has ended, perhaps before this was called."""
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    os.write(writer, b"\0")
    return reader
