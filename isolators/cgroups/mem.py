"""cgroups/mem: the memory that a container may use; past it, the kernel kills.

The limit covers swap too, unless some is asked for: otherwise a container at its limit would go on in
the host's swap. The kernel kills at once, and counts it: `watch` waits for the notice, `check` and
`limitation` read the count, so a kill is reported even where the notice came after the end, or to nobody.

It ends the whole container, by the kernel on v2 and by who watches on v1; or the victim only, if the
request says so, and then it is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from isolators import ownership
from isolators.cgroups import tcp_memory
from isolators.cgroups.memory_files import FilesV1, FilesV2, MemoryFiles, given
from isolators.cgroups.subsystem import CgroupIsolator, controller_need, is_gone
from isolators.isolator import ContainerConfig, IsolatorFlags, Watch
from isolators.resources import UNLIMITED, Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError

MINIMUM = 4 << 20  # bytes; below that the kernel kills before the command is even executed
MEBIBYTE = 1 << 20
_LARGEST = (1 << 62) - 1  # bytes; v1 takes more for no limit


class CgroupsMem(CgroupIsolator):
    name = "cgroups/mem"
    controller = "memory"
    needs = (controller_need("memory"),)
    enforces = frozenset({"memory", "memory_reservation", "memory_high", "memory_swap", "oom_group"})

    def __init__(self, flags: IsolatorFlags, mountinfo: str = cgroups.MOUNTINFO) -> None:
        super().__init__(flags, mountinfo)
        self._spared = os.path.join(flags.own_state, "oom-victims")  # v1: whose containers go on without them

    def check(self, resources: Resources) -> None:
        for field in ("memory", "memory_high"):
            _check_size(field, getattr(resources, field), MINIMUM)
        _check_size("memory_reservation", resources.memory_reservation, 0)
        limit = given(resources.memory)
        for field in ("memory_reservation", "memory_high"):
            lower = given(getattr(resources, field))
            if limit is not None and lower is not None and lower > limit:
                hint = "the limit has to be the larger one"
                raise InvalidRequest(
                    f"{field} of {lower} bytes is more than memory, {limit} bytes", hint=hint
                )
        if given(resources.memory_high) is not None and self.hierarchy.version == 1:
            raise InvalidRequest("cgroup v1 has no memory_high", hint="use a limit, or boot with cgroup v2")
        if resources.memory_swap:
            self._check_swap(resources.memory_swap, limit)

    def fill(self, cgroup: str, config: ContainerConfig) -> None:
        if self.hierarchy.version == 1:
            tcp_memory.inherit(cgroup, os.path.join(self.hierarchy.mount_point, self.root))
        if self.hierarchy.version == 1 and config.resources.asked().isdisjoint(self.enforces):
            return  # a new cgroup is as nobody asks; on v2 but for the kernel's victims
        self.files(cgroup).fill(config.resources)
        if config.resources.oom_group is False:
            self._spare(cgroup, config.resources)

    def limit(self, cgroup: str, resources: Resources) -> None:
        files = self.files(cgroup)
        try:
            files.change(resources)
        except CgroupError as error:
            error.hint = f"the container uses {files.used()} bytes: end something in it, or ask for more"
            raise
        self._spare(cgroup, resources)

    def watch(self, container_id: ContainerId) -> Watch:
        return _MemoryWatch(self, self.cgroup(container_id))

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        try:
            return self.found(self.cgroup(container_id), fatal=True)
        except CgroupError as error:
            if not is_gone(error):
                raise
            return None

    def passed(self, cgroup: str) -> Iterator[Limitation]:
        found = self.found(cgroup)
        if found and not found.fatal:
            yield found
        if slowed := self.slowed(cgroup):
            yield slowed

    def usage(self, container_id: ContainerId) -> Usage:
        return self.files(self.cgroup(container_id)).usage()

    def cleanup(self, container_id: ContainerId) -> None:
        super().cleanup(container_id)
        if self.hierarchy.version == 1:
            ownership.release(self._spared, self._holder(self.cgroup(container_id)))

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        for name in ownership.names(self._spared):
            if not is_there(
                ContainerId.parse(".".join(part.removeprefix("ct-") for part in name.split(".")))
            ):
                ownership.release(self._spared, name)
        return super().recover(is_there)

    def found(self, cgroup: str, *, fatal: bool = False) -> Limitation | None:
        """What the kernel's count tells; fatal at least if the container ends with a victim."""
        files = self.files(cgroup)
        if not files.kills():
            return None
        limit, peak = files.limit(), files.peak()
        told = f"limit {_mebibytes(limit)}, peak use {_mebibytes(peak)}"
        return Limitation(
            isolator=self.name,
            resource="memory",
            message=f"the kernel killed for want of memory: {told}",
            fatal=fatal or self._ends_with_a_victim(cgroup),
            limit=limit,
            usage=peak,
        )

    def slowed(self, cgroup: str) -> Limitation | None:
        """Whether it went beyond memory_high."""
        files = self.files(cgroup)
        slowed = files.slowed()
        if slowed is None:
            return None
        (high, times), peak = slowed, files.peak()
        how_often = "once" if times == 1 else f"{times} times"
        told = f"limit {_mebibytes(high)}, peak use {_mebibytes(peak)}"
        return Limitation(
            isolator=self.name,
            resource="memory_high",
            message=f"slowed down {how_often} for its use of memory: {told}",
            fatal=False,
            limit=high,
            usage=peak,
        )

    def files(self, cgroup: str) -> MemoryFiles:
        return (FilesV2 if self.hierarchy.version == 2 else FilesV1)(cgroup)

    def _check_swap(self, swap: int, limit: int | None) -> None:
        """As Docker has it: memory and swap together."""
        if swap != UNLIMITED and limit is None:
            raise InvalidRequest("a limit of swap without one of memory", hint="name --memory as well")
        if swap != UNLIMITED and not (limit or 0) <= swap <= _LARGEST:
            hint = "it is of memory and swap together; -1: no limit"
            raise InvalidRequest(f"memory_swap of {swap} bytes, with memory of {limit} bytes", hint=hint)
        counted = "memory.memsw.limit_in_bytes"
        if self.hierarchy.version == 1 and not cgroups.has(self.hierarchy.mount_point, counted):
            raise InvalidRequest("this kernel counts no swap", hint="boot it with swapaccount=1")

    # v1 has no file for it.

    def _ends_with_a_victim(self, cgroup: str) -> bool:
        if self.hierarchy.version == 1:
            return ownership.holder_of(self._spared, self._holder(cgroup)) is None
        known = cgroups.has(cgroup, "memory.oom.group")
        return not known or cgroups.read(cgroup, "memory.oom.group") == "1"

    def _spare(self, cgroup: str, resources: Resources) -> None:
        if self.hierarchy.version == 1:
            holder = self._holder(cgroup)
            if resources.oom_group is False:
                ownership.take(self._spared, holder, [holder], 1)
            else:
                ownership.release(self._spared, holder)

    def _holder(self, cgroup: str) -> str:
        return cgroup.removeprefix(f"{self.hierarchy.mount_point}/{self.root}/").replace("/", ".")


class _MemoryWatch(Watch):
    """The kernel's notice, and its count of kills."""

    tells = CgroupsMem.enforces

    def __init__(self, isolator: CgroupsMem, cgroup: str) -> None:
        self._isolator = isolator
        self._cgroup = cgroup
        self._told: set[str] = set()  # resources whose limits the container goes on within
        self._notice = isolator.files(cgroup).notice()

    def fileno(self) -> int | None:
        return self._notice.fileno()

    def check(self) -> Limitation | None:
        self._notice.take()  # an out-of-memory that killed nobody is no limitation
        found = self._isolator.found(self._cgroup)
        if found is not None and found.fatal:
            return found
        for passed in (found, self._isolator.slowed(self._cgroup)):
            if passed is not None and passed.resource not in self._told:
                self._told.add(passed.resource)
                return passed
        return None

    def close(self) -> None:
        self._notice.close()


def _check_size(field: str, size: int | None, least: int) -> None:
    if size is None or size == UNLIMITED:
        return
    if size < least:
        what = "memory limit" if field == "memory" else field
        hint = f"use at least {least} bytes ({least // MEBIBYTE}m), or -1 for no limit"
        raise InvalidRequest(f"{what} of {size} bytes is too small to start anything", hint=hint)
    if size > _LARGEST:
        raise InvalidRequest(f"{field} of {size} bytes is too large", hint="use -1 for no limit")


def _mebibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / MEBIBYTE:.1f} MiB"
