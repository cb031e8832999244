"""Pods and containers as the kubelet asked for them, and what became of each: in memory, and on disk.

    <root>/cri/<pod id>/pod.json
                        <container id>.container.json
                        resolv.conf                         of its containers

It outlives a reboot, as what it tells of: a kubelet asks for the ends of containers, and their logs, after
that, too. Belongs to one event loop.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TypeVar

from google.protobuf import json_format

from containerizer import checkpoint
from containerizer.cri.errors import NoSuchPod
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod
from containerizer.record import NoSuchContainer
from launcher.container_id import ContainerId
from launcher.remove_tree import remove_tree

_POD = "pod.json"
_CONTAINER = ".container.json"

M = TypeVar("M", StoredPod, StoredContainer)


class Store:
    """All that is known. What it gives out may be changed, and is to be saved then."""

    def __init__(self, root: str) -> None:
        """Reads what is there; what an interrupted write or removal has left is removed."""
        self._directory = os.path.join(root, "cri")
        self.pods: dict[str, StoredPod] = {}
        self.containers: dict[str, StoredContainer] = {}
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        for name in os.listdir(self._directory):
            self._load(os.path.join(self._directory, name))

    def directory(self, pod_id: str) -> str:
        return os.path.join(self._directory, pod_id)

    def pod(self, text: str) -> StoredPod:
        """By its id, or a beginning of it that no other has. Raises NoSuchPod."""
        found = _only(self.pods, text)
        if found is None:
            raise NoSuchPod(f"no pod sandbox {text!r}")
        return found

    def container(self, text: str) -> StoredContainer:
        """The same. Raises NoSuchContainer."""
        found = _only(self.containers, text)
        if found is None:
            raise NoSuchContainer(f"no container {text!r}")
        return found

    def within(self, pod_id: str) -> list[StoredContainer]:
        """The containers of a pod, the oldest first."""
        of_pod = (each for each in self.containers.values() if each.pod_id == pod_id)
        return sorted(of_pod, key=lambda each: each.created_at)

    def save_pod(self, pod: StoredPod) -> None:
        """Raises OSError."""
        os.makedirs(self.directory(pod.id), mode=0o755, exist_ok=True)
        _write(os.path.join(self.directory(pod.id), _POD), pod)
        self.pods[pod.id] = pod

    def save(self, container: StoredContainer) -> None:
        """Raises OSError."""
        _write(self._file(container), container)
        self.containers[container.id] = container

    def forget_pod(self, pod_id: str) -> None:
        """With its containers. Idempotent."""
        for container in self.within(pod_id):
            del self.containers[container.id]
        self.pods.pop(pod_id, None)
        remove_tree(self.directory(pod_id))

    def forget(self, container: StoredContainer) -> None:
        """Idempotent."""
        self.containers.pop(container.id, None)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file(container))

    def _file(self, container: StoredContainer) -> str:
        return os.path.join(self.directory(container.pod_id), container.id + _CONTAINER)

    def _load(self, directory: str) -> None:
        pod = _read(os.path.join(directory, _POD), StoredPod)
        if pod is None:
            remove_tree(directory)
            return
        self.pods[pod.id] = pod
        for name in os.listdir(directory):
            container = _read(os.path.join(directory, name), StoredContainer) if _is_record(name) else None
            if container is not None:
                self.containers[container.id] = container


def id_of(what: StoredPod | StoredContainer) -> ContainerId:
    """What the agent calls it: a pod is a container that pauses, and its containers are nested in it."""
    if isinstance(what, StoredPod):
        return ContainerId(what.id)
    return ContainerId(what.id, ContainerId(what.pod_id))


def _is_record(name: str) -> bool:
    return name.endswith(_CONTAINER)


def _only(known: dict[str, M], text: str) -> M | None:
    if text in known or not text:
        return known.get(text)
    matches: Iterator[M] = (each for name, each in known.items() if name.startswith(text))
    first, second = next(matches, None), next(matches, None)
    return first if second is None else None


def _write(path: str, message: StoredPod | StoredContainer) -> None:
    checkpoint.write_text(path, json_format.MessageToJson(message, indent=None))


def _read(path: str, kind: type[M]) -> M | None:
    value = checkpoint.read(path)
    if value is None:
        return None
    try:
        return json_format.ParseDict(value, kind(), ignore_unknown_fields=True)
    except json_format.ParseError:
        return None
