"""The files of a memory cgroup, of either version: what is limited, used and counted. In bytes.

See Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from typing import ClassVar

from isolators.cgroups import tcp_memory
from isolators.cgroups.notices import Notices, V1Event
from isolators.cgroups.subsystem import TypedFiles
from isolators.resources import UNLIMITED, Resources, Usage
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError

_RECLAIM_SECONDS = 5.0  # for what has to be written to a disk first
_V1_UNLIMITED = 1 << 62  # what v1 shows without a limit is LONG_MAX rounded to a page
_LIMIT_V1, _WITH_SWAP_V1 = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"


class MemoryFiles:
    """Those of one cgroup. Every method raises CgroupError."""

    new: ClassVar[Mapping[str, str]]  # the limits, in the order in which they are written; as in a new cgroup

    def __init__(self, cgroup: str) -> None:
        self.cgroup = cgroup

    def fill(self, asked: Resources) -> None:
        """Limit a new cgroup."""
        for file, value in self._new_limits(asked).items():
            if value != self.new[file]:
                cgroups.write(self.cgroup, file, value)

    def _new_limits(self, asked: Resources) -> dict[str, str]:
        """As `_limits`, of a cgroup that has none."""
        return self._limits(asked)

    def change(self, asked: Resources) -> None:
        """Let these be the limits, whatever they were."""
        for file, value in self._limits(asked).items():
            if value != self.new[file] or cgroups.has(self.cgroup, file):  # older kernels lack some
                cgroups.write(self.cgroup, file, value)

    def _limits(self, asked: Resources) -> dict[str, str]:
        """File → value, in the order in which the kernel takes them."""
        raise NotImplementedError

    def notice(self) -> Notices | V1Event:
        """What tells when the kernel has killed."""
        raise NotImplementedError

    def usage(self) -> Usage:
        raise NotImplementedError

    def used(self) -> int:
        raise NotImplementedError

    def peak(self) -> int | None:
        raise NotImplementedError

    def limit(self) -> int | None:
        raise NotImplementedError

    def slowed(self) -> tuple[int, int] | None:
        """The amount beyond which it is slowed down, and how often it was; None if it never was."""
        return None

    def kills(self) -> int:
        """How many processes the kernel has killed, as far as this cgroup's own limit may be the cause.

        It counts kills for want of the host's memory, and by a nested container's limit, as well.
        """
        raise NotImplementedError


class FilesV1(MemoryFiles):
    new: ClassVar[Mapping[str, str]] = {
        _LIMIT_V1: "-1",
        _WITH_SWAP_V1: "-1",
        "memory.soft_limit_in_bytes": "-1",
    }

    def fill(self, asked: Resources) -> None:
        super().fill(asked)
        if (limit := given(asked.memory)) is not None:
            tcp_memory.limit_new(self.cgroup, limit)

    def change(self, asked: Resources) -> None:
        super().change(asked)
        limit = given(asked.memory)
        if limit is not None or tcp_memory.is_limited(self.cgroup):
            tcp_memory.limit(self.cgroup, limit)

    def _limits(self, asked: Resources) -> dict[str, str]:
        files = self._new_limits(asked)
        with_swap = files.get(_WITH_SWAP_V1)
        # The kernel keeps limit <= memsw at every moment, so the one that makes room goes first.
        if with_swap == "-1" or (
            with_swap and int(with_swap) > int(cgroups.read(self.cgroup, _WITH_SWAP_V1))
        ):
            files = {_WITH_SWAP_V1: with_swap, **files}
        return files

    def _new_limits(self, asked: Resources) -> dict[str, str]:
        limit, swap = given(asked.memory), given_swap(asked)
        with_swap = None if limit is None or swap is None else limit + swap
        files = {
            _LIMIT_V1: limit,
            _WITH_SWAP_V1: with_swap,
            "memory.soft_limit_in_bytes": given(asked.memory_reservation),
        }
        if not cgroups.has(self.cgroup, _WITH_SWAP_V1):  # without swap accounting
            del files[_WITH_SWAP_V1]
        return {file: "-1" if value is None else str(value) for file, value in files.items()}

    def notice(self) -> V1Event:
        return V1Event(self.cgroup, "memory.oom_control")

    def usage(self) -> Usage:
        stat = self._typed.get("stat")
        return Usage(
            memory_bytes=self.used(),
            memory_peak_bytes=self.peak(),
            memory_limit_bytes=self.limit(),
            memory_soft_limit_bytes=_limited(self._typed.get("soft_limit_in_bytes")),
            memory_with_swap_bytes=self._optional("memory.memsw.usage_in_bytes"),
            memory_anon_bytes=stat["total_rss"],
            memory_file_bytes=stat["total_cache"],
            memory_mapped_bytes=stat["total_mapped_file"],
            memory_inactive_file_bytes=stat.get("total_inactive_file"),
            memory_unevictable_bytes=stat["total_unevictable"],
            page_faults=stat.get("total_pgfault"),
            major_page_faults=stat.get("total_pgmajfault"),
            memory_swap_bytes=stat.get("total_swap"),
            memory_kernel_bytes=self._optional("memory.kmem.usage_in_bytes"),
            memory_tcp_bytes=self._optional("memory.kmem.tcp.usage_in_bytes"),
            memory_limit_hits=self._optional("memory.failcnt"),
            memory_oom_kills=cgroups.read_flat(self.cgroup, "memory.oom_control").get("oom_kill"),
        )

    def used(self) -> int:
        return int(self._typed.get("usage_in_bytes"))

    def peak(self) -> int:
        return int(self._typed.get("max_usage_in_bytes"))

    def limit(self) -> int | None:
        return _limited(self._typed.get("limit_in_bytes"))

    def kills(self) -> int:
        # v1 does not tell whose limit it was: current kernels leave memory.failcnt at 0.
        kills = cgroups.read_flat(self.cgroup, "memory.oom_control")["oom_kill"]  # Linux 4.13
        return kills if kills and self.limit() is not None else 0

    @property
    def _typed(self) -> TypedFiles:
        return TypedFiles("MemoryController", self.cgroup)

    def _optional(self, file: str) -> int | None:
        """Of what has to be compiled in, or went with newer kernels."""
        return int(cgroups.read(self.cgroup, file)) if cgroups.has(self.cgroup, file) else None


class FilesV2(MemoryFiles):
    new: ClassVar[Mapping[str, str]] = {
        "memory.swap.max": "max",
        "memory.max": "max",
        "memory.high": "max",
        "memory.low": "0",
        "memory.oom.group": "0",  # Linux 4.19
    }

    def _limits(self, asked: Resources) -> dict[str, str]:
        limit, swap = given(asked.memory), given_swap(asked)
        high, low = given(asked.memory_high), given(asked.memory_reservation)
        values = ("max" if value is None else str(value) for value in (swap, limit, high, low or 0))
        return dict(zip(self.new, (*values, "0" if asked.oom_group is False else "1"), strict=True))

    def change(self, asked: Resources) -> None:
        limit = given(asked.memory)
        if limit is not None and self.used() > limit:
            self._make_room(limit)
        super().change(asked)

    def _make_room(self, limit: int) -> None:
        """Have the kernel take back what it can (files' contents, say) before the limit is there.

        It would kill for what it does not get at once. What cannot be taken back is refused, as v1 does.
        """
        before = cgroups.read(self.cgroup, "memory.high")
        if before == "max" or int(before) > limit:
            cgroups.write(self.cgroup, "memory.high", str(limit))  # who takes more meanwhile is slowed down
        used, deadline = self.used(), time.monotonic() + _RECLAIM_SECONDS
        while used > limit and time.monotonic() < deadline:
            self._reclaim(used - limit)
            least, used = used, self.used()
            if used >= least:
                break
        if used > limit:
            cgroups.write(self.cgroup, "memory.high", before)
            path = os.path.join(self.cgroup, "memory.max")
            raise CgroupError(f"cannot write '{limit}' to {path}", OSError(errno.EBUSY, ""))

    def _reclaim(self, size: int) -> None:
        """The kernel tries several times, and says if that is not all."""
        if cgroups.has(self.cgroup, "memory.reclaim"):  # Linux 5.19
            try:
                cgroups.write(self.cgroup, "memory.reclaim", str(size))
            except CgroupError as error:
                if error.errno != errno.EAGAIN:
                    raise
        else:
            cgroups.write(self.cgroup, "memory.high", cgroups.read(self.cgroup, "memory.high"))

    def notice(self) -> Notices:
        notices = Notices()
        try:
            notices.add_file(self.cgroup, "memory.events")
        except BaseException:
            notices.close()
            raise
        return notices

    def usage(self) -> Usage:
        stat = cgroups.read_flat(self.cgroup, "memory.stat")
        used, swap = self.used(), self._optional("memory.swap.current")
        events = cgroups.read_flat(self.cgroup, "memory.events")
        return Usage(
            memory_bytes=used,
            memory_peak_bytes=self.peak(),
            memory_limit_bytes=self.limit(),
            memory_soft_limit_bytes=int(cgroups.read(self.cgroup, "memory.low")) or None,
            memory_with_swap_bytes=None if swap is None else used + swap,
            memory_anon_bytes=stat["anon"],
            memory_file_bytes=stat["file"],
            memory_mapped_bytes=stat["file_mapped"],
            memory_inactive_file_bytes=stat.get("inactive_file"),
            memory_unevictable_bytes=stat["unevictable"],
            page_faults=stat.get("pgfault"),
            major_page_faults=stat.get("pgmajfault"),
            memory_swap_bytes=swap,
            memory_kernel_bytes=stat.get("kernel"),  # Linux 5.18
            memory_tcp_bytes=stat["sock"],
            memory_limit_hits=events.get("max"),
            memory_oom_kills=events.get("oom_kill"),
        )

    def used(self) -> int:
        return int(cgroups.read(self.cgroup, "memory.current"))

    def peak(self) -> int | None:
        return self._optional("memory.peak")  # Linux 5.19

    def limit(self) -> int | None:
        limit = cgroups.read(self.cgroup, "memory.max")
        return None if limit == "max" else int(limit)

    def slowed(self) -> tuple[int, int] | None:
        times = self._own_events()["high"]
        high = cgroups.read(self.cgroup, "memory.high") if times else "max"
        return None if high == "max" else (int(high), times)

    def kills(self) -> int:
        if not self._own_events()["oom"]:
            return 0
        return cgroups.read_flat(self.cgroup, "memory.events")["oom_kill"]

    def _own_events(self) -> dict[str, int]:
        """Of its own limits, as far as the kernel tells: Linux 5.2."""
        local = "memory.events.local"
        return cgroups.read_flat(self.cgroup, local if cgroups.has(self.cgroup, local) else "memory.events")

    def _optional(self, file: str) -> int | None:
        return int(cgroups.read(self.cgroup, file)) if cgroups.has(self.cgroup, file) else None


def given(limit: int | None) -> int | None:
    """None for what is not limited."""
    return None if limit == UNLIMITED else limit


def given_swap(asked: Resources) -> int | None:
    """How much swap beside the memory; None for all of the host's. With a limit, none unless asked for."""
    limit = given(asked.memory)
    if limit is None or asked.memory_swap == UNLIMITED:
        return None
    return asked.memory_swap - limit if asked.memory_swap else 0


def _limited(value: int | None) -> int | None:
    return None if value is None or value >= _V1_UNLIMITED else value
