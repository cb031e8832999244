"""cgroups/cpuset: the CPUs and the memory nodes that a container may use, by their numbers.

A list as the kernel writes it, "0-3,5", or for CPUs how many: then they are chosen, and may be the
container's alone. What is not asked for is as in the cgroup above: on v1 a new cpuset is empty, and
nobody may run in an empty one, so it is filled from there. See cpuset(7) and
Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from isolators import ownership
from isolators.cgroups.cpu_claims import Claims, directory_of
from isolators.cgroups.subsystem import CgroupIsolator, controller_need
from isolators.isolator import ContainerConfig
from isolators.resources import UNLIMITED, Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups

# File → the field of Resources, and what people call its numbers.
_FILES: Mapping[str, tuple[str, str]] = {
    "cpuset.cpus": ("cpuset_cpus", "CPUs"),
    "cpuset.mems": ("cpuset_mems", "memory nodes"),
}
_CPUS = "cpuset.cpus"
_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


class CgroupsCpuset(CgroupIsolator):
    name = "cgroups/cpuset"
    controller = "cpuset"
    needs = (controller_need("cpuset"),)
    enforces: ClassVar[frozenset[str]] = frozenset(
        {"cpuset_cpus", "cpuset_mems", "cpuset_count", "cpuset_exclusive"}
    )

    def check(self, resources: Resources) -> None:
        for file, (field, what) in _FILES.items():
            asked = getattr(resources, field)
            if asked is None:
                continue
            host = _effective(self.hierarchy.mount_point, self.hierarchy.version, file)
            beyond = numbers(asked, what) - numbers(host, what)
            if beyond:
                raise InvalidRequest(
                    f"this host has no {what} {_listed(beyond)} for containers",
                    hint=f"choose from {host}",
                )
        self._check_count(resources)

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        granted = self._granted(container_id, config.resources)
        super().create(container_id, replace(config, resources=granted))

    def update(self, container_id: ContainerId, resources: Resources) -> None:
        super().update(container_id, self._granted(container_id, resources))

    def cleanup(self, container_id: ContainerId) -> None:
        super().cleanup(container_id)
        Claims(self.flags, container_id).release()

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        claims = ownership.sweep(directory_of(self.flags))
        return [*super().recover(is_there), *(f"the claim of CPU {name}" for name in claims)]

    def limit(self, cgroup: str, resources: Resources) -> None:
        if self.hierarchy.version == 1:
            cgroups.inherit_cpuset(self.hierarchy, os.path.relpath(cgroup, self.hierarchy.mount_point))
        for file, (field, what) in _FILES.items():
            asked = getattr(resources, field)
            if asked is None:
                if not cgroups.read(cgroup, file):
                    continue  # v2 follows the cgroup above; and who runs in it cannot be brought back to that
                asked = _effective(os.path.dirname(cgroup), self.hierarchy.version, file)
            try:
                cgroups.set_to(cgroup, file, asked)
            except cgroups.CgroupError as error:
                error.hint = _hint(error, what, os.path.dirname(cgroup), file)
                raise

    def _check_count(self, resources: Resources) -> None:
        count, exclusive = resources.cpuset_count, resources.cpuset_exclusive
        counted = count is not None and count != UNLIMITED
        if counted and resources.cpuset_cpus is not None:
            hint = "use one of them; -1 undoes the number"
            raise InvalidRequest("CPUs are asked for by a list and by a number", hint=hint)
        if exclusive and not counted and resources.cpuset_cpus is None:
            hint = "name a list, or a number"
            raise InvalidRequest("CPUs of its own, but not which or how many", hint=hint)
        if counted:
            host = numbers(self._there(self.hierarchy.mount_point), "CPUs")
            if not 1 <= (count or 0) <= len(host):
                hint = f"this host has {len(host)} for containers"
                raise InvalidRequest(f"{count} CPUs are asked for", hint=hint)

    def _granted(self, container_id: ContainerId, resources: Resources) -> Resources:
        """With a list for what is asked. Raises CpusTaken."""
        claims, asked = Claims(self.flags, container_id), resources.cpuset_cpus
        if asked is None and resources.cpuset_count in (None, UNLIMITED):
            claims.release()
            return resources
        exclusive = bool(resources.cpuset_exclusive)
        with claims.locked():
            if asked is not None:
                claims.name(numbers(asked, "CPUs"), exclusive=exclusive)
                return resources
            there = numbers(self._there(self._above(container_id)), "CPUs")
            chosen = claims.choose(there, resources.cpuset_count or 0, exclusive=exclusive)
        return replace(resources, cpuset_cpus=",".join(map(str, chosen)))

    def _above(self, container_id: ContainerId) -> str:
        """The cgroup of which it has a part."""
        if container_id.parent:
            return self.cgroup(container_id.parent)
        top = os.path.join(self.hierarchy.mount_point, self._root_of(container_id))
        return top if os.path.isdir(top) and self._there(top) else self.hierarchy.mount_point

    def _there(self, cgroup: str) -> str:
        return _effective(cgroup, self.hierarchy.version, _CPUS)

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        cgroup = self.cgroup(container_id)
        now = {field: _effective(cgroup, self.hierarchy.version, file) for file, (field, _) in _FILES.items()}
        return {**super().status(container_id), **now}


def numbers(text: str, what: str) -> set[int]:
    """The numbers of a list such as "0-3,5", cpuset(7). Raises InvalidRequest."""
    found: set[int] = set()
    for part in text.strip().split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise InvalidRequest(f"invalid list of {what} {text!r}", hint="write it as 0-3,5")
        found.update(range(first, last + 1))
    return found


def _listed(some: set[int]) -> str:
    return ",".join(map(str, sorted(some)[:8]))


def _effective(cgroup: str, version: int, file: str) -> str:
    """What those in the cgroup have: at the top of v2 nothing was ever written to the file itself."""
    return cgroups.read(cgroup, f"{file}.effective" if version == 2 else file)


def _hint(error: cgroups.CgroupError, what: str, parent: str, file: str) -> str | None:
    if error.errno in (errno.EACCES, errno.EINVAL):
        return f"the cgroup above has the {what} {cgroups.read(parent, file)}: choose from those"
    if error.errno == errno.EBUSY:
        return f"a nested container has others of the {what}: change that one first"
    return None
