"""From a manifest to requests: the pod's own container, and those nested in it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from containerizer.paths import Paths
from containerizer.pods.containers import PodContainer
from containerizer.pods.manifest import PodManifest
from containerizer.pods.volumes import EmptyDir, HostPath, Volume, VolumeMount, check_host_path
from containerizer.request import CONTAINER, HOST, ContainerRequest
from isolators.isolator import OF_HOST, ContainerConfig
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import Mount

# It does nothing, and may do nothing. PID 1 around it (launcher/init.py) collects what the pod leaves.
_PAUSE = ("sleep", "infinity")
_NOBODY = "65534:65534"

_DEVICES = ("CharDevice", "BlockDevice")
_TMPFS = "tmpfs"


def pod(manifest: PodManifest) -> ContainerRequest:
    """What holds the namespaces of all."""
    kinds = {
        "net": manifest.host_network,
        "uts": manifest.host_network,
        "ipc": manifest.host_ipc,
        "pid": manifest.host_pid,
    }
    return ContainerRequest(
        image=HOST,
        container_id=ContainerId(manifest.name),
        keep=True,
        config=ContainerConfig(
            command=_PAUSE,
            init=True,
            user=_NOBODY,
            working_directory="/",
            hostname=None if manifest.host_network else manifest.hostname,
            namespaces={kind: OF_HOST for kind, of_host in kinds.items() if of_host},
            capabilities_drop=("ALL",),
        ),
    )


def container(manifest: PodManifest, of: PodContainer, sources: Mapping[str, str]) -> ContainerRequest:
    """One of its containers. `sources`: where each volume is, on the host."""
    kinds = {volume.name: volume for volume in manifest.volumes}
    mounts = tuple(_mount(kinds[each.volume], sources[each.volume], each) for each in of.mounts)
    shares = manifest.shares_processes or manifest.host_pid
    security = of.security
    return ContainerRequest(
        image=of.image,
        container_id=ContainerId(of.name, ContainerId(manifest.name)),
        pull=of.pull,
        keep=True,
        mounts=mounts,
        config=ContainerConfig(
            command=of.arguments or (),
            entrypoint=of.entrypoint,
            environment=of.environment,
            user=_user(security.user, security.group),
            working_directory=of.working_directory,
            namespaces={"pid": f"{CONTAINER}{manifest.name}"} if shares else {},
            resources=of.resources,
            readonly_rootfs=security.readonly_rootfs,
            capabilities_add=security.capabilities_add,
            capabilities_drop=security.capabilities_drop,
            no_new_privileges=not security.privilege_escalation,
            seccomp=security.seccomp,
        ),
    )


def make_volumes(manifest: PodManifest, paths: Paths) -> dict[str, str]:
    """Where each volume is on the host; those of the pod are made. Raises InvalidRequest."""
    container_id = ContainerId(manifest.name)
    sources = {}
    for volume in manifest.volumes:
        if isinstance(volume, HostPath):
            check_host_path(volume)
            sources[volume.name] = volume.path
            continue
        if volume.in_memory:
            _check_in_memory(volume, paths.container_state(container_id))
        directory = paths.pod_volume(container_id, volume.name, in_memory=volume.in_memory)
        os.makedirs(directory, 0o755)
        os.chmod(directory, 0o777)  # noqa: S103 - whoever its containers run as, as in Kubernetes
        sources[volume.name] = directory
    return sources


def _mount(volume: Volume, source: str, asked: VolumeMount) -> Mount:
    flags = ("ro",) if asked.readonly else ()
    fstype = "bind" if isinstance(volume, EmptyDir) else "rbind"
    # A device node that a task makes opens nothing; one that it is given has to.
    is_device = isinstance(volume, HostPath) and volume.kind in _DEVICES
    own = flags if is_device else (*flags, "nodev")
    return Mount(target=asked.target, fstype=fstype, source=source, flags=own, part=asked.sub_path)


def _user(user: int | None, group: int | None) -> str | None:
    if user is None:
        return None
    return str(user) if group is None else f"{user}:{group}"


def _check_in_memory(volume: EmptyDir, directory: str) -> None:
    """The state directory is where a reboot forgets: on most hosts that is a file system in memory."""
    if _filesystem_of(directory) != _TMPFS:
        hint = "use a --state directory that is on a tmpfs, as /run is"
        raise InvalidRequest(f"volume {volume.name}: {directory} is not in memory", hint=hint)


def _filesystem_of(directory: str) -> str:
    """By mountinfo, proc_pid_mountinfo(5): os.statvfs does not tell the type."""
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index("-") + 1]
    return ""
