"""posix/rlimits: how much of each resource a single process of the task may use, by setrlimit(2).

Unlike a cgroup's, these limits count per process (nproc: per user) and are inherited by fork(2).
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo
from launcher.posix_attributes import rlimit_names


class PosixRlimits(Isolator):
    name = "posix/rlimits"
    launchers = ("linux", "posix")
    enforces = frozenset({"rlimits"})

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        known = rlimit_names()
        for name in config.attributes.rlimits:
            if name not in known:
                raise InvalidRequest(f"unknown resource limit {name!r}", hint=f"use {', '.join(known)}")
        return LaunchInfo(rlimits=config.attributes.rlimits)
