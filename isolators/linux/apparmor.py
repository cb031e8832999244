"""linux/apparmor: a profile of AppArmor for the task, of those that the host has loaded.

It holds from the task's execve(2) on, for further commands in the container too. See apparmor(7).
"""

from __future__ import annotations

from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig, Isolator, Need
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import labels
from launcher.launch_info import LaunchInfo


class LinuxApparmor(Isolator):
    name = "linux/apparmor"
    enforces = frozenset({"apparmor"})
    needs = (
        Need(
            "AppArmor",
            labels.has_apparmor,
            "boot with `apparmor=1 security=apparmor` on a kernel that has it, or ask for no profile",
            optional=True,
        ),
    )

    def __init__(self, flags: IsolatorFlags, **places: str) -> None:
        super().__init__(flags)
        self._places = places

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.apparmor is None:
            return LaunchInfo()
        loaded = labels.apparmor_profiles(**self._places)
        if loaded is not None and config.apparmor not in loaded:
            raise InvalidRequest(
                f"no AppArmor profile {config.apparmor!r} is loaded",
                hint="load it with apparmor_parser(8); `aa-status` lists those that are",
            )
        return LaunchInfo(apparmor=config.apparmor)
