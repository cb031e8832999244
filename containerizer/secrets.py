"""Secrets: values of environment variables that no checkpoint, record or message has.

A command in a container gets its variables, however much later it comes, so they have to be somewhere:
in a file of a ramfs (no disk, no swap: Documentation/filesystems/ramfs-rootfs-initramfs.rst) that only the
mount namespace of the container around has, and that goes with it. Its root directory is ours by /proc.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from containerizer import record as records
from containerizer.liveness import is_running
from containerizer.paths import Paths
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import files

_LARGEST = 4 << 20  # bytes


def save(root: int, paths: Paths, container_id: ContainerId, environment: Mapping[str, str]) -> None:
    """Write them to their place below `root`, the root directory of the container around. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    place = os.open(_path(paths, container_id).lstrip("/"), flags, 0o600, dir_fd=root)
    with open(place, "w") as file:
        json.dump(dict(environment), file)


def load(paths: Paths, container_id: ContainerId) -> dict[str, str]:
    """Of a running container. Raises InvalidRequest if they are gone."""
    assert container_id.parent is not None
    around = records.load(paths, container_id.parent)
    try:
        if is_running(around):
            text = files.read(f"/proc/{around.pid}/root{_path(paths, container_id)}", _LARGEST)
            return dict(json.loads(text))
    except (OSError, ValueError):
        pass
    raise InvalidRequest(f"the secrets of {container_id} are gone", hint="it ends; start its pod again")


def _path(paths: Paths, container_id: ContainerId) -> str:
    """Without links: from another root directory an absolute one would lead to ours, and so to the host."""
    return os.path.realpath(paths.secrets(container_id))


def hidden(text: str, environment: Mapping[str, str]) -> str:
    """The text with names in place of values, the longest first."""
    for name, value in sorted(environment.items(), key=lambda item: -len(item[1])):
        if value:
            text = text.replace(value, f"$({name})")
    return text
