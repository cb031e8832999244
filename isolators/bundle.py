"""The bundle that hooks are told of: a directory with a config.json, as of the OCI runtime specification.

It says what hooks ask for: where the root filesystem is, as they see it, and who the task is. The container
is not made of it, so nothing that a hook writes there counts. What the clean-up runs is kept elsewhere, where
nobody in a container ever writes: the clean-up is root on the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil

from isolators.isolator import ContainerConfig, IsolatorFlags
from launcher.container_id import ContainerId
from launcher.hooks import CONFIG, OCI_VERSION

ROOTFS = "rootfs"  # in a bundle: where the container's root filesystem is while hooks run


def path(flags: IsolatorFlags, container_id: ContainerId) -> str:
    return os.path.join(flags.own_state, "bundles", str(container_id))


def pending(flags: IsolatorFlags, container_id: ContainerId) -> str:
    """The file that says what is run when the container has ended; its directory is for us alone."""
    return os.path.join(flags.own_state, "poststop", f"{container_id}.json")


def write(flags: IsolatorFlags, container_id: ContainerId, config: ContainerConfig) -> str:
    """Make it; its path. Idempotent."""
    directory = path(flags, container_id)
    for each in os.path.dirname(directory), directory:
        os.makedirs(each, mode=0o711, exist_ok=True)  # root inside passes through, to what it may read
    with open(os.path.join(directory, CONFIG), "w", encoding="utf-8", opener=_for_our_group) as file:
        json.dump(_specification(container_id, config), file)
    if config.rootfs is not None:
        os.makedirs(os.path.join(directory, ROOTFS), exist_ok=True)
    return directory


def remove(flags: IsolatorFlags, container_id: ContainerId) -> None:
    """Unless somebody has still hooks to run, who removes it then. Idempotent; unknown ids are fine."""
    directory = path(flags, container_id)
    if os.path.exists(pending(flags, container_id)) or not os.path.isdir(directory):
        return
    shutil.rmtree(directory)
    with contextlib.suppress(OSError):  # others have theirs there
        os.rmdir(os.path.dirname(directory))


def _for_our_group(path: str, flags: int) -> int:
    """It says who the task is, with its environment, and so is for nobody else."""
    return os.open(path, flags | os.O_CLOEXEC, 0o640)


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
