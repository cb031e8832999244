"""linux/apparmor: a profile of AppArmor for the task, of those that the host has loaded, or a built-in one.

It holds from the task's execve(2) on, for further commands in the container too. See apparmor(7).
"""

from __future__ import annotations

from isolators.flags import IsolatorFlags
from isolators.isolator import UNCONFINED, ContainerConfig, Isolator, Need
from isolators.linux import apparmor_profile
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import labels
from launcher.launch_info import LaunchInfo


def confines_by_default(**places: str) -> bool:
    """Whether containers that name no profile have ours: it can be loaded, or is there."""
    loaded = labels.apparmor_profiles(**places)
    return loaded is not None and (apparmor_profile.can_be_loaded() or apparmor_profile.NAME in loaded)


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
        self._default = apparmor_profile.NAME if confines_by_default(**places) else None

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        """Load ours if it is not there: `aa-remove-unknown` removes what is in none of the host's files."""
        profile = self._profile(config)
        if profile == apparmor_profile.NAME and not self._is_loaded(profile):
            apparmor_profile.load()

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        profile = self._profile(config)
        if profile not in (None, apparmor_profile.NAME) and not self._is_loaded(profile):
            raise InvalidRequest(
                f"no AppArmor profile {profile!r} is loaded",
                hint="load it with apparmor_parser(8); `aa-status` lists those that are",
            )
        return LaunchInfo(apparmor=profile)

    def _profile(self, config: ContainerConfig) -> str | None:
        if config.apparmor == UNCONFINED:
            return None
        return self._default if config.apparmor is None else config.apparmor

    def _is_loaded(self, profile: str | None) -> bool:
        """As far as that can be seen."""
        loaded = labels.apparmor_profiles(**self._places)
        return loaded is None or profile in loaded
