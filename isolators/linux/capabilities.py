"""linux/capabilities: what a task that is root may do of what root may do.

The default is Docker's: enough for a package manager and a web server, nothing that reaches the
host. The inheritable and ambient sets stay empty: a full inheritable set would hand file
capabilities to whoever the task becomes (CVE-2022-24769).
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags
from isolators.linux.granted import Bounds, granted
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import capabilities
from launcher.launch_info import Capabilities, LaunchInfo


class LinuxCapabilities(Isolator):
    name = "linux/capabilities"

    def __init__(self, flags: IsolatorFlags, status: str = capabilities.STATUS) -> None:
        super().__init__(flags)
        self._bounds = Bounds.of(flags, status)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        names = granted(config, self._bounds)
        ambient = tuple(map(capabilities.parse, config.capabilities_ambient))
        for name in ambient:
            if name not in names:
                raise InvalidRequest(f"capability {name} is ambient, and not granted", hint="add it, too")
        return LaunchInfo(
            capabilities=Capabilities(
                bounding=names, effective=names, permitted=names, inheritable=ambient, ambient=ambient
            )
        )
