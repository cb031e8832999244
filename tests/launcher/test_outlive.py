"""A container whose launcher has gone: the task runs on, and the reaper cleans up in the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import exit_record
from launcher.exit_status import ExitStatus
from tests.launcher.support import wait_for_end

pytestmark = pytest.mark.requires("root")

ROOT = Path(__file__).parents[2]

LAUNCHER = """
import os, sys
from launcher.launch_info import LaunchInfo
from launcher.base import LaunchRequest
from launcher.linux import LinuxLauncher
from launcher.stdio import Inherit
how, until, status, command, stage, *reaper = sys.argv[1:]
info = LaunchInfo(argv=("/bin/sh", "-c", command), namespaces={"mnt": "new"})
request = LaunchRequest(
    container_id="t", info=info, stdio=Inherit(0), exit_status_path=status, reaper=reaper
)
task = LinuxLauncher(in_process=how == "in process").launch(request)
if stage != "cloned":
    task.release()
print(task.pid, flush=True)
os.read(int(until), 1)
os._exit(0)
"""


class Program:
    """A launcher in a process of its own. Our end of `until` lets it die."""

    def __init__(self, process: subprocess.Popen[bytes], until: int, reaped: Path) -> None:
        self.process = process
        self.reaped = reaped  # a fifo that the reaper writes to
        self._until = until

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def die(self) -> None:
        os.write(self._until, b".")
        self.process.wait()

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextlib.contextmanager
def program(how: str, directory: Path, command: str, stage: str) -> Iterator[Program]:
    status, reaped = directory / "status", directory / "reaped"
    os.mkfifo(reaped)
    reaper = f"(od -An -tu1 -w100 {status}; ls /proc/self/fd; echo reaped) > {reaped}"
    read_end, write_end = os.pipe()
    options = [how, str(read_end), str(status), command, stage, "/bin/sh", "-c", reaper]
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[read_end],
        cwd=ROOT,
    ) as process:
        os.close(read_end)
        yield Program(process, write_end, reaped)
        os.close(write_end)


@pytest.mark.parametrize("how", ["fork server", "in process"])
def test_a_task_outlives_its_launcher_and_is_reaped(how: str, tmp_path: Path) -> None:
    with program(how, tmp_path, "read line; exit 6", "running") as launcher:
        pid = int(launcher.line())
        launcher.die()
        assert Path(f"/proc/{pid}").exists()
        launcher.end_input()  # and so does the task
        record, *descriptors, last = launcher.reaped.read_text().splitlines()
        assert exit_record.unpack(bytes(map(int, record.split()))).status == ExitStatus(code=6)
        assert descriptors == ["0", "1", "2", "3"]
        assert last == "reaped"


@pytest.mark.parametrize("how", ["fork server", "in process"])
def test_a_launcher_that_dies_before_the_release_is_reaped(how: str, tmp_path: Path) -> None:
    with program(how, tmp_path, "echo never", "cloned") as launcher:
        ended = os.pidfd_open(int(launcher.line()))
        launcher.die()
        wait_for_end(ended)
        assert launcher.reaped.read_text().endswith("reaped\n")
        assert launcher.line() == b""
