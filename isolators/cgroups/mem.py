"""cgroups/mem: the memory that a container may use; past it, the kernel kills.

The limit covers swap too: otherwise a container at its limit would go on in the host's swap. The
kernel kills at once, and counts it: `watch` waits for the notice, `check` and `limitation` read the count,
so a kill is reported even where the notice came after the end, or to nobody.
"""

from __future__ import annotations

from isolators.cgroups.notices import Notices
from isolators.cgroups.subsystem import CgroupIsolator, TypedFiles, controller_need, is_gone
from isolators.isolator import Watch
from isolators.resources import Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups

MINIMUM = 4 << 20  # bytes; below that the kernel kills before the command is even executed
MEBIBYTE = 1 << 20

_V1_UNLIMITED = 1 << 62  # bytes; what v1 shows without a limit is LONG_MAX rounded to a page


class CgroupsMem(CgroupIsolator):
    name = "cgroups/mem"
    controller = "memory"
    needs = (controller_need("memory"),)
    enforces = frozenset({"memory"})

    def check(self, resources: Resources) -> None:
        if resources.memory is not None and resources.memory < MINIMUM:
            raise InvalidRequest(
                f"memory limit of {resources.memory} bytes is too small to start anything",
                hint=f"use at least {MINIMUM} bytes ({MINIMUM // MEBIBYTE}m)",
            )

    def limit(self, cgroup: str, resources: Resources) -> None:
        try:
            set_limit = _limit_v2 if self.hierarchy.version == 2 else _limit_v1
            set_limit(cgroup, resources.memory)
        except cgroups.CgroupError as error:
            used = self._files(cgroup).usage()
            error.hint = f"the container uses {used} bytes: end something in it, or ask for more"
            raise

    def watch(self, container_id: ContainerId) -> Watch:
        return _MemoryWatch(self._files(self.cgroup(container_id)))

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        try:
            return _limitation(self._files(self.cgroup(container_id)))
        except cgroups.CgroupError as error:
            if not is_gone(error):
                raise
            return None

    def usage(self, container_id: ContainerId) -> Usage:
        files = self._files(self.cgroup(container_id))
        return Usage(
            memory_bytes=files.usage(), memory_peak_bytes=files.peak(), memory_limit_bytes=files.limit()
        )

    def _files(self, cgroup: str) -> _Files:
        return (_FilesV2 if self.hierarchy.version == 2 else _FilesV1)(cgroup)


def _limit_v1(cgroup: str, limit: int | None) -> None:
    files = ["memory.limit_in_bytes"]
    with_swap = "memory.memsw.limit_in_bytes"
    if cgroups.has(cgroup, with_swap):  # not without swap accounting
        # The kernel keeps limit <= memsw at every moment, so the one that makes room goes first.
        raising = limit is None or limit > int(cgroups.read(cgroup, with_swap))
        files.insert(0 if raising else 1, with_swap)
    for file in files:
        cgroups.write(cgroup, file, str(-1 if limit is None else limit))


def _limit_v2(cgroup: str, limit: int | None) -> None:
    if cgroups.has(cgroup, "memory.swap.max"):
        cgroups.write(cgroup, "memory.swap.max", "max" if limit is None else "0")
    cgroups.write(cgroup, "memory.max", "max" if limit is None else str(limit))
    if cgroups.has(cgroup, "memory.oom.group"):  # Linux 4.19; half a container helps nobody
        cgroups.write(cgroup, "memory.oom.group", "1")


class _Files:
    """The numbers of a memory cgroup, in bytes."""

    def __init__(self, cgroup: str) -> None:
        self.cgroup = cgroup

    def add_notice(self, notices: Notices) -> None:
        """What tells when the kernel has killed. Raises CgroupError."""
        raise NotImplementedError

    def usage(self) -> int:
        raise NotImplementedError

    def peak(self) -> int | None:
        raise NotImplementedError

    def limit(self) -> int | None:
        raise NotImplementedError

    def kills(self) -> int:
        """How many processes the kernel has killed, as far as this cgroup's own limit may be the cause.

        It counts kills for want of the host's memory, and by a nested container's limit, as well.
        """
        raise NotImplementedError


class _FilesV1(_Files):
    def add_notice(self, notices: Notices) -> None:
        notices.add_v1_event(self.cgroup, "memory.oom_control")

    def usage(self) -> int:
        return self._number("usage_in_bytes")

    def peak(self) -> int:
        return self._number("max_usage_in_bytes")

    def limit(self) -> int | None:
        limit = self._number("limit_in_bytes")
        return limit if limit < _V1_UNLIMITED else None

    def kills(self) -> int:
        # v1 does not tell whose limit it was: current kernels leave memory.failcnt at 0.
        kills = cgroups.read_flat(self.cgroup, "memory.oom_control")["oom_kill"]  # Linux 4.13
        return kills if kills and self.limit() is not None else 0

    def _number(self, name: str) -> int:
        return int(TypedFiles("MemoryController", self.cgroup).get(name))


class _FilesV2(_Files):
    def add_notice(self, notices: Notices) -> None:
        notices.add_file(self.cgroup, "memory.events")

    def usage(self) -> int:
        return int(cgroups.read(self.cgroup, "memory.current"))

    def peak(self) -> int | None:
        known = cgroups.has(self.cgroup, "memory.peak")  # Linux 5.19
        return int(cgroups.read(self.cgroup, "memory.peak")) if known else None

    def limit(self) -> int | None:
        limit = cgroups.read(self.cgroup, "memory.max")
        return None if limit == "max" else int(limit)

    def kills(self) -> int:
        events = cgroups.read_flat(self.cgroup, "memory.events")
        if cgroups.has(self.cgroup, "memory.events.local"):  # Linux 5.2
            reached = cgroups.read_flat(self.cgroup, "memory.events.local")["oom"]
            return events["oom_kill"] if reached else 0
        return events["oom_kill"]


def _limitation(files: _Files) -> Limitation | None:
    if not files.kills():
        return None
    limit, peak = _mebibytes(files.limit()), _mebibytes(files.peak())
    return Limitation(
        isolator=CgroupsMem.name,
        resource="memory",
        message=f"the kernel killed for want of memory: limit {limit}, peak use {peak}",
    )


class _MemoryWatch(Watch):
    """The kernel's notice, and its count of kills."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._notices = Notices()
        try:
            files.add_notice(self._notices)
        except BaseException:
            self._notices.close()
            raise

    def fileno(self) -> int | None:
        return self._notices.fileno()

    def check(self) -> Limitation | None:
        self._notices.take()  # an out-of-memory that killed nobody is no limitation
        return _limitation(self._files)

    def close(self) -> None:
        self._notices.close()


def _mebibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / MEBIBYTE:.1f} MiB"
