"""A container's root directory, as a descriptor.

Of a running container it is its task's, in the task's mount namespace: volumes and all that the task
has mounted are there. Of one that has ended the root filesystem is mounted once more, attached to
nothing: it goes with the descriptor, and nobody else sees it. Its volumes are not there then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from containerizer import checkpoint, liveness
from containerizer import record as records
from containerizer.copying.errors import CopyFailed
from containerizer.ending import Ending
from containerizer.ids import Ids, ids_of
from containerizer.lifecycle import State
from containerizer.record import ContainerRecord
from launcher.container_id import ContainerId
from launcher.data import Data, replace
from launcher.io.loop import is_ready
from launcher.launch_info import LaunchInfo, Mount
from launcher.root_view import new_mount

if TYPE_CHECKING:
    from containerizer.owner import Owner

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Root(Data):
    """Where paths begin."""

    descriptor: int
    ids: Ids = Ids()  # the container's, as this process sees them


@contextlib.contextmanager
def of_host() -> Iterator[Root]:
    """This process' own root directory."""
    with _closing(os.open("/", _DIRECTORY)) as descriptor:
        yield Root(descriptor)


@contextlib.contextmanager
def of_container(owner: Owner, container_id: ContainerId) -> Iterator[Root]:
    """That of a container. Raises NoSuchContainer, CopyFailed."""
    record = records.load(owner.paths, container_id)
    opened = _of_task(record)
    if opened is not None:
        with _closing(opened.descriptor):
            yield opened
        return
    if State(record.state) is not State.TERMINATED:
        raise CopyFailed(
            f"container {container_id} is {record.state}", hint="try again when it runs or has ended"
        )
    end = Ending.open(owner.paths, container_id)
    if end is None:
        raise records.unknown(container_id)
    with end, end.locked():  # nobody removes it meanwhile, nor mounts it a second time
        info = LaunchInfo.from_json(checkpoint.read(owner.paths.launch_info(container_id)) or {})
        with _closing(_mounted(container_id, info)) as descriptor:
            yield Root(descriptor)


def _of_task(record: ContainerRecord) -> Root | None:
    """None: its task does not run, or is still in the launcher's root."""
    process = liveness.open_process(record.pid, record.pid_started)
    if process is None:
        return None
    with _closing(process), contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if liveness.state_of(record) is State.RUNNING:
            ids = ids_of(record.pid)
            descriptor = os.open(f"/proc/{record.pid}/root", _DIRECTORY)
            if not is_ready(process):
                return Root(descriptor, ids)
            os.close(descriptor)  # it may have been another process'
    return None


def _mounted(container_id: ContainerId, info: LaunchInfo) -> int:
    if not info.rootfs_mounts:
        hint = "copy from the container around it, or from the host"
        raise CopyFailed(
            f"container {container_id} has ended, and had no root filesystem of its own", hint=hint
        )
    (mount,) = info.rootfs_mounts
    return _mount(mount, (*mount.flags, "ro") if info.readonly_rootfs else mount.flags)


def _mount(mount: Mount, flags: tuple[str, ...]) -> int:
    return new_mount(replace(mount, flags=flags))


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
