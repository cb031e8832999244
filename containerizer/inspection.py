"""What is true of a container now: asked of its record, its processes and its isolators."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from containerizer import liveness, reached
from containerizer import record as records
from containerizer.containerizer import Containerizer
from containerizer.reached import Noted
from containerizer.record import ContainerRecord
from containerizer.remote import RemoteContainer
from isolators.isolator import Isolator
from isolators.resources import Usage
from launcher.container_id import ContainerId
from launcher.data import Data, asdict, field
from launcher.errors import ContainerizerError


class Status(Data, kw_only=True):
    """One container, and what its isolators tell of it."""

    record: ContainerRecord
    state: str  # the value of a lifecycle.State
    running: bool
    paused: bool
    facts: Mapping[str, Any] = field(default_factory=dict)  # by isolator: its cgroups, its addresses …
    reached: tuple[Noted, ...] = ()  # limits that it ran into and goes on within, or did until its end


def status(owner: Containerizer, container_id: ContainerId) -> Status:
    """Raises NoSuchContainer. An isolator that cannot tell is left out."""
    return _described(owner, records.load(owner.paths, container_id))


def statuses(owner: Containerizer) -> list[Status]:
    """Of every container."""
    return [_described(owner, record) for record in owner.containers()]


def _described(owner: Containerizer, record: ContainerRecord) -> Status:
    container_id = record.id
    running = liveness.is_running(record)
    facts: dict[str, Any] = {}
    paused = False
    with contextlib.suppress(ContainerizerError, OSError):
        paused = running and RemoteContainer(owner, container_id).paused
    for isolator in _isolators(owner, record) if running else ():
        with contextlib.suppress(ContainerizerError, OSError):
            if told := isolator.status(container_id):
                facts[isolator.name] = told
    return Status(
        record=record,
        state=liveness.state_of(record).value,
        running=running,
        paused=paused,
        facts=facts,
        reached=reached.known(owner.paths, record, _isolators(owner, record) if running else ()),
    )


def usage(owner: Containerizer, container_id: ContainerId) -> Usage:
    """From every isolator that measures something. Raises NoSuchContainer."""
    record = records.load(owner.paths, container_id)
    return _measured(owner, record) if liveness.is_running(record) else Usage()


def usages(owner: Containerizer) -> dict[str, Usage]:
    """Of every container that runs, by its id."""
    return {
        record.container_id: _measured(owner, record)
        for record in owner.containers()
        if record.pid is not None and liveness.is_running(record)
    }


def _measured(owner: Containerizer, record: ContainerRecord) -> Usage:
    measured: dict[str, Any] = {}
    for isolator in _isolators(owner, record):
        with contextlib.suppress(ContainerizerError, OSError):  # it ends while we look
            told = asdict(isolator.usage(record.id)).items()
            measured |= {name: value for name, value in told if value is not None}
    return Usage(**measured)


def _isolators(owner: Containerizer, record: ContainerRecord) -> list[Isolator]:
    return owner.isolators_of(record)
