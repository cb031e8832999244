"""What others see of a pod: a record beside its container's own, written by whoever runs the pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from containerizer import checkpoint, liveness
from containerizer import record as records
from containerizer.paths import Paths
from containerizer.record import ContainerRecord, NoSuchContainer
from launcher.container_id import ContainerId
from launcher.data import Data, asdict

_VERSION = 1
LOST = "Lost"  # whoever ran it was killed: its containers go on, and nobody restarts or checks them


class MemberStatus(Data, kw_only=True):
    """One container."""

    name: str
    state: str  # containerizer.pods.member.State
    init: bool = False
    ready: bool = False
    restarts: int = 0
    exit_code: int | None = None  # of the last run
    message: str = ""  # why it ended, or did not start


class PodStatus(Data, kw_only=True):
    """A pod."""

    name: str
    phase: str  # containerizer.pods.policy.Phase, or LOST
    message: str = ""
    created_at: float = 0.0  # seconds since the epoch
    members: tuple[MemberStatus, ...] = ()

    @property
    def id(self) -> ContainerId:
        return ContainerId(self.name)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def save(self, paths: Paths) -> None:
        checkpoint.write(paths.pod(self.id), {"version": _VERSION, **self.to_json()})


def load(paths: Paths, container_id: ContainerId) -> PodStatus | None:
    """None: there is no such pod."""
    value = checkpoint.read(paths.pod(container_id))
    if value is None:
        return None
    try:
        record = records.load(paths, container_id)
    except NoSuchContainer:
        return None
    status = _status(value)
    return _lost(status) if _is_lost(record) else status


def load_all(paths: Paths) -> Iterator[PodStatus]:
    """Every pod, by their names."""
    for container_id in records.nested(paths, None):
        status = load(paths, container_id)
        if status is not None:
            yield status


def _status(value: Mapping[str, Any]) -> PodStatus:
    own = {name: value[name] for name in PodStatus.__fields__ if name in value}
    members = tuple(
        MemberStatus(**{name: item[name] for name in MemberStatus.__fields__ if name in item})
        for item in value.get("members", ())
    )
    return PodStatus(**{**own, "members": members})


def _is_lost(record: ContainerRecord) -> bool:
    return record.termination is None and not liveness.is_owned(record)


def _lost(status: PodStatus) -> PodStatus:
    return PodStatus(**{**status.__dict__, "phase": LOST})
