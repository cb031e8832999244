"""Follow what happens to containers, with no agent to tell of it: from the files that change.

The directory of containers is watched, and that of each container; when something changes in one, its
record is compared with what was known of it. Nobody writes anything for us, so a launch costs nothing
when nobody follows. How a container ended stays readable for who has its ending open (containerizer.
ending), also after it was removed. One that was made and removed before we looked is told of as
"launching" and "removed", without what was between.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from containerizer import checkpoint, reached
from containerizer import record as records
from containerizer.ending import Ending
from containerizer.event import Event
from containerizer.lifecycle import State
from containerizer.liveness import state_of
from containerizer.paths import NESTED, Paths
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.termination import Termination
from launcher.container_id import ContainerId
from launcher.data import asdict
from launcher.errors import InvalidRequest
from launcher.kernel import inotify
from launcher.kernel.libc import SyscallError

_NAMES = inotify.CREATE | inotify.MOVED_TO | inotify.DELETE  # in a directory of containers
_FILES = inotify.CREATE | inotify.MOVED_TO | inotify.MODIFY  # in the directory of one


class _Known:
    """What is known of one container."""

    def __init__(self, container_id: ContainerId, ending: Ending | None) -> None:
        self.id = container_id
        self.ending = ending
        self.record: ContainerRecord | None = None
        self.launched = False
        self.ended = False
        self.limits: Any = None
        self.reached = 0


class Follower:
    """Polls readable when there may be something to `read`. A context manager."""

    def __init__(self, paths: Paths) -> None:
        """Follows from now on: what is there already is known, and not told. Raises SyscallError, OSError."""
        self._paths = paths
        self._watches = inotify.Watches()
        self._parents: dict[int, ContainerId | None] = {}  # by the number of a directory of containers
        self._numbers: dict[int, ContainerId] = {}  # by the number of a container's directory
        self._known: dict[ContainerId, _Known] = {}
        os.makedirs(paths.nested(None), mode=0o700, exist_ok=True)
        self._enter(None, [])

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        for known in self._known.values():
            if known.ending:
                known.ending.__exit__()
        self._watches.__exit__()

    def fileno(self) -> int:
        return self._watches.fileno()

    def read(self) -> list[Event]:
        """What has happened, in its order as far as that is known."""
        told: list[Event] = []
        for number, mask, name in self._watches.read():
            if mask & inotify.OVERFLOW:
                self._look_again(told)
            elif mask & inotify.IGNORED:
                self._numbers.pop(number, None)
                self._parents.pop(number, None)
            elif number in self._parents:
                self._name_changed(self._parents[number], mask, name, told)
            elif number in self._numbers:
                self._file_changed(self._numbers[number], name, told)
        return told

    def _enter(self, parent: ContainerId | None, told: list[Event]) -> None:
        """Watch a directory of containers, and whoever is in it."""
        with contextlib.suppress(SyscallError):  # ENOENT: it is gone again
            self._parents[self._watches.add(self._paths.nested(parent), _NAMES)] = parent
        for container_id in records.nested(self._paths, parent):
            self._appeared(container_id, told)

    def _look_again(self, told: list[Event]) -> None:
        """Events were lost."""
        for known in list(self._known.values()):
            self._compare(known, told)
            if not os.path.isdir(self._paths.container_state(known.id)):
                self._gone(known.id, told)
            elif os.path.isdir(self._paths.nested(known.id)):
                self._enter(known.id, told)
        self._enter(None, told)

    def _name_changed(self, parent: ContainerId | None, mask: int, name: str, told: list[Event]) -> None:
        try:
            container_id = ContainerId(name, parent)
        except InvalidRequest:  # NAME.PID.new: one that is being made
            return
        if mask & inotify.DELETE:
            self._gone(container_id, told)
        else:
            self._appeared(container_id, told)

    def _appeared(self, container_id: ContainerId, told: list[Event]) -> None:
        if container_id in self._known:
            return
        known = _Known(container_id, Ending.open(self._paths, container_id))
        self._known[container_id] = known
        told.append(_event("launching", known))
        with contextlib.suppress(SyscallError):
            number = self._watches.add(self._paths.container_state(container_id), _FILES)
            self._numbers[number] = container_id
        self._compare(known, told)
        if os.path.isdir(self._paths.nested(container_id)):
            self._enter(container_id, told)

    def _file_changed(self, container_id: ContainerId, name: str, told: list[Event]) -> None:
        if name == NESTED:
            self._enter(container_id, told)
        known = self._known.get(container_id)
        if known is not None:
            self._compare(known, told)

    def _compare(self, known: _Known, told: list[Event]) -> None:
        with contextlib.suppress(NoSuchContainer, InvalidRequest):
            known.record = records.load(self._paths, known.id)
        if known.record is None:
            return
        running = state_of(known.record) is State.RUNNING
        if (running or known.record.started_at is not None) and not known.launched:
            known.launched = True
            told.append(_event("launched", known))
        told.extend(self._limits(known))
        if known.record.ended:
            self._ended(known, known.record.ended, told)

    def _limits(self, known: _Known) -> Iterator[Event]:
        limits = checkpoint.read(self._paths.limits(known.id))
        if limits != known.limits:
            known.limits = limits
            yield _event("updated", known, limits=limits)
        noted = reached.noted(self._paths, known.id)
        for each in noted[known.reached :]:
            limitation = {name: value for name, value in asdict(each.limitation).items() if value is not None}
            yield _event("limit-reached", known, **limitation)
        known.reached = len(noted)

    def _ended(self, known: _Known, termination: Termination, told: list[Event]) -> None:
        if known.ended:
            return
        known.ended = True
        if not known.launched and known.record is not None and known.record.started_at is not None:
            known.launched = True
            told.append(_event("launched", known))
        limit = {"limitation": termination.limitation.resource} if termination.limitation else {}
        details = {"exit_code": termination.exit_code, "message": termination.message, **limit}
        told.append(_event("ended", known, **details))

    def _gone(self, container_id: ContainerId, told: list[Event]) -> None:
        known = self._known.pop(container_id, None)
        if known is None:
            return
        if known.ending:
            with known.ending as ending:
                if (termination := ending.termination) is not None:
                    self._ended(known, termination, told)
        told.append(_event("removed", known))


def _event(kind: str, known: _Known, **details: Any) -> Event:
    image = {} if known.record is None else {"image": known.record.image}
    return Event(kind=kind, subject=str(known.id), details={**image, **details})
