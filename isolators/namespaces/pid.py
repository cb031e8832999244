"""namespaces/pid: the task sees only its own processes, and is PID 1 among them."""

from __future__ import annotations

import os

from isolators.isolator import PROC_MOUNT, ContainerConfig, Isolator, Need, shares
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo
from launcher.namespaces import NEW, below


class PidNamespace(Isolator):
    name = "namespaces/pid"
    requires = ("filesystem/linux",)  # its own /proc needs a mount namespace
    needs = (
        Need(
            "PID namespaces", lambda: os.path.exists("/proc/self/ns/pid"), "use a kernel with CONFIG_PID_NS"
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if shares("mnt", config):
            return _without_proc(config)
        if shares("pid", config):
            return LaunchInfo(mounts=(PROC_MOUNT,))
        parents = config.parent.namespaces.get("pid") if config.parent else None
        return LaunchInfo(namespaces={"pid": below(parents) if parents else NEW}, mounts=(PROC_MOUNT,))


def _without_proc(config: ContainerConfig) -> LaunchInfo:
    """In a mount namespace of others there is a /proc already, of a PID namespace that must be the task's."""
    if not shares("pid", config):
        hint = "give it a mount namespace of its own, or with --ns pid=… that of the same processes"
        raise InvalidRequest("a PID namespace of its own needs a mount namespace of its own", hint=hint)
    return LaunchInfo()
