"""A launched task, as its launcher holds it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket

from launcher import protocol
from launcher.data import Data
from launcher.errors import InvalidRequest, LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.failure import explain
from launcher.process_attributes import Clamped

_FROM_SUPERVISOR = (
    protocol.Cloned,
    protocol.FromChild,
    protocol.Running,
    protocol.Failed,
    protocol.Exited,
)


class Outcome:
    """What the packets of a child mean. This one is of a child that sends none."""

    def told(self, packet: bytes) -> None:
        """Take note of a packet. Raises LaunchFailed for one that tells of a failure."""

    @property
    def clamped(self) -> tuple[Clamped, ...]:
        """What the host has not granted, as far as it is known."""
        return ()


class Task:
    """A launched task, through the channel to its supervisor. Blocked until `release`."""

    def __init__(
        self, channel: socket.socket, pid: int, pidfd: int, supervisor: int | None, outcome: Outcome
    ) -> None:
        self.pid = pid  # of the first process, as the host sees it
        self._outcome = outcome
        self._channel = channel
        self._pidfd = pidfd
        self._supervisor = supervisor  # its pid while it is a child of ours, not yet collected
        self._status: ExitStatus | None = None
        self.clamped: tuple[Clamped, ...] = ()  # what the host did not grant; known after the release

    @classmethod
    def from_channel(cls, channel: socket.socket, supervisor: int | None, outcome: Outcome) -> Task:
        """Wait for the clone. Raises LaunchFailed."""
        try:
            while True:
                expected = protocol.Cloned, protocol.FromChild, protocol.Failed
                message, descriptors = protocol.receive(channel, *expected)
                if isinstance(message, protocol.Cloned):
                    return cls(channel, message.pid, descriptors[0], supervisor, outcome)
                _told(message, outcome)
        except BaseException:
            end_container(channel)  # we were interrupted, or it has failed
            raise

    def release(self) -> None:
        """Let the child become the task. Raises LaunchFailed; `destroy` is still to be called."""
        try:
            with contextlib.suppress(protocol.PeerGone):  # then it has said why
                protocol.send(self._channel, protocol.Release())
            running = None
            while running is None:
                running = self._started()
        except protocol.PeerGone:
            raise LaunchFailed("cannot prepare the task: its supervisor was killed") from None
        self.clamped = (*self._outcome.clamped, *(Clamped(**clamped) for clamped in running.clamped))

    def _started(self) -> protocol.Running | None:
        expected = protocol.Running, protocol.FromChild, protocol.Failed
        message, _ = protocol.receive(self._channel, *expected)
        if isinstance(message, protocol.Running):
            return message
        _told(message, self._outcome)
        return None

    def fileno(self) -> int:
        """Polls readable when `exit_status` will not block."""
        return self._channel.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the task; SIGKILL ends the container. One that has ended is fine.

        Before the release only SIGKILL does anything. Raises InvalidRequest if there is no such signal.
        """
        if number not in signal.valid_signals():
            raise InvalidRequest(f"invalid signal number {number}", hint="see `kill -l` for the signals")
        with contextlib.suppress(protocol.PeerGone):  # then it has ended, or the kernel has killed it
            protocol.send(self._channel, protocol.Signal(number))

    def exit_status(self) -> ExitStatus | None:
        """Wait for the end. None: the supervisor was killed, so the kernel killed the task.

        Raises LaunchFailed if the supervisor has failed, and so ended the container.
        """
        if self._status is not None:
            return self._status
        try:
            message, _ = protocol.receive(self._channel, protocol.Exited, protocol.Failed)
        except protocol.PeerGone:
            return None
        if isinstance(message, protocol.Failed):
            raise explain(message)
        assert isinstance(message, protocol.Exited)
        self._status = ExitStatus(message.code, message.signal)
        return self._status

    def abandon(self) -> None:
        """Let the supervisor see to the end by itself: to it, its launcher is gone from now on."""
        self._channel.close()
        os.close(self._pidfd)
        self._pidfd = -1

    def destroy(self) -> None:
        """End everything in the container and wait until it is gone. Idempotent."""
        if self._pidfd < 0:
            return
        # From here too: the supervisor may be gone, or hear us late, while the child hangs in a mount.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        end_container(self._channel)
        self._channel.close()
        _wait_for_end(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        collect(self._supervisor)
        self._supervisor = None


def _told(message: Data, outcome: Outcome) -> None:
    """Raises LaunchFailed if it tells of a failure."""
    if isinstance(message, protocol.Failed):
        raise explain(message)
    assert isinstance(message, protocol.FromChild)
    outcome.told(message.packet)


def end_container(channel: socket.socket) -> None:
    """Have the supervisor end everything, and wait until it ends itself."""
    with contextlib.suppress(protocol.PeerGone):
        protocol.send(channel, protocol.Signal(signal.SIGKILL))
    with contextlib.suppress(protocol.PeerGone):
        while True:
            _, descriptors = protocol.receive(channel, *_FROM_SUPERVISOR)
            for descriptor in descriptors:
                os.close(descriptor)


def collect(supervisor: int | None) -> None:
    if supervisor is not None:
        with contextlib.suppress(ChildProcessError):  # by whoever collects every child of this process
            os.waitpid(supervisor, 0)


def _wait_for_end(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
