"""A task in namespaces, as its launcher holds it: by a pidfd, and by a channel to its supervisor.

    launcher                    fork server          supervisor                  child
       |-- Start + its channel ---->|-- posix_spawn(3) -->|
       |   + the program            |                     |
       |-- one byte + descriptors ----------------------->|
       |                                                  |-- clone3(2) ------------>|
       |<-- CLONED + pidfd -------------------------------|                          | blocks
       |    (isolators act on the pid)                    |                          |
       |-- one byte, on the child's own channel ------------------------------------>|
       |<-- REPORT, EXECUTING, a failure --------------------------------------------| the program
       |<-- end (close on exec) -----------------------------------------------------| execve(2)
       |                                                  |<== wait(2) ==============|
       |<-- the record of the exit status ----------------|

A failure (launcher/program/messages.py) takes the place of what was to come. A launcher that goes away
before the release takes the child with it; one that goes away later leaves the container running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher import exit_record, protocol
from launcher.data import Data, replace
from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.failure import explain, explain_call
from launcher.io.loop import is_ready
from launcher.kernel import clone, mounts
from launcher.launch_info import Mount
from launcher.process_attributes import Clamped
from launcher.program.assembler import Program
from launcher.program.messages import (
    CLONED,
    EXECUTING,
    HOOKS,
    LISTENER,
    NOT_STARTED,
    PACKET,
    REPORT,
    is_failure,
)
from launcher.program.objects import renamed
from launcher.task import Task
from launcher.user import User

if TYPE_CHECKING:
    from launcher.base import LaunchRequest

_ANCILLARY = socket.CMSG_SPACE(4)
_LONGEST = 4 * 1024  # bytes; what a fork server says of its failure
_DONE = Program()
_CHILD_KILLED = protocol.Failed("prepare the task", "", "", 0, "the child was killed")


class Written(Data):
    """What was written for the child."""

    program: Program
    granted: Sequence[Clamped]  # less than was asked for: known by now,
    reports: Sequence[Clamped]  # or reported by the child, by the place here
    user: User  # the task's
    renamed: tuple[str, str] | None = None  # the name in its objects, and that of the container


class LinuxTask(Task):
    """A launched task. Blocked until `release`."""

    def __init__(
        self,
        channel: socket.socket,
        child: socket.socket,
        supervisor: int | None,
        written: Written,
        request: LaunchRequest,
    ) -> None:
        """Wait for the clone. `child`: the channel to it. Raises LaunchFailed, and PeerGone.

        A task that never runs leaves no record of its exit status.
        """
        super().__init__(channel, -1, supervisor)
        self._child = child
        self._written = written
        self._record = request.exit_status_path
        self._request = request
        self._pidfd = -1
        self._runs = False
        self._reported: list[Clamped] = []
        try:
            self._await_clone()
        except BaseException:
            self.destroy()  # we were interrupted, or it has failed
            raise

    def _await_clone(self) -> None:
        packet, descriptors = _receive(self._channel)
        if not packet:
            raise protocol.PeerGone("the supervisor has ended")
        kind, number = self._told(packet)
        assert kind == CLONED
        (self._pidfd,) = descriptors
        self.pid = number or clone.pid_of(self._pidfd)

    def release(self) -> None:
        self._send_release()
        info = self._request.info
        if not info.hooks and info.seccomp_listener is None:  # of all packets only theirs want an answer
            is_ready(self._child.fileno(), 0, timeout=None)  # the end alone: each other one would wake us
        executing, answered = False, False
        while packet := self._hear(answered=answered):
            kind, number = self._told(packet)
            executing |= kind == EXECUTING
            if kind == REPORT:
                self._reported.append(self._written.reports[number])
            elif kind == HOOKS:
                self._run_hooks(number)
                self._send_release()
            elif kind == LISTENER:
                from launcher import seccomp_listener  # which few have

                seccomp_listener.hand_over(self._request, self._pidfd, self.pid, number)
                answered = True
                self._send_release()
        if not executing:
            raise explain(self._reason_of_end())
        self._child.close()
        self._runs = True
        self.clamped = (*self._written.granted, *self._reported)
        self._written = replace(self._written, program=_DONE)  # the other has 100 KiB, of no use any more
        if self._request.info.hooks:
            self._run_hooks()

    def _hear(self, *, answered: bool) -> bytes:
        """The child's next packet; nothing at its end. Raises LaunchFailed.

        `answered`: whether it may have to wait for somebody who answers for its filter.
        """
        if answered:
            from launcher import seccomp_listener

            if not is_ready(self._child.fileno(), timeout=seccomp_listener.TIME_TO_ANSWER):
                raise seccomp_listener.unanswered(self._request)
        return _receive(self._child)[0]

    def _run_hooks(self, number: int | None = None) -> None:
        """Those that the child waits for, or those of a running task. Raises LaunchFailed."""
        from launcher import hooks  # what most containers do without

        points = hooks.RUNNING if number is None else hooks.waited_for(number)
        hooks.run(self._request, points, self.pid, self._written.user)

    def _send_release(self) -> None:
        with contextlib.suppress(ConnectionError):  # it has ended; it has said why
            self._child.send(b"\0", socket.MSG_NOSIGNAL)

    def _reason_of_end(self) -> protocol.Failed:
        if is_ready(self._channel.fileno()) and not _receive(self._channel)[0]:
            return protocol.Failed("prepare the task", "", "", 0, "its supervisor was killed")
        return _CHILD_KILLED

    def _told(self, packet: bytes) -> tuple[int, int]:
        """The numbers of a packet. Raises LaunchFailed for one that tells of a failure."""
        if packet.startswith(b"{"):
            raise explain(protocol.decode(packet))
        kind, number = PACKET.unpack(packet)
        if is_failure(kind):
            raise self._failure(kind, number)
        if kind == NOT_STARTED:
            error = OSError((1 << 64) - number, os.strerror((1 << 64) - number))
            raise explain(protocol.Failed.from_error("fork the supervisor", error))
        return kind, number

    def _failure(self, address: int, number: int) -> LaunchFailed:
        if self._runs:
            return LaunchFailed(f"cannot supervise the task: {os.strerror(number).lower()}")
        stage, call, on = self._written.program.origin(address)
        if self._written.renamed:
            on = renamed(on, *self._written.renamed)
        if isinstance(on, Mount):
            on = _explained_mount(on)
        return explain_call(stage, call, on, number)

    def _send_signal(self, number: int) -> None:
        if self._pidfd >= 0 and (self._runs or number == signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):  # it has ended
                signal.pidfd_send_signal(self._pidfd, number)

    def _receive_status(self) -> ExitStatus | None:
        packet, _ = _receive(self._channel)
        if len(packet) == PACKET.size:
            self._told(packet)
            return None  # it never ran
        return exit_record.unpack(packet).status if packet else None

    def abandon(self) -> None:
        super().abandon()
        self._close()

    def destroy(self) -> None:
        if self._channel.fileno() < 0:
            return
        told = self._status is not None  # then there is nobody but a supervisor that ends
        if not told:
            # From here: the supervisor may be gone, while the child hangs in a mount.
            self._send_signal(signal.SIGKILL)
            self._child.close()
            with contextlib.suppress(OSError):  # there is no supervisor any more
                self._channel.send(b"\0", socket.MSG_NOSIGNAL)  # which ends an intermediate
        while True:
            packet, descriptors = _receive(self._channel)
            for descriptor in descriptors:
                os.close(descriptor)
            if not packet:
                break
        self._channel.close()
        if self._pidfd >= 0 and not told:
            _wait_for_end(self._pidfd)
        self._close()
        self._collect_supervisor()
        if not self._runs:
            for path in self._record, exit_record.being_written(self._record):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    def _close(self) -> None:
        self._child.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet and its descriptors; nothing at the end of the channel."""
    while True:
        try:
            packet, ancillary, _, _ = channel.recvmsg(_LONGEST, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            continue  # told once, and first; what was said before is still to come
        return packet, [fd for _, _, data in ancillary for fd in memoryview(data).cast("i")]


def _explained_mount(mount: Mount) -> str:
    """What the kernel has to say of a filesystem that the child could not make: asked for it again."""
    try:
        os.close(mounts.new_filesystem(mount.fstype, mount.source, mount.flags, mount.options))
    except OSError as error:
        return str(error.filename)
    return mount.fstype


def _wait_for_end(pidfd: int) -> None:
    is_ready(pidfd, timeout=None)
