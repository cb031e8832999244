"""Collect what containers that have ended left on disk: by age, and sooner the fuller the disk is.

The predecessor's rule: a sandbox may be as old as `gc_delay` × max(0, 1 − headroom − part in use). The
termination stays for all of `gc_delay`, or until somebody removes the container. Sandboxes from before
a reboot belong to no container any more, wherever its state was: nothing in them has changed since.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from containerizer import sandbox
from containerizer.agent.events import Events
from containerizer.agent.survey import booted_at
from containerizer.containerizer import Containerizer
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest

Call = Callable[[Callable[[Containerizer], None]], Awaitable[None]]
Remove = Callable[[ContainerId], Awaitable[None]]


def allowed_age(delay: float, headroom: float, used: float) -> float:
    """Seconds that a sandbox may stay; `used` and `headroom` are parts of the disk, 0 to 1."""
    return delay * max(0.0, 1.0 - headroom - used)


def used(directory: str) -> float:
    """The part of the filesystem that is in use, as df(1) counts it."""
    disk = os.statvfs(directory)
    taken = disk.f_blocks - disk.f_bfree
    available = taken + disk.f_bavail
    return taken / available if available else 0.0


class Collector:
    """Looks at the disk every now and then."""

    def __init__(self, paths: Paths, events: Events, *, delay: float, headroom: float) -> None:
        self._paths = paths
        self._events = events
        self._delay = delay
        self._headroom = headroom

    async def run(
        self,
        interval: float,
        records: Callable[[], Awaitable[list[ContainerRecord]]],
        remove: Remove,
        call: Call,
    ) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.collect(await records(), remove, call)

    async def collect(self, records: list[ContainerRecord], remove: Remove, call: Call) -> None:
        """Once. What fails is told, and tried again the next time."""
        now = time.time()
        oldest = now - allowed_age(self._delay, self._headroom, used(self._paths.root))
        for record in records:
            if record.state != "terminated" or record.id.parent is not None:
                continue  # those in others go with them
            finished = record.finished_at or record.created_at
            if finished < now - self._delay:
                await self._told(record.id, remove(record.id))
            elif finished < oldest and os.path.isdir(self._paths.sandbox(record.id)):
                await self._told(record.id, call(partial(_delete_files, record.id)))
        known = {record.id for record in records}
        for container_id, changed in self._stale():
            if container_id not in known and changed < oldest:
                await self._told(container_id, call(partial(_delete_files, container_id)))

    async def _told(self, container_id: ContainerId, work: Awaitable[None]) -> None:
        try:
            await work
        except (ContainerizerError, OSError) as error:
            self._events.tell("collect-failed", container_id, message=str(error))
        else:
            self._events.tell("collected", container_id)

    def _stale(self) -> Iterator[tuple[ContainerId, float]]:
        """Sandboxes that nobody has touched since the boot, and when somebody did."""
        boot = booted_at()
        with contextlib.suppress(FileNotFoundError), os.scandir(f"{self._paths.root}/containers") as entries:
            for entry in entries:
                with contextlib.suppress(InvalidRequest, FileNotFoundError):
                    changed = entry.stat(follow_symlinks=False).st_ctime
                    if changed < boot and entry.is_dir(follow_symlinks=False):
                        yield ContainerId(entry.name), changed


def _delete_files(container_id: ContainerId, owner: Containerizer) -> None:
    directory = owner.paths.sandbox(container_id)
    owner.provisioner.destroy(str(container_id), directory)
    sandbox.delete(directory)
