"""disk/du: what a container's sandbox takes on the disk, measured again and again; past the limit, it ends.

For every filesystem, quotas or not. The sandbox has the writable layer, the volumes in it and the log, and
what is nested in the container. A process beside measures and kills (isolators.disk.measurer); here is what
it is to do, and what it has found. So a container that nobody watches keeps to its limit, too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from isolators.disk import limits
from isolators.disk.register import Asked, Register
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, Watch
from isolators.resources import Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.kernel import process, timerfd
from launcher.launch_info import LaunchInfo

_LONGEST_PAUSE = 10.0  # seconds: until somebody sees that the measurer was killed


class DiskDu(Isolator):
    name = "disk/du"
    launchers = ("linux", "posix")
    enforces = frozenset({"disk"})

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        self._register = Register(os.path.join(flags.own_state, "disk"))

    def check(self, resources: Resources) -> None:
        limits.check(resources)

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        asked = Asked(
            sandbox=config.sandbox,
            limit=config.resources.disk,
            enforced=self.flags.enforce_container_disk_quota,
            interval=self.flags.container_disk_watch_interval,
        )
        self._register.ask(container_id, asked)
        return self.contribute(container_id, config)

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        """From now on there is somebody to kill."""
        self._change(container_id, pid=pid, started=process.started_at(pid))

    def watch(self, container_id: ContainerId) -> Watch:
        asked = self._register.asked(container_id)
        is_limited = asked is not None and asked.limit is not None
        pause = min(self.flags.container_disk_watch_interval, _LONGEST_PAUSE)
        return _Watch(self, container_id, pause if is_limited else None)

    def see_to_it(self) -> None:
        """Somebody may have killed the measurer: have another one measure."""
        self._register.have_measured()

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        asked, over = self._register.asked(container_id), self._register.found(container_id).over
        if asked is None or asked.limit is None or over is None:
            return None
        return limits.limitation(self.name, asked.limit, over, fatal=True, whole=False)

    def reached(self, container_id: ContainerId) -> Sequence[Limitation]:
        """Only where the limit is not enforced."""
        asked, used = self._register.asked(container_id), self._register.found(container_id).used
        if asked is None or asked.enforced or asked.limit is None or used is None or used <= asked.limit:
            return ()
        return (limits.limitation(self.name, asked.limit, used, fatal=False),)

    def update(self, container_id: ContainerId, resources: Resources) -> None:
        self._change(container_id, limit=resources.disk)

    def usage(self, container_id: ContainerId) -> Usage:
        """As of the last pass."""
        self.see_to_it()
        asked, found = self._register.asked(container_id), self._register.found(container_id)
        return Usage(disk_bytes=found.used, disk_limit_bytes=asked.limit if asked else None)

    def cleanup(self, container_id: ContainerId) -> None:
        self._register.forget(container_id)

    def _change(self, container_id: ContainerId, **changes: int | None) -> None:
        asked = self._register.asked(container_id)
        if asked is not None:
            self._register.ask(container_id, replace(asked, **changes))
            self._register.have_measured()


class _Watch(Watch):
    """Polls readable from time to time, to see whether there is a measurer, and what it told.

    It kills by itself, and the end of the task wakes whoever waits; so nothing is late but what is told only.
    """

    def __init__(self, isolator: DiskDu, container_id: ContainerId, pause: float | None) -> None:
        """`pause`: None where there is no limit, so nothing to look for."""
        self._isolator, self._id, self._pause = isolator, container_id, pause or 0.0
        self._told = False
        self._timer: int | None = None
        if pause is not None:
            self._timer = timerfd.create()
            timerfd.set_once(self._timer, pause)

    def fileno(self) -> int | None:
        return self._timer

    def check(self) -> Limitation | None:
        if self._timer is not None:
            timerfd.set_once(self._timer, self._pause)
            self._isolator.see_to_it()
        if not self._told:
            for limitation in self._isolator.reached(self._id):
                self._told = True
                return limitation
        return self._isolator.limitation(self._id)

    def close(self) -> None:
        if self._timer is not None:
            os.close(self._timer)
            self._timer = None
