"""The bundle that hooks are told of: a directory with a config.json, as of the OCI runtime specification.

It says what hooks ask for: where the root filesystem is, as they see it, and who the task is. The container
is not made of it, so nothing that a hook writes there counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil

from isolators.isolator import ContainerConfig, IsolatorFlags
from launcher.container_id import ContainerId
from launcher.hooks import OCI_VERSION

ROOTFS = "rootfs"  # in a bundle: where the container's root filesystem is while hooks run
PENDING = "poststop.json"  # in a bundle: what is run when the container has ended


def path(flags: IsolatorFlags, container_id: ContainerId) -> str:
    return os.path.join(flags.own_state, "bundles", str(container_id))


def write(flags: IsolatorFlags, container_id: ContainerId, config: ContainerConfig) -> str:
    """Make it; its path. Idempotent."""
    directory = path(flags, container_id)
    os.makedirs(os.path.dirname(directory), mode=0o711, exist_ok=True)  # each is its container's
    os.makedirs(directory, mode=0o700, exist_ok=True)
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
        json.dump(_specification(container_id, config), file)
    if config.rootfs is not None:
        os.makedirs(os.path.join(directory, ROOTFS), exist_ok=True)
    return directory


def remove(flags: IsolatorFlags, container_id: ContainerId) -> None:
    """Unless somebody has still hooks to run, who removes it then. Idempotent; unknown ids are fine."""
    directory = path(flags, container_id)
    if os.path.exists(os.path.join(directory, PENDING)) or not os.path.isdir(directory):
        return
    shutil.rmtree(directory)
    with contextlib.suppress(OSError):  # others have theirs there
        os.rmdir(os.path.dirname(directory))


def _specification(container_id: ContainerId, config: ContainerConfig) -> dict[str, object]:
    image = config.image_config or {}
    variables = [
        *(image.get("Env") or ()),
        *(f"{name}={value}" for name, value in config.environment.items()),
    ]
    entrypoint = config.entrypoint if config.entrypoint is not None else image.get("Entrypoint") or ()
    return {
        "ociVersion": OCI_VERSION,
        "root": {"path": "/" if config.rootfs is None else ROOTFS, "readonly": config.readonly_rootfs},
        "hostname": config.hostname or container_id.name,
        "process": {
            "args": [*entrypoint, *(config.command or image.get("Cmd") or ())],
            "env": variables,
            "cwd": config.working_directory or image.get("WorkingDir") or "/",
        },
        "mounts": [],
        "annotations": {},
    }
