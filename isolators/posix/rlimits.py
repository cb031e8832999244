"""posix/rlimits: how much of each resource a single process of the task may use, by setrlimit(2).

Unlike a cgroup's, these limits count per process (nproc: per user) and are inherited by fork(2).
"""

from __future__ import annotations

from collections.abc import Iterable

from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo


class PosixRlimits(Isolator):
    name = "posix/rlimits"
    launchers = ("linux", "posix")
    enforces = frozenset({"rlimits"})

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.attributes.rlimits:
            _check_known(config.attributes.rlimits)
        return LaunchInfo(rlimits=config.attributes.rlimits)


def _check_known(names: Iterable[str]) -> None:
    from launcher.posix_attributes import rlimit_names  # most ask for none

    known = rlimit_names()
    for name in names:
        if name not in known:
            raise InvalidRequest(f"unknown resource limit {name!r}", hint=f"use {', '.join(known)}")
