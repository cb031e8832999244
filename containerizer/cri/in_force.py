"""The limits that a container has now, whoever has set them: people may have, with `containerizer update`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer import checkpoint
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto.stored_pb2 import StoredContainer
from containerizer.cri.store import id_of
from containerizer.paths import Paths
from isolators.cgroups.cpu import bandwidth
from isolators.resources import UNLIMITED, Resources

_SAME = {
    "memory": "memory_limit_in_bytes",
    "memory_swap": "memory_swap_limit_in_bytes",
    "cpu_shares": "cpu_shares",
    "cpuset_cpus": "cpuset_cpus",
    "cpuset_mems": "cpuset_mems",
}


def resources_of(paths: Paths, container: StoredContainer) -> common.LinuxContainerResources:
    """What the kubelet has asked for, with what was changed since."""
    limits = checkpoint.read(paths.limits(id_of(container)))
    return container.resources if limits is None else overlaid(container.resources, limits)


def overlaid(
    asked: common.LinuxContainerResources, limits: Mapping[str, Any]
) -> common.LinuxContainerResources:
    """`limits`: by the names of Resources."""
    told = common.LinuxContainerResources()
    told.CopyFrom(asked)
    for name, field in _SAME.items():
        if name in limits:
            setattr(told, field, limits[name])
    period, quota, _ = bandwidth(Resources(**limits))
    if not {"cpus", "cpu_quota"}.isdisjoint(limits):
        told.cpu_period, told.cpu_quota = period, UNLIMITED if quota is None else quota
    return told
