"""--init: PID 1 collects, hands on signals, ends as the task does, and shows nothing of the host."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import CommandNotFound
from launcher.exit_status import ExitStatus
from launcher.launch_info import Capabilities
from launcher.linux import LinuxLauncher
from tests.launcher.support import NO_PID_NAMESPACE, EngineLauncher, Launches, status_of

pytestmark = pytest.mark.requires("root")

FEW = ("CAP_CHOWN",)


@pytest.fixture(params=["machine", "engine"])
def launches(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launches]:
    """Either of what can stay as PID 1."""
    launcher = EngineLauncher if request.param == "engine" else LinuxLauncher
    launches = Launches(launcher(), tmp_path)
    yield launches
    launches.close()


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", ExitStatus(code=0)),
        ("exit 7", ExitStatus(code=7)),
        ("kill -9 $$", ExitStatus(code=128 + 9)),
        ("kill -TERM $$", ExitStatus(code=128 + 15)),
    ],
)
def test_it_ends_as_the_task_does(launches: Launches, script: str, status: ExitStatus) -> None:
    assert launches.run("sh", "-c", script, init=True).status == status


def test_the_task_is_not_pid_1(launches: Launches) -> None:
    done = launches.run("sh", "-c", "echo $$; cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline", init=True)
    pid, name, title = done.lines
    assert int(pid) > 1
    assert (name, title.strip()) == ("ctz:init", "containerizer init")


def test_without_it_the_task_is(launches: Launches) -> None:
    assert launches.run("sh", "-c", "echo $$").stdout == "1\n"


@pytest.mark.parametrize("namespaces", [{}, {"namespaces": NO_PID_NAMESPACE}], ids=["pid", "no pid"])
def test_orphans_are_collected(launches: Launches, namespaces: dict[str, object]) -> None:
    # The inner shell ends at once; what it has started becomes an orphan, and reads the line.
    orphan = "pid=$(sh -c 'sh -c \"read line\" <&3 >/dev/null & echo $!' 3<&0)"
    wait = "for i in $(seq 1000); do test -d /proc/$pid || exec echo collected; sleep 0.01; done"
    launched = launches.start("sh", "-c", f"{orphan}; echo ready; {wait}; exit 1", init=True, **namespaces)
    assert launched.line() == "ready"
    os.write(launched.stdin, b"line\n")
    assert launched.task.exit_status() == ExitStatus(code=0)
    assert launched.line() == "collected"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_signals_go_on_to_the_task(launches: Launches, number: signal.Signals) -> None:
    """A task that does nothing about them is ended by them, though PID 1 would not be."""
    launched = launches.start("sh", "-c", "echo runs; exec sleep 1000", init=True)
    launched.line()
    launched.task.signal(number)
    assert launched.task.exit_status() == ExitStatus(code=128 + number)


def test_the_task_blocks_and_ignores_none(launches: Launches) -> None:
    status = status_of(launches.run("cat", "/proc/self/status", init=True).stdout)
    assert {status[field] for field in ("SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


def test_its_privileges_are_the_tasks(launches: Launches) -> None:
    sets = Capabilities(bounding=FEW, effective=FEW, permitted=FEW)
    done = launches.run(
        "cat", "/proc/1/status", "/proc/self/status", init=True, capabilities=sets, no_new_privileges=True
    )
    texts = done.stdout.partition("Name:\tcat")
    init, task = status_of(texts[0]), status_of(texts[2])
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Uid", "Gid", "Groups"):
        assert init[field] == task[field]
    assert init["CapEff"] == f"{1:016x}"


@pytest.mark.parametrize("user", ["0", "1000"])
def test_nothing_of_it_can_be_opened(launches: Launches, user: str) -> None:
    sets = Capabilities(bounding=FEW, effective=FEW, permitted=FEW)
    script = "for f in mem environ maps; do cat /proc/1/$f; done; ls /proc/1/exe/ /proc/1/cwd/"
    done = launches.run("sh", "-c", script, init=True, user=user, capabilities=sets)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) >= 4


def test_it_holds_no_descriptor(launches: Launches) -> None:
    """Or a reader of the output would wait for an end that does not come."""
    launched = launches.start("sh", "-c", "echo runs; exec >&- 2>&-; read line", init=True)
    assert launched.line() == "runs"
    assert os.read(launched.stdout, 1) == b"", "the task has closed it, and nobody else has it"
    assert os.listdir(f"/proc/{launched.task.pid}/fd") == []


def test_a_command_that_is_not_there(launches: Launches) -> None:
    launched = launches.clone("no-such-command", init=True)
    with pytest.raises(CommandNotFound, match="no-such-command"):
        launched.task.release()


def test_a_command_that_the_kernel_refuses(launches: Launches, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    launched = launches.clone(str(tmp_path / "script"), init=True)
    with pytest.raises(CommandNotFound, match="interpreter"):
        launched.task.release()


def test_it_dies_with_its_supervisor(launches: Launches) -> None:
    launched = launches.start("sh", "-c", "echo runs; exec sleep 1000", init=True)
    launched.line()
    os.kill(launched.supervisor, signal.SIGKILL)
    assert launched.task.exit_status() is None
    launched.task.destroy()
