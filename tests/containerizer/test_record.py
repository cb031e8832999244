"""The checkpoint of a container, and whether what it names is alive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerizer import checkpoint, record
from containerizer.liveness import is_running, started_at
from containerizer.paths import Paths
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.termination import Termination
from isolators.resources import Limitation
from launcher.container_id import MAX_DEPTH, ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.exit_status import ExitStatus

_WEB = ContainerId("web")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))


def _record(name: str = "web", **changes: object) -> ContainerRecord:
    return replace(ContainerRecord(container_id=name, image="busybox"), **changes)  # type: ignore[arg-type]


def test_what_is_saved_is_loaded(paths: Paths) -> None:
    termination = Termination(
        exit_status=ExitStatus(signal=9),
        limitation=Limitation(isolator="cgroups/mem", resource="memory", message="limit 64 MiB"),
    )
    saved = _record(command=("a", "b"), isolation=("x/y",), pid=7, termination=termination.to_json())
    record.reserve(paths, saved)
    loaded = record.load(paths, _WEB)
    assert loaded == saved
    assert loaded.ended == termination


def test_a_name_is_taken_once(paths: Paths) -> None:
    record.reserve(paths, _record())
    with pytest.raises(InvalidRequest, match="'web' is taken"):
        record.reserve(paths, _record())


def test_fields_of_a_newer_version_are_ignored(paths: Paths) -> None:
    record.reserve(paths, _record())
    value = checkpoint.read(paths.record(_WEB)) or {}
    checkpoint.write(paths.record(_WEB), value | {"version": 2, "novelty": True})
    assert record.load(paths, _WEB) == _record()


def test_an_unknown_container_is_named(paths: Paths) -> None:
    with pytest.raises(NoSuchContainer, match="no container web"):
        record.load(paths, _WEB)


def test_all_are_listed_the_oldest_first_and_a_torn_one_left_out(paths: Paths) -> None:
    for name, created in (("b", 1.0), ("a", 2.0), ("torn", 0.0)):
        record.reserve(paths, _record(name, created_at=created))
    Path(paths.record(ContainerId("torn"))).write_text("")
    assert [r.container_id for r in record.load_all(paths)] == ["b", "a"]


def test_a_container_runs_as_long_as_its_process_does() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    running = _record(pid=pid, pid_started=started_at(pid))
    assert is_running(running)
    assert not is_running(replace(running, pid_started=0)), "another process with the same pid"
    os.close(writer)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(running), "a zombie has ended"
    os.waitpid(pid, 0)
    os.close(reader)
    assert started_at(pid) is None


def test_before_the_clone_the_launcher_is_what_lives() -> None:
    mine = _record(owner=os.getpid(), owner_started=started_at(os.getpid()))
    assert is_running(mine)
    assert not is_running(replace(mine, termination={"exit_status": {"code": 0, "signal": None}}))


def test_a_limitation_is_never_a_success() -> None:
    limitation = Limitation(isolator="cgroups/mem", resource="memory", message="limit 64 MiB")
    assert Termination(exit_status=ExitStatus(code=0), limitation=limitation).exit_code == 137
    assert Termination(exit_status=ExitStatus(code=3), limitation=limitation).exit_code == 3


def test_the_messages_of_a_termination() -> None:
    assert Termination(exit_status=ExitStatus(code=3)).message == "exited with 3"
    assert Termination(exit_status=ExitStatus(signal=9)).message == "killed by SIGKILL"
    assert Termination(exit_status=ExitStatus(signal=40)).message == "killed by signal 40"


def test_a_directory_without_a_record_takes_no_name(paths: Paths) -> None:
    """What a launcher killed at the wrong moment might have left."""
    Path(paths.container_state(_WEB)).mkdir(parents=True)
    record.reserve(paths, _record())
    assert record.load(paths, _WEB) == _record()


def test_a_name_that_is_taken_leaves_nothing_behind(paths: Paths) -> None:
    record.reserve(paths, _record())
    with pytest.raises(InvalidRequest):
        record.reserve(paths, _record())
    assert [entry.name for entry in Path(paths.nested(None)).iterdir()] == ["web"]


def test_a_command_in_the_deepest_container_has_beginnings_too(paths: Paths) -> None:
    deepest = ".".join(["a"] * MAX_DEPTH)
    command = ContainerId.parse(f"{deepest}.exec-0123456789ab")
    os.makedirs(paths.container_state(command))
    assert record.find(paths, f"{deepest}.exec-0") == record.find(paths, str(command)) == command
    with pytest.raises(NoSuchContainer):
        record.find(paths, f"{deepest}.other")
