"""What a start makes of a state directory that no agent has left in order."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from containerizer import record as records
from containerizer.agent.survey import survey
from containerizer.ending import Ending
from containerizer.liveness import is_running, started_at
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from containerizer.termination import Termination
from launcher.container_id import ContainerId
from launcher.exit_status import ExitStatus

WEB = ContainerId("web")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))


def reserve(paths: Paths, name: str = "web", **changes: object) -> ContainerRecord:
    fields: dict[str, object] = {"container_id": name, "image": "host", "created_at": time.time()}
    record = ContainerRecord(**{**fields, **changes})  # type: ignore[arg-type]
    records.reserve(paths, record)
    return record


def test_an_empty_directory_has_nothing(paths: Paths) -> None:
    found = survey(paths)
    assert (found.records, found.broken, found.strange) == ((), (), ())


def test_parents_come_first(paths: Paths) -> None:
    for name in ("b", "b.c", "a"):
        reserve(paths, name)
    assert [record.container_id for record in survey(paths).records] == ["a", "b", "b.c"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"container_id": "web"}',
        b'{"container_id": "other", "image": "host"}',
        b'{"container_id": "web", "image": "host", "pid": "12"}',
        b'{"container_id": "web", "image": "host", "state": "asleep"}',
        b'{"container_id": "web", "image": "host", "isolation": 7}',
        b'{"container_id": "web", "image": "host", "termination": {"exit": 1}}',
        b'{"container_id": "web", "image": "host", "created_at": "now"}',
    ],
)
def test_a_record_that_makes_no_sense_is_told_apart(paths: Paths, content: bytes | None) -> None:
    reserve(paths)
    if content is None:
        os.unlink(paths.record(WEB))
    else:
        Path(paths.record(WEB)).write_bytes(content)
    found = survey(paths)
    assert (found.records, found.broken) == ((), (WEB,))
    assert records.load_all(paths) == []


def test_what_no_container_can_have_is_left_alone(paths: Paths) -> None:
    reserve(paths)
    containers = Path(paths.nested(None))
    (containers / "we b").mkdir()
    (containers / "file").touch()
    (containers / "link").symlink_to("web")
    assert survey(paths).strange == tuple(str(containers / name) for name in ("file", "link", "we b"))


def test_what_a_killed_launch_has_begun_to_make_is_removed(paths: Paths) -> None:
    containers = Path(paths.nested(None))
    of_the_dead, of_the_living = containers / "web.4194303.new", containers / f"web.{os.getpid()}.new"
    for directory in (of_the_dead, of_the_living):
        directory.mkdir(parents=True)
    assert survey(paths).records == ()
    assert not of_the_dead.exists()
    assert of_the_living.exists()


def test_an_older_version_had_no_file_for_the_end(paths: Paths) -> None:
    termination = Termination(exit_status=ExitStatus(3))
    reserve(paths, state="terminated", termination=termination.to_json())
    os.unlink(paths.ending(WEB))
    survey(paths)
    end = Ending.open(paths, WEB)
    assert end is not None
    with end:
        assert end.termination == termination


def test_of_another_boot_is_who_was_launched_then_and_nobody_else(paths: Paths) -> None:
    """The state directory may be on a disk, and the command line has launched some before an agent starts."""
    own = {"pid": os.getpid(), "pid_started": started_at(os.getpid()), "state": "running"}
    for name in ("earlier", "later"):
        reserve(paths, name, **own, supervisor=os.getppid(), supervisor_started=started_at(os.getppid()))
    file = Path(paths.record(ContainerId("earlier")))
    written = json.loads(file.read_text())
    file.write_text(json.dumps({**written, "boot": "another"}))
    earlier, later = survey(paths).records
    assert (later.pid, later.supervisor, is_running(later)) == (os.getpid(), os.getppid(), True)
    assert (earlier.pid, earlier.supervisor, earlier.owner, is_running(earlier)) == (None, None, 0, False)
    earlier.save(paths)
    assert not is_running(records.load(paths, earlier.id)), "its pids are not saved as of this boot"


def test_an_older_version_did_not_tell_boots_apart(paths: Paths) -> None:
    reserve(paths, pid=os.getpid(), pid_started=started_at(os.getpid()), state="running")
    file = Path(paths.record(WEB))
    written = json.loads(file.read_text())
    del written["boot"]
    file.write_text(json.dumps(written))
    assert survey(paths).records[0].pid == os.getpid()
