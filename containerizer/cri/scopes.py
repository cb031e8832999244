"""Pods' cgroups where cgroups are systemd's: a scope for each pod, in the slice that the kubelet names.

    kubepods-burstable-pod42.slice/cri-containerizer-<pod id>.scope/ct-<pod id>/ct-<container id>

systemd makes the scope, and what is below is ours by Delegate=. One for each container would be gone, with
what the kernel has counted in it, as soon as systemd sees that it is empty: nobody could tell any more that
memory ran out. That of a pod stays as long as the pod's own process, so its containers' cgroups are there
until we remove them.

There is no scope without a process, so one of ours waits in it until the pod's are; if the agent is killed,
it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator

from containerizer.cri import systemd
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups, process

DRIVER = "systemd"
_WAITING = "/bin/cat"  # until its input ends


def check(driver: str) -> None:
    """Raises InvalidRequest where there is no systemd to make them."""
    if driver == DRIVER and not systemd.is_there():
        hint = "use cgroupfs, and the same for the kubelet's cgroupDriver"
        raise InvalidRequest("the cgroup driver systemd needs systemd as process 1 of this host", hint=hint)


def are_made(driver: str) -> bool:
    """Whether pods have scopes: where v1 has a part in it, systemd would not see who is in them."""
    return driver == DRIVER and all(each.version == 2 for each in cgroups.hierarchies())


def name_of(pod_id: str) -> str:
    return f"cri-containerizer-{pod_id}.scope"


@contextlib.asynccontextmanager
async def held(path: str) -> AsyncIterator[None]:
    """Have the scope with this cgroup, below the mount point, be there; stay until somebody else is in it.

    Raises SystemdError, CgroupError, OSError.
    """
    with _waiting() as pid:
        await asyncio.to_thread(_make, path, pid)
        yield


def _make(path: str, pid: int) -> None:
    slice_, name = path.split("/")[-2:]
    systemd.start_scope(name, slice_, pid)
    unified = cgroups.unified()
    assert unified is not None
    cgroups.vacate(os.path.join(unified.mount_point, path))


@contextlib.contextmanager
def _waiting() -> Iterator[int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _spawned(reading)
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    try:
        yield pid
    finally:
        os.close(writing)
        process.collect(pid)


def _spawned(reading: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    return os.posix_spawn(_WAITING, ["cat"], {}, file_actions=actions, setsid=True)
