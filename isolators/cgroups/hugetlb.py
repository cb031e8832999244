"""cgroups/hugetlb: the huge pages that a container may use, by their size.

Past the limit mmap(2) fails; a mapping that reserves nothing gets SIGBUS at its first touch instead.
See Documentation/admin-guide/cgroup-v1/hugetlb.rst and cgroup-v2.rst; both versions count alike.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from isolators.cgroups.subsystem import CgroupIsolator, controller_need
from isolators.isolator import Watch
from isolators.resources import UNLIMITED, Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups

PAGE_SIZES = "/sys/kernel/mm/hugepages"  # hugepages-2048kB …: Documentation/admin-guide/mm/hugetlbpage.rst
_MAX = (1 << 63) - 1
_KIBIBYTE, _MEBIBYTE, _GIBIBYTE = 1 << 10, 1 << 20, 1 << 30


class _Files(NamedTuple):
    """What follows `hugetlb.2MB.`; those of reservations are there since Linux 5.7."""

    limits: tuple[str, ...]
    unlimited: str
    used: str


_FILES = {
    1: _Files(("rsvd.limit_in_bytes", "limit_in_bytes"), "-1", "usage_in_bytes"),
    2: _Files(("rsvd.max", "max"), "max", "current"),
}


class CgroupsHugetlb(CgroupIsolator):
    name = "cgroups/hugetlb"
    controller = "hugetlb"
    needs = (controller_need("hugetlb"),)
    enforces = frozenset({"hugetlb"})
    watches_what_is_asked = True

    def check(self, resources: Resources) -> None:
        there = page_sizes()
        for size, limit in (resources.hugetlb or {}).items():
            if size not in there:
                hint = f"it has {', '.join(there) or 'none'}"
                raise InvalidRequest(f"this host has no huge pages of {size}", hint=hint)
            if limit != UNLIMITED and not (0 <= limit <= _MAX and limit % there[size] == 0):
                hint = f"use a multiple of {there[size]} bytes, or {UNLIMITED} for no limit"
                raise InvalidRequest(f"invalid limit of {limit} bytes in huge pages of {size}", hint=hint)

    def limit(self, cgroup: str, resources: Resources) -> None:
        files, asked = self._files, resources.hugetlb or {}
        for size in page_sizes():
            limit = asked.get(size, UNLIMITED)
            for file in files.limits:
                if cgroups.has(cgroup, f"hugetlb.{size}.{file}"):
                    self._write(cgroup, size, file, files.unlimited if limit == UNLIMITED else str(limit))

    def watch(self, container_id: ContainerId) -> Watch:
        """On v1 the kernel counts, and tells nobody."""
        from isolators.cgroups.notices import Notices, OnceWatch

        cgroup, sizes = self.cgroup(container_id), page_sizes()
        notices = Notices()
        try:
            if self.hierarchy.version == 1:
                notices.add_timer()
            for size in sizes if self.hierarchy.version == 2 else ():
                notices.add_file(cgroup, f"hugetlb.{size}.events")
        except BaseException:
            notices.close()
            raise
        return OnceWatch(notices, lambda: self.passed(cgroup), most=len(sizes))

    def passed(self, cgroup: str) -> Iterator[Limitation]:
        for size in page_sizes():
            if refused := self._refused(cgroup, size):
                used, limit = self._read(cgroup, size, self._files.used), self._limit(cgroup, size)
                what = f"huge pages of {size} were refused {'once' if refused == 1 else f'{refused} times'}"
                yield Limitation(
                    isolator=self.name,
                    resource=f"hugetlb.{size}",
                    message=f"{what}: limit {limit} bytes, {used} used now",
                    fatal=False,
                    limit=limit,
                    usage=int(used),
                )

    def usage(self, container_id: ContainerId) -> Usage:
        cgroup = self.cgroup(container_id)
        used = {size: int(self._read(cgroup, size, self._files.used)) for size in page_sizes()}
        return Usage(hugetlb_bytes=used)

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        cgroup = self.cgroup(container_id)
        refused = {size: self._refused(cgroup, size) for size in page_sizes()}
        return {**super().status(container_id), "hugetlb_refused": refused}

    @property
    def _files(self) -> _Files:
        return _FILES[self.hierarchy.version]

    def _limit(self, cgroup: str, size: str) -> int | None:
        limit = self._read(cgroup, size, self._files.limits[-1])
        return None if limit == self._files.unlimited else int(limit)

    def _refused(self, cgroup: str, size: str) -> int:
        """How often one of the limits was hit."""
        if self.hierarchy.version == 2:
            return cgroups.read_flat(cgroup, f"hugetlb.{size}.events")["max"]
        files = (f"hugetlb.{size}.{file}" for file in ("failcnt", "rsvd.failcnt"))
        return sum(int(cgroups.read(cgroup, file)) for file in files if cgroups.has(cgroup, file))

    def _read(self, cgroup: str, size: str, file: str) -> str:
        return cgroups.read(cgroup, f"hugetlb.{size}.{file}")

    def _write(self, cgroup: str, size: str, file: str, value: str) -> None:
        try:
            cgroups.write(cgroup, f"hugetlb.{size}.{file}", value)
        except cgroups.CgroupError as error:
            if error.errno == errno.EBUSY:
                used = self._read(cgroup, size, self._files.used)
                error.hint = (
                    f"the container has mapped more, and uses {used} bytes: end something in it first"
                )
            raise


def page_sizes(directory: str = PAGE_SIZES) -> dict[str, int]:
    """Name in the cgroup's files → bytes, of those that this host has: mem_fmt in mm/hugetlb_cgroup.c."""
    if not os.path.isdir(directory):
        return {}
    found = (re.fullmatch(r"hugepages-(\d+)kB", name) for name in os.listdir(directory))
    return {_name(size): size for size in sorted(int(match[1]) * _KIBIBYTE for match in found if match)}


def _name(size: int) -> str:
    for unit, suffix in ((_GIBIBYTE, "GB"), (_MEBIBYTE, "MB")):
        if size >= unit:
            return f"{size // unit}{suffix}"
    return f"{size // _KIBIBYTE}KB"
