"""network/ports: a container listens on the TCP ports that it was granted, and on no others.

One that does is ended, or where the operator says so reported. What listens is looked at every now and
then: in a network of its own all sockets but those of its loopback; in the host's those that a process of
the container has open, so one that others have is none of its (MESOS-9053).
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from isolators.isolator import ContainerConfig, Isolator, Watch
from isolators.network import listening
from isolators.resources import Limitation
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import files, process, timerfd
from launcher.launch_info import LaunchInfo

_LARGEST = 1 << 16  # bytes


class NetworkPorts(Isolator):
    name = "network/ports"
    enforces = frozenset({"listen_ports"})

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.listen_ports is not None:
            ranges = parse(config.listen_ports)
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._save(container_id, {"granted": config.listen_ports, "ranges": ranges})
        return LaunchInfo()

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.listen_ports is not None:
            parse(config.listen_ports)
        return LaunchInfo()

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        if (asked := self._load(container_id)) is not None:
            self._save(container_id, {**asked, "pid": pid, "started": process.started_at(pid)})

    def watch(self, container_id: ContainerId) -> Watch | None:
        if self._load(container_id) is None:
            return None
        return _Watch(self, container_id, self.flags.container_ports_watch_interval)

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        asked = self._load(container_id)
        port = None if asked is None else asked.get("found")
        if asked is None or port is None:
            return None
        return Limitation(
            isolator=self.name,
            resource="ports",
            message=f"the container listens on port {port}, and was granted {asked['granted'] or 'none'}",
            fatal=self.flags.enforce_container_ports,
        )

    def look(self, container_id: ContainerId) -> Limitation | None:
        """At what listens now."""
        asked = self._load(container_id)
        if asked is None or "pid" not in asked or process.started_at(asked["pid"]) != asked["started"]:
            return None
        for port in sorted(listening.ports(asked["pid"])):
            if not any(first <= port <= last for first, last in asked["ranges"]):
                self._save(container_id, {**asked, "found": port})
                return self.limitation(container_id)
        return None

    def cleanup(self, container_id: ContainerId) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(container_id))
        with contextlib.suppress(OSError):  # others have theirs there, or nobody ever had
            os.rmdir(self._directory)

    @property
    def _directory(self) -> str:
        return os.path.join(self.flags.own_state, "listening")

    def _path(self, container_id: ContainerId) -> str:
        return os.path.join(self._directory, f"{container_id}.json")

    def _load(self, container_id: ContainerId) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = json.loads(files.read(self._path(container_id), _LARGEST))
        except (FileNotFoundError, ValueError):
            return None
        return value

    def _save(self, container_id: ContainerId, value: dict[str, Any]) -> None:
        beside = f"{self._path(container_id)}.{os.getpid()}.new"
        with open(beside, "w", encoding="ascii") as file:
            json.dump(value, file)
        os.rename(beside, self._path(container_id))


def parse(text: str) -> list[tuple[int, int]]:
    """From "8000-8010,9000"; "" grants none. Raises InvalidRequest."""
    return [_range(word, text) for word in text.split(",") if word]


def _range(word: str, text: str) -> tuple[int, int]:
    first, dash, last = word.partition("-")
    last = last if dash else first
    numbers = [int(each) for each in (first, last) if each.isascii() and each.isdecimal()]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] <= 65535:
        hint = "write numbers and ranges from 1 to 65535, such as 8000-8010,9000"
        raise InvalidRequest(f"invalid ports {text!r}", hint=hint)
    return numbers[0], numbers[1]


class _Watch(Watch):
    def __init__(self, isolator: NetworkPorts, container_id: ContainerId, interval: float) -> None:
        self._isolator, self._id, self._interval = isolator, container_id, interval
        self._timer: int | None = timerfd.create()
        timerfd.set_once(self._timer, interval)

    def fileno(self) -> int | None:
        return self._timer

    def check(self) -> Limitation | None:
        if self._timer is not None:
            timerfd.set_once(self._timer, self._interval)
        return self._isolator.look(self._id) or self._isolator.limitation(self._id)

    def close(self) -> None:
        if self._timer is not None:
            os.close(self._timer)
            self._timer = None
