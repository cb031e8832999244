"""Which capabilities a request grants: what linux/capabilities gives, and linux/seccomp goes by."""

from __future__ import annotations

from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig
from launcher.data import Data
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


class Bounds(Data):
    """What the operator and this host allow, and what a container has that asks for nothing."""

    most: tuple[str, ...]
    default: tuple[str, ...] = DEFAULT

    @classmethod
    def of(cls, flags: IsolatorFlags, status: str) -> Bounds:
        """`status`: of the launcher, whose bounding set counts. Raises InvalidRequest."""
        host = capabilities.bounding_set(status)
        most, default = flags.bounding_capabilities, flags.effective_capabilities
        if most is not None:
            allowed = set(map(capabilities.parse, most))
            host = tuple(name for name in host if name in allowed)
        chosen = DEFAULT if default is None else tuple(map(capabilities.parse, default))
        if default is not None and most is not None and not set(chosen) <= allowed:
            beyond = ", ".join(name for name in chosen if name not in allowed)
            raise InvalidRequest(
                f"the effective capabilities have some that the bounding ones have not: {beyond}",
                hint="leave them out of --effective_capabilities, or add them to --bounding_capabilities",
            )
        return cls(host, chosen)


def granted(config: ContainerConfig, bounds: Bounds) -> tuple[str, ...]:
    """The names, in the kernel's order. Raises InvalidRequest.

    Docker's rule: a name that is both dropped and added stays; a name wins over ALL.
    """
    add, drop = _Names(config.capabilities_add), _Names(config.capabilities_drop)
    for name in add.names:
        if name not in bounds.most:
            raise InvalidRequest(
                f"cannot add capability {name}: the host does not have it, or its operator forbids it",
                hint="run without adding it, or with a containerizer that has it in its bounding set",
            )
    names = _combined(add, drop, bounds)
    return tuple(name for name in bounds.most if name in names)


def _combined(add: _Names, drop: _Names, bounds: Bounds) -> set[str]:
    if add.all:
        return set(bounds.most) - (set(drop.names) - set(add.names))
    return set(add.names) if drop.all else (set(bounds.default) - set(drop.names)) | set(add.names)


class _Names:
    """A list of a request: its capabilities, and whether ALL is among them. Raises InvalidRequest."""

    def __init__(self, asked: tuple[str, ...]) -> None:
        self.all = any(name.upper() in (ALL, f"CAP_{ALL}") for name in asked)
        self.names = tuple(
            capabilities.parse(name) for name in asked if name.upper() not in (ALL, f"CAP_{ALL}")
        )
