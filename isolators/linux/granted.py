"""Which capabilities a request grants: what linux/capabilities gives, and linux/seccomp goes by."""

from __future__ import annotations

from isolators.isolator import ContainerConfig
from launcher.errors import InvalidRequest
from launcher.kernel import capabilities

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


def granted(config: ContainerConfig, host: tuple[str, ...]) -> tuple[str, ...]:
    """The names, in the order of `host`, the launcher's own bounding set. Raises InvalidRequest.

    Docker's rule: a name that is both dropped and added stays; a name wins over ALL.
    """
    add, drop = _Names(config.capabilities_add), _Names(config.capabilities_drop)
    for name in add.names:
        if name not in host:
            raise InvalidRequest(
                f"cannot add capability {name}: this host does not have it itself",
                hint="run without adding it, or with a containerizer that has it in its bounding set",
            )
    names = _combined(add, drop, host)
    return tuple(name for name in host if name in names)


def _combined(add: _Names, drop: _Names, host: tuple[str, ...]) -> set[str]:
    if add.all:
        return set(host) - (set(drop.names) - set(add.names))
    return set(add.names) if drop.all else (set(DEFAULT) - set(drop.names)) | set(add.names)


class _Names:
    """A list of a request: its capabilities, and whether ALL is among them. Raises InvalidRequest."""

    def __init__(self, asked: tuple[str, ...]) -> None:
        self.all = any(name.upper() in (ALL, f"CAP_{ALL}") for name in asked)
        self.names = tuple(
            capabilities.parse(name) for name in asked if name.upper() not in (ALL, f"CAP_{ALL}")
        )
