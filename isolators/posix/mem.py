"""posix/mem: the memory of a container without cgroups, and whether it takes more than it has asked for.

Nobody keeps such a container within a limit. What it requests is a soft one: that it has passed it is told,
once, and it goes on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, Watch
from isolators.posix.process_tree import Notes, status
from isolators.resources import Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo

MEBIBYTE = 1 << 20
_PAUSE = 1.0  # seconds between two looks


class PosixMem(Isolator):
    name = "posix/mem"
    launchers = ("linux", "posix")
    enforces = frozenset({"memory_reservation"})
    watches_what_is_asked = True

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        self._notes = Notes(os.path.join(flags.own_state, "posix-mem"))

    def check(self, resources: Resources) -> None:
        asked = resources.memory_reservation
        if asked is not None and asked < -1:
            raise InvalidRequest(f"invalid memory reservation of {asked} bytes", hint="use 0 or more")

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.resources.memory_reservation is not None:
            self._notes.write(container_id, soft=config.resources.memory_reservation)
        return self.contribute(container_id, config)

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        self._notes.remember(container_id, pid)

    def watch(self, container_id: ContainerId) -> Watch:
        return _Watch(self, container_id)

    def reached(self, container_id: ContainerId) -> Sequence[Limitation]:
        """At this moment; of what has ended nothing is known."""
        soft, used = self._soft_limit(container_id), self.usage(container_id).memory_bytes
        if soft is None or used is None or used <= soft:
            return ()
        told = [f"{size / MEBIBYTE:.1f} MiB" for size in (used, soft)]
        message = f"its processes take {told[0]}: requested {told[1]}"
        return (
            Limitation(
                isolator=self.name, resource="memory", message=message, fatal=False, limit=soft, usage=used
            ),
        )

    def update(self, container_id: ContainerId, resources: Resources) -> None:
        self._notes.write(container_id, soft=resources.memory_reservation)

    def usage(self, container_id: ContainerId) -> Usage:
        """A page that several processes have counts for each."""
        found = [sizes for pid in self._notes.processes(container_id) if (sizes := status(pid))]
        if not found:
            return Usage()
        anon, mapped, shared = (
            sum(sizes.get(name, 0) for sizes in found) for name in ("RssAnon", "RssFile", "RssShmem")
        )
        return Usage(
            memory_bytes=anon + mapped + shared,
            memory_anon_bytes=anon,
            memory_mapped_bytes=mapped + shared,
            memory_soft_limit_bytes=self._soft_limit(container_id),
        )

    def cleanup(self, container_id: ContainerId) -> None:
        self._notes.forget(container_id)

    def _soft_limit(self, container_id: ContainerId) -> int | None:
        soft: int | None = self._notes.read(container_id).get("soft")
        return None if soft == -1 else soft


class _Watch(Watch):
    """Looks every second, until there is something to tell."""

    def __init__(self, isolator: PosixMem, container_id: ContainerId) -> None:
        from launcher.kernel import timerfd

        self._isolator, self._id = isolator, container_id
        self._told = False
        self._timer: int | None = timerfd.create()
        timerfd.set_once(self._timer, _PAUSE)

    def fileno(self) -> int | None:
        return self._timer

    def check(self) -> Limitation | None:
        from launcher.kernel import timerfd

        if self._timer is None or self._told:
            return None
        for limitation in self._isolator.reached(self._id):
            self._told = True
            timerfd.set_once(self._timer, 0)  # which is never
            return limitation
        timerfd.set_once(self._timer, _PAUSE)
        return None

    def close(self) -> None:
        if self._timer is not None:
            os.close(self._timer)
            self._timer = None
