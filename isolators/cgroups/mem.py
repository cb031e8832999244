"""cgroups/mem: the memory that a container may use; past it, the kernel kills.

The limit covers swap too: otherwise a container at its limit would go on in the host's swap. The
kernel kills at once, and counts it: `watch` waits for the notice, `check` and `limitation` read the count,
so a kill is reported even where the notice came after the end, or to nobody.
"""

from __future__ import annotations

import errno
import os

from isolators.cgroups.subsystem import CgroupIsolator, TypedFiles, controller_need
from isolators.isolator import Watch
from isolators.resources import Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.io.loop import is_ready
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
        cgroup = self.cgroup(container_id)
        return (_WatchV2 if self.hierarchy.version == 2 else _WatchV1)(cgroup)

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        try:
            return _limitation(self._files(self.cgroup(container_id)))
        except cgroups.CgroupError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):  # given back by somebody else
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
    """Both versions: a descriptor that the kernel signals, and the count of kills."""

    def __init__(self, files: _Files, fd: int) -> None:
        self._files = files
        self._fd: int | None = fd

    def fileno(self) -> int | None:
        return self._fd

    def check(self) -> Limitation | None:
        return _limitation(self._files)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class _WatchV1(_MemoryWatch):
    """An eventfd, registered for memory.oom_control: cgroup-v1/memory.rst, section 9."""

    def __init__(self, cgroup: str) -> None:
        eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(os.path.join(cgroup, "memory.oom_control"), os.O_RDONLY | os.O_CLOEXEC)
            try:
                cgroups.write(cgroup, "cgroup.event_control", f"{eventfd} {control}")
            finally:
                os.close(control)
        except BaseException:
            os.close(eventfd)
            raise
        super().__init__(_FilesV1(cgroup), eventfd)

    def check(self) -> Limitation | None:
        self._drain()
        return super().check()

    def _drain(self) -> None:
        """Make the descriptor wait again: an out-of-memory that killed nobody is no limitation."""
        if self._fd is not None and is_ready(self._fd):
            os.eventfd_read(self._fd)


class _WatchV2(_MemoryWatch):
    """memory.events polls POLLPRI when a count changes, once it was read."""

    def __init__(self, cgroup: str) -> None:
        fd = os.open(os.path.join(cgroup, "memory.events"), os.O_RDONLY | os.O_CLOEXEC)
        super().__init__(_FilesV2(cgroup), fd)
        os.read(fd, 4096)

    def check(self) -> Limitation | None:
        if self._fd is not None:
            os.pread(self._fd, 4096, 0)
        return super().check()


def _mebibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / MEBIBYTE:.1f} MiB"
