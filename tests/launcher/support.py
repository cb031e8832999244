"""Launch tasks for the tests: real processes in real namespaces, with pipes for their stdio."""

from __future__ import annotations

import dataclasses
import os
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher import exit_record
from launcher.attach import Attachment, Output, Skipped
from launcher.attach_protocol import STDERR, STDOUT
from launcher.base import LaunchRequest
from launcher.exit_status import ExitStatus
from launcher.launch_info import LaunchInfo, Mount
from launcher.linux import LinuxLauncher
from launcher.stdio import Inherit, Pipes, Service, Terminal
from launcher.task import Task

ALL_NEW: Mapping[str, str] = dict.fromkeys(("mnt", "pid", "net", "ipc", "uts", "cgroup"), "new")
NO_PID_NAMESPACE: Mapping[str, str] = {"mnt": "new"}
PROC = Mount(target="/proc", fstype="proc", source="proc")

TIMEOUT = 30  # seconds until a task counts as hung

# Writes a line, and lives until its stdin ends: to see that a task runs, and to let it end.
WAITS = ("sh", "-c", "echo runs; read line")


@dataclasses.dataclass(slots=True)
class Launched:
    """A task, and our ends of its stdio."""

    task: Task
    stdin: int
    stdout: int
    stderr: int
    exit_status_path: Path

    def line(self) -> str:
        """Wait for one line of the task's output."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.stdout, 1)
            assert byte, f"the output ended with {line!r}, stderr was {drain(self.stderr)!r}"
            line += byte
        return line.decode().rstrip("\n")

    def end_input(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    @property
    def supervisor(self) -> int:
        """Its pid, while the task is there."""
        return parent(self.task.pid)

    @property
    def recorded(self) -> exit_record.ExitRecord:
        return exit_record.read(str(self.exit_status_path))

    def close(self) -> None:
        self.task.destroy()
        self.end_input()
        for descriptor in (self.stdout, self.stderr):
            os.close(descriptor)


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """A task whose stdio is served."""

    task: Task
    service: Service

    def connect(self) -> Attachment:
        return Attachment.connect(self.service.socket)

    @property
    def log(self) -> list[tuple[str, str, str]]:
        """(stream, tag, content) of each record."""
        records = (line.split(" ", 3) for line in Path(self.service.log).read_text().splitlines())
        return [(stream, tag, content) for _, stream, tag, content in records]


class Reader:
    """Reads all of an attachment, and fails rather than to wait for ever."""

    def __init__(self, attachment: Attachment) -> None:
        self.attachment = attachment
        self.output = {STDOUT: b"", STDERR: b""}
        self.skipped = 0
        self.status: ExitStatus | None = None

    def until(self, text: str) -> str:
        """Read until stdout has `text`; all of stdout so far."""
        while text.encode() not in self.output[STDOUT]:
            assert self._next(), f"the output ended with {self.output}"
        return self.stdout

    def to_the_end(self) -> Reader:
        while self._next():
            pass
        return self

    @property
    def stdout(self) -> str:
        return self.output[STDOUT].decode().replace("\r\n", "\n")

    @property
    def stderr(self) -> str:
        return self.output[STDERR].decode()

    def _next(self) -> bool:
        poll = select.poll()
        poll.register(self.attachment, select.POLLIN)
        assert poll.poll(TIMEOUT * 1000), f"nothing comes after {self.output}"
        event = self.attachment.receive()
        if isinstance(event, Output):
            self.output[event.stream] += event.data
        elif isinstance(event, Skipped):
            self.skipped += event.count
        elif isinstance(event, ExitStatus):
            self.status = event
        return event is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """A task that has ended."""

    status: ExitStatus | None
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


class EngineLauncher(LinuxLauncher):
    """As on a processor that there is no machine for."""

    supervisor = "engine_supervisor"


class Launches:
    """Launches tasks, by default on the host's filesystem in namespaces of their own."""

    def __init__(
        self,
        launcher: LinuxLauncher,
        directory: Path,
        *,
        namespaces: Mapping[str, str] = ALL_NEW,
        no_pid_namespace: Mapping[str, str] = NO_PID_NAMESPACE,
    ) -> None:
        self.launcher = launcher
        self.directory = directory
        self.namespaces = namespaces
        self.no_pid_namespace = no_pid_namespace
        self._launched: list[Launched] = []
        self._served: list[Served] = []

    def clone(
        self, *argv: str, reaper: Sequence[str] = (), caretaker: str | None = None, **info: Any
    ) -> Launched:
        """A task that is not released yet. Keywords are fields of LaunchInfo."""
        path = self.directory / f"exit-status-{len(self._launched)}"
        pipes = [os.pipe() for _ in range(3)]
        theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
        ours = (pipes[0][1], pipes[1][0], pipes[2][0])
        request = LaunchRequest(
            container_id="test",
            info=info_of(*argv, **{"namespaces": self.namespaces, **info}),
            stdio=Inherit(*theirs),
            exit_status_path=str(path),
            reaper=reaper,
            caretaker=caretaker,
        )
        try:
            task = self.launcher.launch(request)
        except BaseException:
            _close(ours)
            raise
        finally:
            _close(theirs)
        self._launched.append(Launched(task, *ours, path))
        return self._launched[-1]

    def serve(self, *argv: str, stdio: Pipes | Terminal, **info: Any) -> Served:
        """A task that runs with pipes or a terminal, which are served."""
        served = self.served(*argv, stdio=stdio, **info)
        served.task.release()
        return served

    def served(self, *argv: str, stdio: Pipes | Terminal, **info: Any) -> Served:
        """One that is not released yet."""
        name = f"served-{len(self._served)}"
        service = Service(
            relays=str(self.directory / "relays"),
            socket=str(self.directory / f"{name}.sock"),
            log=str(self.directory / f"{name}.log"),
        )
        request = LaunchRequest(
            container_id="test",
            info=info_of(*argv, **info),
            stdio=stdio,
            service=service,
            exit_status_path=str(self.directory / name),
        )
        self._served.append(Served(self.launcher.launch(request), service))
        return self._served[-1]

    def start(self, *argv: str, **options: Any) -> Launched:
        launched = self.clone(*argv, **options)
        launched.task.release()
        return launched

    def run(self, *argv: str, **info: Any) -> Done:
        """Run a task, its input empty, to its end."""
        launched = self.start(*argv, **info)
        launched.end_input()
        stdout, stderr = drain(launched.stdout), drain(launched.stderr)
        status = launched.task.exit_status()
        self._launched.remove(launched)
        launched.close()
        return Done(status, stdout, stderr)

    def close(self) -> None:
        for launched in self._launched:
            launched.close()
        for served in self._served:
            served.task.destroy()
        self.launcher.close()


def info_of(*argv: str, **fields: Any) -> LaunchInfo:
    namespaces = fields.setdefault("namespaces", ALL_NEW)
    if namespaces.get("pid") == "new" and "rootfs" not in fields:
        fields["mounts"] = (PROC, *fields.get("mounts", ()))
    return LaunchInfo(argv=argv, **{"environment": {"PATH": os.defpath}, **fields})


def drain(descriptor: int) -> str:
    """Everything up to the end, which comes when nobody has the other end open any more."""
    data = b""
    while chunk := os.read(descriptor, 65536):
        data += chunk
    return data.decode()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for_end(pidfd: int) -> None:
    """Wait until the process of this pidfd has ended, and close it."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    ended = poll.poll(TIMEOUT * 1000)
    os.close(pidfd)
    assert ended, "it does not end"


def kill(pid: int) -> None:
    """Kill and wait for the end, of a process that need not be our child."""
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pidfd)


def status_of(text: str) -> dict[str, str]:
    """The fields of a proc_pid_status(5) that a task wrote."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
