"""The namespaces that a LaunchInfo asks for, read from its data. See namespaces(7).

    kind absent         the launcher's own, which is the host's
    "new"               a new one
    "/proc/4242/ns/net" the one at this path: another container's, or one with a name below /run/netns
    "new:/proc/…/pid"   kind "pid" only: a new one, a child of the one at the path

A new user namespace owns every other namespace made with it. User namespaces map ids: root inside
is an ordinary user outside. See user_namespaces(7).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from launcher.launch_info import LaunchInfo

KINDS = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time")  # as below /proc/<pid>/ns
NEW = "new"

_BELOW = f"{NEW}:"


def below(path: str) -> str:
    """A new PID namespace that is a child of the one at `path`."""
    return _BELOW + path


def made(info: LaunchInfo) -> list[str]:
    """The kinds that the launch makes a new one of."""
    return [kind for kind, asked in info.namespaces.items() if asked == NEW or asked.startswith(_BELOW)]


def joined(info: LaunchInfo) -> dict[str, str]:
    """The kinds of which the launch enters one that is there, and its path."""
    paths = {kind: asked.removeprefix(_BELOW) for kind, asked in info.namespaces.items()}
    return {kind: path for kind, path in paths.items() if path != NEW}


def check(asked: Mapping[str, str]) -> None:
    """Raises InvalidRequest for a kind that there is not, or a value that means nothing."""
    for kind, value in asked.items():
        if kind not in KINDS:
            hint = f"the kinds are {', '.join(KINDS)}"
            raise InvalidRequest(f"unknown kind of namespace {kind!r}", hint=hint)
        path = value.removeprefix(_BELOW) if kind == "pid" else value
        if value != NEW and not path.startswith("/"):
            hint = f"write {NEW!r}, or the absolute path of the namespace to join"
            raise InvalidRequest(f"invalid {kind} namespace {value!r}", hint=hint)
