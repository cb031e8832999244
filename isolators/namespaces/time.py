"""namespaces/time: monotonic and boot time of the container's own, shifted as it asks.

What was checkpointed on another host goes on with the clocks that it knows. The time of day is
everyone's, and not shifted. See time_namespaces(7).
"""

from __future__ import annotations

import os

from isolators.isolator import ContainerConfig, Isolator, Need, shares
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo


class TimeNamespace(Isolator):
    name = "namespaces/time"
    enforces = frozenset({"time_offsets"})
    needs = (
        Need(
            "time namespaces",
            lambda: os.path.exists("/proc/self/ns/time"),
            "use Linux 5.6 or newer with CONFIG_TIME_NS",
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.parent is not None and not config.time_offsets:
            return LaunchInfo()  # its parent's
        if shares("time", config):
            return _shared(config)
        return LaunchInfo(namespaces={"time": "new"}, time_offsets=config.time_offsets)


def _shared(config: ContainerConfig) -> LaunchInfo:
    if config.time_offsets:
        hint = "leave out --time-offset, or give it a time namespace of its own"
        raise InvalidRequest("a container in another time namespace cannot shift its clocks", hint=hint)
    return LaunchInfo()
