"""The supervisor: one forked process a container, from before its clone until after its end.

It outlives the launcher that asked for it. It is the child's parent, so it alone can collect the
exit status; it is the subreaper, so what the task leaves behind comes to it and is ended here; and
as long as it runs, the kernel refuses to write to the Python interpreter (ETXTBSY), which a task
could otherwise reach as /proc/self/exe of the child it once was (CVE-2019-5736).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import NoReturn

from launcher import child, protocol
from launcher.exit_status import ExitStatus
from launcher.kernel import clone, namespaces, prctl
from launcher.launch_info import LaunchInfo

_CHANNEL = 3  # the descriptor of the channel to the launcher; everything above is not ours


def main(channel: socket.socket) -> NoReturn:
    """Be a supervisor, just forked, talking on `channel`. Never returns."""
    code = 1
    try:
        Supervisor(_settle(channel)).run()
        code = 0
    except protocol.PeerGone:
        pass  # nobody to tell, and the child is gone: run() saw to it
    except BaseException:
        traceback.print_exc()  # stderr is the launcher's: a defect of ours must not be silent
    finally:
        os._exit(code)


def _settle(channel: socket.socket) -> socket.socket:
    """Leave the launcher's session, directory and descriptors."""
    os.setsid()
    os.chdir("/")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    descriptor = channel.detach()
    if descriptor != _CHANNEL:
        os.dup2(descriptor, _CHANNEL, inheritable=False)
    prctl.close_from(_CHANNEL + 1)
    prctl.set_child_subreaper()
    return socket.socket(fileno=_CHANNEL)


class Supervisor:
    """The life of one container, seen from its parent."""

    def __init__(self, launcher: socket.socket) -> None:
        self._launcher = launcher
        self._launcher_gone = False
        self._request, stdio = protocol.receive(launcher, protocol.Launch)
        self._stdio = (stdio[0], stdio[1], stdio[2])
        self._info = LaunchInfo.from_json(self._request.launch_info)
        prctl.set_name(f"ctz:{self._request.container_id}")

    def run(self) -> None:
        """Clone, wait for the release, start the task, and see it to its end."""
        try:
            child_channel = self._clone()
        except OSError as error:
            protocol.send(self._launcher, protocol.Failed.from_error("clone the child", error))
            return
        self._forget_stdio()
        try:
            protocol.send(self._launcher, protocol.Cloned(self._pid), [self._pidfd])
            protocol.receive(self._launcher, protocol.Release)
        except protocol.PeerGone:
            self._end_everything()
            raise
        outcome = self._start_task(child_channel)
        self._tell(outcome)
        if isinstance(outcome, protocol.Running):
            self._watch()
            self._finish()
        else:
            self._end_everything()

    def _clone(self) -> socket.socket:
        own_end, child_end = protocol.channel()
        kinds = [kind for kind, path in self._info.namespaces.items() if path == "new" and kind != "cgroup"]
        pid_namespace = self._info.namespaces.get("pid", "")
        if pid_namespace not in ("", "new"):
            namespaces.join("pid", pid_namespace)
        flags = sum(namespaces.CLONE_FLAGS[kind] for kind in kinds)
        supervisor = 0 if pid_namespace else os.getpid()
        self._pid, self._pidfd = clone.clone(flags)
        if self._pid == 0:
            own_end.close()  # or the child would never see the channel end
            child.run(self._info, child_end, self._stdio, supervisor)
        child_end.close()
        return own_end

    def _forget_stdio(self) -> None:
        """The task's end of a pipe must be its own: a copy here would keep the reader waiting.

        Stderr stays the launcher's until the task runs: the only way to tell of a defect.
        """
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for descriptor in self._stdio:
            os.close(descriptor)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        os.close(null)

    def _start_task(self, channel: socket.socket) -> protocol.Running | protocol.Failed:
        """Release the child and learn whether it became the task."""
        executing = False
        with channel:
            try:
                protocol.send(channel, protocol.Release())
                message, _ = protocol.receive(channel, protocol.Executing, protocol.Failed)
                executing = isinstance(message, protocol.Executing)
                if executing:
                    message, _ = protocol.receive(channel, protocol.Failed)
            except protocol.PeerGone:
                os.dup2(0, 2)
                if executing:
                    return protocol.Running()
                return protocol.Failed("prepare the task", "", "", 0, "the child was killed")
        assert isinstance(message, protocol.Failed)
        return message

    def _watch(self) -> None:
        """Serve the launcher until the task has ended."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self._launcher, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._pidfd in ready:
                return
            try:
                message, _ = protocol.receive(self._launcher, protocol.Signal)
                self._signal(message.number)
            except protocol.PeerGone:
                self._launcher_gone = True
                poll.unregister(self._launcher)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended just now: poll will tell
            signal.pidfd_send_signal(self._pidfd, number)

    def _finish(self) -> None:
        status = self._end_everything()
        self._record(status)
        self._tell(protocol.Exited(status.code, status.signal))
        if self._launcher_gone and self._request.reaper:
            os.execv(self._request.reaper[0], list(self._request.reaper))  # noqa: S606 - no shell wanted

    def _end_everything(self) -> ExitStatus:
        """Kill and collect the task and every orphan that came to us; the task's status."""
        self._signal(signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        # Without a PID namespace of its own, what the task forked may live on: now our children.
        while children := _children():
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
        return ExitStatus.from_wait(status)

    def _record(self, status: ExitStatus) -> None:
        """Write the exit status so that it is there whole or not at all, power cut included."""
        path = self._request.exit_status_path
        record = {"version": 1, "code": status.code, "signal": status.signal, "finished_at": time.time()}
        with open(f"{path}.new", "w") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.new", path)

    def _tell(self, message: protocol.Running | protocol.Failed | protocol.Exited) -> None:
        try:
            protocol.send(self._launcher, message)
        except protocol.PeerGone:
            self._launcher_gone = True


def _children() -> list[int]:
    """Our children, orphans of the task among them: proc(5), needs CONFIG_PROC_CHILDREN."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def fork(channel: socket.socket) -> int:
    """Fork a supervisor onto `channel`. Returns its pid. For a single-threaded process only."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        main(channel)
    return pid
