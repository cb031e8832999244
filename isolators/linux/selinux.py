"""linux/selinux: a label of SELinux for the task, which the host's policy goes by.

It holds from the task's execve(2) on, for further commands in the container too. Files keep the labels that
they have. See selinux(8).
"""

from __future__ import annotations

from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig, Isolator, Need
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import labels
from launcher.launch_info import LaunchInfo


class LinuxSelinux(Isolator):
    name = "linux/selinux"
    enforces = frozenset({"selinux"})
    needs = (
        Need(
            "SELinux",
            labels.has_selinux,
            "boot with `security=selinux selinux=1`, and load a policy, or ask for no label",
            optional=True,
        ),
    )

    def __init__(self, flags: IsolatorFlags, **places: str) -> None:
        super().__init__(flags)
        self._places = places

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.selinux is None:
            return LaunchInfo()
        if not labels.is_selinux_label(config.selinux, **self._places):
            hint = "see `seinfo -t` for the types that it has, and semanage-login(8)"
            raise InvalidRequest(f"the policy knows no SELinux label {config.selinux!r}", hint=hint)
        return LaunchInfo(selinux=config.selinux)
