"""linux/capabilities: what a task that is root may do of what root may do.

The default is Docker's: enough for a package manager and a web server, nothing that reaches the
host. The inheritable and ambient sets stay empty: a full inheritable set would hand file
capabilities to whoever the task becomes (CVE-2022-24769).
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import capabilities
from launcher.launch_info import Capabilities, LaunchInfo

DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
)
ALL = "ALL"


class LinuxCapabilities(Isolator):
    name = "linux/capabilities"

    def __init__(self, flags: IsolatorFlags, status: str = capabilities.STATUS) -> None:
        super().__init__(flags)
        self.host = capabilities.bounding_set(status)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        granted = self._granted(_Names(config.capabilities_add), _Names(config.capabilities_drop))
        names = tuple(name for name in self.host if name in granted)  # in the order of the numbers
        return LaunchInfo(capabilities=Capabilities(bounding=names, effective=names, permitted=names))

    def _granted(self, add: _Names, drop: _Names) -> set[str]:
        """Docker's rule: a name that is both dropped and added stays; a name wins over ALL."""
        for name in add.names:
            if name not in self.host:
                raise InvalidRequest(
                    f"cannot add capability {name}: this host does not have it itself",
                    hint="run without adding it, or with a containerizer that has it in its bounding set",
                )
        if add.all:
            return set(self.host) - (set(drop.names) - set(add.names))
        return set(add.names) if drop.all else (set(DEFAULT) - set(drop.names)) | set(add.names)


class _Names:
    """A list of a request: its capabilities, and whether ALL is among them. Raises InvalidRequest."""

    def __init__(self, asked: tuple[str, ...]) -> None:
        self.all = any(name.upper() in (ALL, f"CAP_{ALL}") for name in asked)
        self.names = tuple(
            capabilities.parse(name) for name in asked if name.upper() not in (ALL, f"CAP_{ALL}")
        )
