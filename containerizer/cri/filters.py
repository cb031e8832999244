"""Which pods and containers a list is to have, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from containerizer.cri.proto import containers_pb2 as containers
from containerizer.cri.proto import pods_pb2 as pods
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod


def pods_of(known: Iterable[StoredPod], wanted: Any) -> list[StoredPod]:
    """`wanted`: the filter of a list or of statistics; an empty field fits all."""
    found = [each for each in known if _fits(each.id, each.config.labels, wanted)]
    return sorted(found, key=lambda each: -each.created_at)


def containers_of(known: Iterable[StoredContainer], wanted: Any) -> list[StoredContainer]:
    """The same."""
    found = [
        each
        for each in known
        if _fits(each.id, each.config.labels, wanted) and each.pod_id.startswith(wanted.pod_sandbox_id)
    ]
    return sorted(found, key=lambda each: -each.created_at)


def pods_in_state(known: Iterable[StoredPod], wanted: pods.PodSandboxFilter) -> list[StoredPod]:
    found = pods_of(known, wanted)
    if not wanted.HasField("state"):
        return found
    return [each for each in found if each.state == wanted.state.state]


def containers_in_state(
    known: Iterable[StoredContainer], wanted: containers.ContainerFilter
) -> list[StoredContainer]:
    found = containers_of(known, wanted)
    if not wanted.HasField("state"):
        return found
    return [each for each in found if each.state == wanted.state.state]


def _fits(id_: str, labels: Mapping[str, str], wanted: Any) -> bool:
    """An id by its beginning; every label with its value."""
    if not id_.startswith(wanted.id):
        return False
    return all(labels.get(name) == value for name, value in wanted.label_selector.items())
