"""A launched task, as its launcher holds it."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from abc import ABC, abstractmethod

from launcher.errors import InvalidRequest
from launcher.exit_status import ExitStatus
from launcher.kernel import process
from launcher.process_attributes import Clamped


class Task(ABC):
    """A launched task, and the channel to its supervisor. Blocked until `release`."""

    def __init__(self, channel: socket.socket, pid: int, supervisor: int | None) -> None:
        self.pid = pid  # of the first process, as the host sees it
        self.clamped: tuple[Clamped, ...] = ()  # what the host did not grant; known after the release
        self._channel = channel
        self._supervisor = supervisor  # its pid while it is a child of ours, not yet collected
        self._status: ExitStatus | None = None

    @property
    def is_lost(self) -> bool:
        """Whether its supervisor has ended. Until then that is the parent of `pid`."""
        poll = select.poll()
        poll.register(self._channel, 0)  # its end is told unasked
        return bool(poll.poll(0))

    @abstractmethod
    def release(self) -> None:
        """Let the child become the task. Raises LaunchFailed; `destroy` is still to be called."""

    @abstractmethod
    def _send_release(self) -> None:
        """Begin the release."""

    def fileno(self) -> int:
        """Polls readable when `exit_status` will not block."""
        return self._channel.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the task; SIGKILL ends the container. One that has ended is fine.

        Before the release only SIGKILL does anything. Raises InvalidRequest if there is no such signal.
        """
        if number not in signal.valid_signals():
            raise InvalidRequest(f"invalid signal number {number}", hint="see `kill -l` for the signals")
        self._send_signal(number)

    @abstractmethod
    def _send_signal(self, number: int) -> None:
        """Send a valid one."""

    def exit_status(self) -> ExitStatus | None:
        """Wait for the end. None: the supervisor was killed, so the kernel killed the task; or it never ran.

        Raises LaunchFailed if the supervisor has failed, and so ended the container.
        """
        if self._status is None:
            self._status = self._receive_status()
        return self._status

    @abstractmethod
    def _receive_status(self) -> ExitStatus | None:
        """As `exit_status`, of the supervisor."""

    def end_was_told(self) -> bool:
        """Whether its end has been told here; if not, the supervisor sees to it, from now on."""
        self._channel.shutdown(socket.SHUT_RD)  # what comes later fails; what came before is still there
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
        with contextlib.suppress(ConnectionResetError):  # told first: the rest is to come
            return bool(self._channel.recv(1, flags))
        return bool(self._channel.recv(1, flags))

    def abandon(self) -> None:
        """Let the supervisor see to the end by itself: to it, its launcher is gone from now on."""
        self._channel.close()

    @abstractmethod
    def destroy(self) -> None:
        """End everything in the container and wait until it is gone. Idempotent."""

    def _collect_supervisor(self) -> None:
        if self._supervisor is not None:
            process.collect(self._supervisor)
            self._supervisor = None
