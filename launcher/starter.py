"""The starter: a short-lived process that starts the child for its supervisor, which is the child's parent.

Whatever an interpreter does it touches objects, each of which then is no longer the fork server's but
a copy of its own. To read a request, to put descriptors in their places, to pass messages between
launcher and child costs more than a megabyte of that; so a supervisor, which stays, has it done by
this process, which goes as soon as the task runs.

Its descriptors come from the launcher as: the program; what is to be the task's stdin, stdout and
stderr (of pipes stdin only, of a terminal none); what the program has the launcher pass along.
"""

from __future__ import annotations

import _socket
import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from launcher import exit_record, protocol
from launcher.kernel import cgroups, clone, prctl, terminal, user_namespaces
from launcher.program.assembler import CHANNEL
from launcher.program.messages import CLONED, EXECUTING, PACKET, TERMINAL_OPENED, is_failure
from launcher.program.spawn import Spawner
from launcher.supervision import Descriptors, supervise

_CHILD_KILLED = protocol.Failed("prepare the task", "", "", 0, "the child was killed")
_KILL = protocol.Signal(9)
_STDIO = {"inherit": 3, "pipes": 1, "terminal": 0}  # how many of the task's descriptors come with it
_MSG_NOSIGNAL = int(socket.MSG_NOSIGNAL)  # of socket these are enumerations
_MSG_CMSG_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_ANCILLARY = socket.CMSG_SPACE(4)  # one descriptor


class _Descriptors:
    """The child's in their places, all of them taken from the start; above these our own; no others."""

    def __init__(
        self, own: Sequence[int], descriptors: Descriptors, pipes: Sequence[int], from_launcher: int
    ) -> None:
        """`own`: the channels to launcher and supervisor, and the executable.

        `descriptors`: the program, then as many of the task's stdio as come `from_launcher`, then what
        is passed along. `pipes`: the task's ends, stdin first; -1 is none.
        """
        program, *rest = descriptors
        stdio = [program] * 3
        stdio[:from_launcher] = rest[:from_launcher]
        for number, descriptor in enumerate(pipes):
            if descriptor >= 0:
                stdio[number] = descriptor
        wanted = [program, program, *stdio, *rest[from_launcher:], *own]  # the first place is kept free
        above = CHANNEL + len(wanted)
        self.launcher, self.supervisor, self.executable = range(above - 3, above)
        moved = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in set(wanted)}
        prctl.close_range(CHANNEL, above - 1)
        for place, descriptor in enumerate(wanted, CHANNEL):
            os.dup2(moved[descriptor], place, inheritable=place < self.launcher)
        prctl.close_from(above)

    def place(self, descriptor: int, place: int) -> None:
        """Give the child this one there; it is closed here."""
        os.dup2(descriptor, place)
        os.close(descriptor)

    def close(self) -> None:
        """Keep no copy of the child's: whoever reads its output would wait for us."""
        prctl.close_range(CHANNEL, self.launcher - 1)


class NotCloned(Exception):
    """The child could not be cloned, and the launcher knows why."""


class Starter:
    """Starts one child, from its clone until it has become the task."""

    def __init__(self, descriptors: _Descriptors, spawner: Spawner, request: protocol.Launch) -> None:
        self.launcher = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, descriptors.launcher)
        self._descriptors = descriptors
        self._spawner = spawner
        self._request = request
        self._terminal: tuple[int, ...] = ()  # the child's, its master first

    def run(self) -> None:
        """Start it, and tell the supervisor."""
        try:
            self._clone()
        except NotCloned:
            return
        except OSError as error:
            self._tell(protocol.Failed.from_error("clone the child", error))
            return
        protocol.post(self.launcher, protocol.cloned(self._pid), self._pidfd)
        if self._is_released() and self._became_task():
            protocol.post(self.launcher, protocol.RUNNING)
            exit_record.reserve(self._request.exit_status_path)
            self._tell_supervisor()

    def _tell_supervisor(self) -> None:
        place = self._descriptors.supervisor
        with contextlib.suppress(protocol.PeerGone):
            supervisor = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, place)
            protocol.post(supervisor, self._pid.to_bytes(4, sys.byteorder), *self._terminal)

    def _clone(self) -> None:
        own_end, child_end = protocol.pair()
        self._channel = own_end
        self._descriptors.place(child_end.detach(), CHANNEL)
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
        os.close(self._pidfd)
        if not packet or descriptor < 0:
            if not packet:
                self._tell(_CHILD_KILLED)
            raise NotCloned
        self._pidfd = descriptor
        self._pid = clone.pid_of(self._pidfd)  # which is another one where the intermediate is

    def _is_released(self) -> bool:
        """Whether it came. SIGKILL, or the end of the launcher or the child, may come instead of it."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self.launcher, select.POLLIN)
        while True:
            if self._pidfd in {fd for fd, _ in poll.poll()}:
                # With the PID namespace that it joined, which cannot end before we collect it.
                self._tell(_CHILD_KILLED)
                return False
            body = protocol.receive_body(self.launcher)
            if body == protocol.RELEASE:
                return True
            if not body or protocol.decode(body) == _KILL:
                return False  # any other signal has no task to go to

    def _became_task(self) -> bool:
        with contextlib.suppress(ConnectionError):  # it has ended; it has said why
            self._channel.send(b"\0", _MSG_NOSIGNAL)
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
                # The other end as well: whenever the task happened to have none of it open, the master
                # would be hung up.
                self._terminal = (descriptor, terminal.open_peer(descriptor))
            elif is_failure(kind):
                return False

    def _receive(self) -> tuple[bytes, int]:
        """The child's next packet and its descriptor, -1 if it has none; b"" at the end of its channel.

        What is for the launcher is passed on.
        """
        try:
            packet, ancillary, _, _ = self._channel.recvmsg(PACKET.size, _ANCILLARY, _MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return b"", -1
        if packet and PACKET.unpack(packet)[0] not in (CLONED, EXECUTING, TERMINAL_OPENED):
            protocol.post(self.launcher, protocol.relayed(packet))
        return packet, next((memoryview(data).cast("i")[0] for _, _, data in ancillary), -1)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):  # it ended just now
            signal.pidfd_send_signal(self._pidfd, number)

    def _tell(self, failed: protocol.Failed) -> None:
        with contextlib.suppress(protocol.PeerGone):
            protocol.send(self.launcher, failed)


def be(
    launcher: _socket.socket,
    supervisor: _socket.socket,
    spawner: Spawner,
    body: bytes,
    descriptors: Descriptors,
    pipes: Sequence[int],
) -> NoReturn:
    """Be a starter, just forked, for a supervisor that is told on its channel when the task runs."""

    def make() -> Starter:
        prctl.set_parent_death_signal(signal.SIGKILL)  # what it starts is the supervisor's
        request = protocol.decode(body)
        ends = [launcher.detach(), supervisor.detach(), spawner.executable]
        own = _Descriptors(ends, descriptors, pipes, _STDIO[request.stdio["mode"]])
        return Starter(own, spawner, request)

    supervise(launcher, make)
