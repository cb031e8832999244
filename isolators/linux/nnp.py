"""linux/nnp: no new privileges: execve(2) never grants more than the task has.

Setuid programs and file capabilities lose their effect. See PR_SET_NO_NEW_PRIVS in prctl(2).
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator, Need
from launcher.container_id import ContainerId
from launcher.launch_info import LaunchInfo


def _supported() -> bool:
    with open("/proc/self/status") as status:
        return any(line.startswith("NoNewPrivs:") for line in status)


class LinuxNnp(Isolator):
    name = "linux/nnp"
    needs = (Need("the no-new-privileges flag", _supported, "use Linux 4.10 or newer, and mount /proc"),)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return LaunchInfo(no_new_privileges=True if config.no_new_privileges else None)
