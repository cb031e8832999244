"""Secrets that a supervisor keeps: there for who asks it, and neither in the task's reach nor on a path."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import secret_file
from launcher.linux import LinuxLauncher
from launcher.program.assembler import SECRETS
from launcher.stdio import Pipes, Stdio, Terminal
from tests.launcher.support import WAITS, EngineLauncher, Launches, parent

pytestmark = pytest.mark.requires("root")

_SECRETS = {"TOKEN": "t" * 100_000, "EMPTY": "", "PATH": "/bin:/usr/bin"}


@pytest.fixture(params=[LinuxLauncher, EngineLauncher])
def launches(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launches]:
    launches = Launches(request.param(), tmp_path)
    yield launches
    launches.close()


def _kept(task: int) -> dict[str, str]:
    supervisor = os.pidfd_open(parent(task))
    try:
        return secret_file.read(supervisor)
    finally:
        os.close(supervisor)


def test_the_supervisor_keeps_them_and_the_task_has_them(launches: Launches) -> None:
    count = "printf %s-%s ${#TOKEN} ${EMPTY-none}; cd /proc/self/fd; echo -*; read line"
    launched = launches.start("sh", "-c", f"{count}", secret_environment=_SECRETS)
    assert launched.line().startswith("100000--"), "and no descriptor of the file's"
    descriptors = Path(f"/proc/{launched.task.pid}/fd")
    assert "secrets" not in [os.path.basename(os.readlink(each)) for each in descriptors.iterdir()]
    assert [_kept(launched.task.pid) for _ in range(2)] == [_SECRETS, _SECRETS]
    assert os.readlink(f"/proc/{launched.supervisor}/fd/{SECRETS}") == "/secrets", "a path that leads nowhere"
    assert len(os.listdir(f"/proc/{launched.supervisor}/fd")) == 7  # stdio, channel, child, record, secrets


@pytest.mark.parametrize("stdio", [Pipes(stdin=True), Terminal()])
def test_beside_what_else_it_keeps(launches: Launches, stdio: Stdio) -> None:
    served = launches.serve(*WAITS, stdio=stdio, secret_environment=_SECRETS)
    assert _kept(served.task.pid) == _SECRETS


def test_without_any_it_keeps_nothing(launches: Launches) -> None:
    launched = launches.start(*WAITS)
    with pytest.raises(OSError) as raised:
        _kept(launched.task.pid)
    assert raised.value.errno == errno.EBADF
