"""cgroups/pressure: tells when a container has to wait for memory, CPUs or disks for too long.

v2 measures how long some task, or all of them, waited ("pressure stall information", in
Documentation/accounting/psi.rst), on a hybrid host as well; that is compared with what is asked for, within
a window. v1 tells three levels of how hard it is to find memory: cgroup-v1/memory.rst, section 11.

What is watched for lies with the cgroup: after a restart another process watches.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from isolators.cgroups.notices import Notices
from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import ContainerConfig, Need, Watch
from isolators.resources import Limitation, Resources
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError, Hierarchy

RESOURCES = ("memory", "cpu", "io")
LEVELS = {"low": "some 100ms/1s", "medium": "some 300ms/1s", "critical": "full 300ms/1s"}
NONE = "none"  # of an update: watch it no more

_ASKED = "trusted.containerizer.pressure"  # xattr(7) of cgroupfs
_THRESHOLD = re.compile(r"(?:(some|full) )?(\d{1,6})(ms|s)/(\d{1,6})(ms|s)", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1000}
_SHORTEST, _LONGEST = 500, 10_000  # ms; windows that the kernel takes
_LATE = 1.2  # a window is looked at when it has passed, and then some
_PSI = "/proc/pressure"


class Threshold(Data):
    """Waiting for so long within a window is too long."""

    who: str  # "some" or "full": any task, or all at once
    stall: int  # ms
    window: int  # ms


def threshold(text: str) -> Threshold:
    """Of "150ms/1s", "full 50ms/500ms" or a level. Raises InvalidRequest."""
    match = _THRESHOLD.fullmatch(LEVELS.get(text, text))
    if match:
        stall, window = (int(match[i]) * _MILLISECONDS[match[i + 1]] for i in (2, 4))
        if 0 < stall <= window and _SHORTEST <= window <= _LONGEST:
            return Threshold(match[1] or "some", stall, window)
    hint = f"write {', '.join(LEVELS)}, or a part of {_SHORTEST}ms to {_LONGEST}ms, such as 'full 150ms/1s'"
    raise InvalidRequest(f"invalid pressure {text!r}", hint=hint)


def _find(mountinfo: str = cgroups.MOUNTINFO) -> Hierarchy | None:
    """v2's hierarchy, whatever controllers it has, if the kernel measures; or v1's that has the memory."""
    unified = (h for h in cgroups.hierarchies(mountinfo) if h.version == 2 and os.path.isdir(_PSI))
    return next(unified, None) or cgroups.find("memory", mountinfo)


class CgroupsPressure(CgroupIsolator):
    name = "cgroups/pressure"
    controller = "pressure"  # none: every cgroup of v2 has it
    needs = (
        Need(
            "pressure of cgroups",
            lambda: _find() is not None,
            "boot with psi=1 and mount cgroup2, or the memory controller of v1",
        ),
    )
    enforces = frozenset({"pressure"})

    @classmethod
    def find(cls, mountinfo: str) -> Hierarchy | None:
        return _find(mountinfo)

    def check(self, resources: Resources) -> None:
        for resource, text in (resources.pressure or {}).items():
            if resource not in RESOURCES:
                hint = f"there is that of {', '.join(RESOURCES)}"
                raise InvalidRequest(f"no pressure is known of {resource!r}", hint=hint)
            if text == NONE:
                continue
            threshold(text)
            if self.hierarchy.version == 1 and (resource != "memory" or text not in LEVELS):
                hint = f"ask for memory {', '.join(LEVELS)}, or mount cgroup2 on a kernel with PSI"
                raise InvalidRequest(f"cgroup v1 tells no pressure {text!r} of {resource}", hint=hint)

    def fill(self, cgroup: str, config: ContainerConfig) -> None:
        if config.resources.pressure:
            self.limit(cgroup, config.resources)

    def limit(self, cgroup: str, resources: Resources) -> None:
        """Those who watch already go on as they did."""
        asked = {name: text for name, text in (resources.pressure or {}).items() if text != NONE}
        try:
            os.setxattr(cgroup, _ASKED, json.dumps(asked).encode())
        except OSError as error:
            raise CgroupError(f"cannot keep what is asked of {cgroup}", error) from error

    def watch(self, container_id: ContainerId) -> Watch | None:
        cgroup = self.cgroup(container_id)
        asked = _asked(cgroup)
        if not asked:
            return None
        if self.hierarchy.version == 1:
            return _WatchV1(cgroup, asked["memory"])
        return _WatchV2(cgroup, {resource: threshold(text) for resource, text in asked.items()})

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        """What there is of it now, in percent of the last ten seconds."""
        cgroup = self.cgroup(container_id)
        told: dict[str, Any] = {}
        for resource in RESOURCES if self.hierarchy.version == 2 else ():
            measured = _measured(cgroup, resource)
            told[f"{resource}_pressure"] = {who: float(values["avg10"]) for who, values in measured.items()}
        return {**super().status(container_id), **told}


class _Watch(Watch):
    """Tells of each resource once, and then looks no more."""

    def __init__(self) -> None:
        self._notices = Notices()

    def fileno(self) -> int | None:
        return self._notices.fileno()

    def close(self) -> None:
        self._notices.close()


class _WatchV1(_Watch):
    def __init__(self, cgroup: str, level: str) -> None:
        super().__init__()
        self._level = level
        try:
            self._notices.add_v1_event(cgroup, "memory.pressure_level", level)
        except BaseException:
            self.close()
            raise

    def check(self) -> Limitation | None:
        if not self._notices.take():
            return None
        self._notices.drop()
        return _limitation("memory", f"it is hard to find memory for it: {self._level} pressure")


class _WatchV2(_Watch):
    """Looks twice a window at how long there was waiting in all.

    The kernel would tell by itself, but to the first that polls only, be it the epoll around ours
    (psi_trigger_poll, kernel/sched/psi.c), and by a thread of its own for each container.
    """

    def __init__(self, cgroup: str, asked: Mapping[str, Threshold]) -> None:
        super().__init__()
        self._cgroup = cgroup
        self._asked = dict(asked)
        self._seen = {resource: [(time.monotonic(), self._waited(resource))] for resource in asked}
        self._notices.add_timer(*[min(each.window for each in asked.values()) / 2000] * 2)

    def check(self) -> Limitation | None:
        for resource in self._asked if self._notices.take() else ():
            stall = self._stall(resource)
            asked = self._asked[resource]
            if stall >= asked.stall:
                del self._asked[resource]
                if not self._asked:
                    self._notices.drop()
                return _limitation(resource, _sentence(resource, asked, stall), asked.stall, stall)
        return None

    def _stall(self, resource: str) -> float:
        """In the last window, in ms."""
        now, waited = time.monotonic(), self._waited(resource)
        begin = now - self._asked[resource].window / 1000 * _LATE
        seen = [(at, before) for at, before in self._seen[resource] if at >= begin]
        self._seen[resource] = [*seen, (now, waited)]
        return (waited - seen[0][1]) / 1000 if seen else 0

    def _waited(self, resource: str) -> int:
        """In all, in µs."""
        return int(_measured(self._cgroup, resource)[self._asked[resource].who]["total"])


def _sentence(resource: str, asked: Threshold, stall: float) -> str:
    who = {"some": "some of it", "full": "all of it"}[asked.who]
    limit = f"{asked.stall} ms within {asked.window} ms"
    return f"{who} waited for {resource}: limit {limit}, it was {stall:.0f} ms"


def _limitation(
    resource: str, message: str, limit: float | None = None, usage: float | None = None
) -> Limitation:
    return Limitation(
        isolator=CgroupsPressure.name,
        resource=f"{resource}_pressure",
        message=message,
        fatal=False,
        limit=limit,
        usage=usage,
    )


def _measured(cgroup: str, resource: str) -> dict[str, dict[str, str]]:
    """ "some" and "full" → "avg10", in percent, … "total", in µs. Raises CgroupError."""
    lines = (line.split() for line in cgroups.read(cgroup, f"{resource}.pressure").splitlines())
    return {who: dict(each.split("=") for each in values) for who, *values in lines}


def _asked(cgroup: str) -> dict[str, str]:
    try:
        asked: dict[str, str] = json.loads(os.getxattr(cgroup, _ASKED))
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOENT):
            return {}
        raise
    return asked
