"""Following what happens without an agent, where the kernel could not tell all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from containerizer import record, sandbox
from containerizer.following import Follower
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from launcher.container_id import ContainerId
from launcher.kernel import inotify


def make(paths: Paths, name: str) -> None:
    record.reserve(paths, ContainerRecord(container_id=name, image="busybox"))


def test_after_lost_events_all_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in containers that were known before, too."""
    paths = Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))
    make(paths, "web")
    make(paths, "gone")
    with Follower(paths) as follower:
        make(paths, "web.db")
        make(paths, "other")
        sandbox.delete_state(paths.container_state(ContainerId("gone")))
        assert list(follower._watches.read()), "the kernel tells of it, and nobody listens"
        lost = [(-1, inotify.OVERFLOW, "")]
        with monkeypatch.context() as patched:
            patched.setattr(follower._watches, "read", lambda: iter(lost))
            told = {(event.kind, event.subject) for event in follower.read()}
        assert told == {("launching", "web.db"), ("launching", "other"), ("removed", "gone")}
        make(paths, "web.late")
        assert [(each.kind, each.subject) for each in follower.read()] == [("launching", "web.late")]
