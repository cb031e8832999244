"""Volumes with a name in their store: who has them, and what is left by who is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from isolators import volume_mounts
from isolators.isolator import IsolatorFlags
from isolators.volume.named import VolumeNamed
from isolators.volume_store import NoSuchVolume, VolumeInUse, VolumeRecord, VolumeStore
from launcher.errors import ContainerizerError, InvalidRequest


@pytest.fixture
def store(tmp_path: Path) -> VolumeStore:
    return VolumeStore(str(tmp_path / "volumes"))


@pytest.fixture
def holder(tmp_path: Path) -> Path:
    """The directory of a container's state."""
    (tmp_path / "state" / "containers" / "web").mkdir(parents=True)
    return tmp_path / "state" / "containers" / "web"


DATA = VolumeRecord(name="data", labels={"a": "b"})


def test_one_is_made_once(store: VolumeStore) -> None:
    made = store.create(DATA)
    assert made.created_at > 0
    Path(store.data("data"), "file").touch()
    assert store.create(VolumeRecord(name="data")) == made == store.find("data")
    assert os.listdir(store.data("data")) == ["file"]
    assert os.stat(store.directory).st_mode & 0o777 == 0o700
    assert os.stat(store.data("data")).st_mode & 0o777 == 0o755
    with pytest.raises(InvalidRequest, match="there already"):
        store.create(VolumeRecord(name="data", driver="other"))


@pytest.mark.parametrize("name", ["", ".", "..", ".new-1", "a/b", "-a", "a b", "ä", "a\0", "x" * 201])
def test_names_that_are_none(store: VolumeStore, name: str) -> None:
    with pytest.raises(InvalidRequest):
        store.create(VolumeRecord(name=name))
    with pytest.raises(InvalidRequest):
        store.remove(name)


def test_a_record_that_is_damaged_is_told(store: VolumeStore) -> None:
    store.create(DATA)
    for content in ("", "[]", '{"name": "data", "new": 1}'):
        Path(store.directory, "data", "volume.json").write_text(content)
        with pytest.raises(ContainerizerError, match="volume data: its record is damaged"):
            store.find("data")


def test_who_has_it_keeps_it_until_its_state_is_gone(store: VolumeStore, holder: Path) -> None:
    store.use(DATA, str(holder))
    store.use(DATA, str(holder))
    assert store.users("data") == ["web"]
    with pytest.raises(VolumeInUse, match="in use by web"):
        store.remove("data")
    holder.rmdir()  # as at a reboot: nobody has given it back
    assert store.users("data") == []
    store.remove("data")
    with pytest.raises(NoSuchVolume):
        store.find("data")
    assert os.listdir(store.directory) == []


def test_what_is_let_go_of_may_be_removed(store: VolumeStore, holder: Path) -> None:
    store.use(DATA, str(holder))
    for _ in range(2):
        store.release("data", str(holder))
    store.release("no", str(holder))
    store.remove("data")


def test_whoever_begins_to_use_it_while_it_is_removed_has_a_new_one(
    store: VolumeStore, tmp_path: Path
) -> None:
    """Many use and remove it at once: what somebody has is there."""
    failures: list[str] = []

    def use(number: int) -> None:
        own = tmp_path / "containers" / str(number)
        own.mkdir(parents=True)
        for _ in range(50):
            store.use(DATA, str(own))
            if not os.path.isdir(store.data("data")) or str(number) not in store.users("data"):
                failures.append(f"{number} has none")
            store.release("data", str(own))
            with contextlib.suppress(VolumeInUse, NoSuchVolume):
                store.remove("data")

    several = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for each in several:
        each.start()
    for each in several:
        each.join()
    assert failures == []
    assert store.sweep() == []


def killed(work: Callable[[], object]) -> None:
    """Do it in a process that kills itself there."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_killed_ones_leave_is_swept(store: VolumeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create(DATA)
    monkeypatch.setattr("isolators.volume_store.remove_tree", die)
    killed(lambda: store.remove("data"))
    monkeypatch.setattr("isolators.volume_store.os.rename", die)
    killed(lambda: store.create(DATA))
    monkeypatch.undo()
    left = sorted(os.listdir(store.directory))
    assert [name.partition("-")[0] for name in left] == [".new", ".removed"]
    assert store.all() == []
    told = VolumeNamed(IsolatorFlags(volumes=store.directory)).recover(lambda _: True)
    assert len(told) == 2
    assert os.listdir(store.directory) == []


def test_what_is_being_made_is_not_swept(store: VolumeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[str]] = []
    rename = os.rename

    def look_first(*names: str) -> None:
        found.append(store.sweep())
        rename(*names)

    monkeypatch.setattr("isolators.volume_store.os.rename", look_first)
    store.create(DATA)
    assert (found, store.find("data").name) == ([[]], "data")


# What the driver `local` takes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5"},
        {"type": "tmpfs", "device": "tmpfs", "size": "1m"},
        {"type": "none", "o": "bind", "device": "/etc"},
        {"type": "nfs", "device": ":/x", "o": "addr=192.0.2.1,rw"},
    ],
)
def test_options_that_are_taken(options: dict[str, str]) -> None:
    volume_mounts.check(options)


@pytest.mark.parametrize(
    "options",
    [
        {"odd": "1"},
        {"type": "tmpfs"},
        {"device": "/dev/x"},
        {"o": "size=1m"},
        {"size": "1m"},
        {"o": "bind", "device": "/no/such"},
        {"o": "bind", "device": "etc"},
    ],
)
def test_options_that_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        volume_mounts.check(options)


def test_records_are_plain_json(store: VolumeStore) -> None:
    store.create(DATA)
    value = json.loads(Path(store.directory, "data", "volume.json").read_text())
    assert (value["name"], value["driver"], value["labels"]) == ("data", "local", {"a": "b"})
