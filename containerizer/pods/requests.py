"""From a manifest to requests: the pod's own container, and those nested in it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from containerizer.paths import Paths
from containerizer.pods import memory, networks
from containerizer.pods.containers import PodContainer
from containerizer.pods.file_volumes import FileVolume
from containerizer.pods.manifest import PodManifest
from containerizer.pods.memory import Memory
from containerizer.pods.volumes import (
    Claim,
    HostPath,
    Place,
    Volume,
    VolumeMount,
    is_in_memory,
    place_of,
)
from containerizer.request import CONTAINER, HOST, ContainerRequest
from isolators import catalog
from isolators.isolator import OF_HOST, ContainerConfig, IsolatorFlags
from isolators.volume_store import VolumeRecord, VolumeStore
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import Mount

# It does nothing, and may do nothing. PID 1 around it (launcher/init.py) collects what the pod leaves.
_PAUSE = ("sleep", "infinity")
_NOBODY = "65534:65534"

_DEVICES = ("CharDevice", "BlockDevice")


def isolation(manifest: PodManifest) -> tuple[str, ...]:
    """The default isolators, and those that it and its containers need besides."""
    needed = [
        catalog.default_for(
            ContainerConfig(
                resources=of.resources, apparmor=of.security.apparmor, selinux=of.security.selinux
            )
        )
        for of in (*manifest.init_containers, *manifest.containers)
    ]
    needed.append(catalog.default_for(ContainerConfig(networks=networks.asked(manifest))))
    return tuple(dict.fromkeys(name for names in needed for name in names))


def pod(manifest: PodManifest, paths: Paths) -> ContainerRequest:
    """What holds the namespaces of all, and what is in memory."""
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
        mounts=memory.mounts(manifest, paths),
        config=ContainerConfig(
            command=_PAUSE,
            init=True,
            user=_NOBODY,
            working_directory="/",
            hostname=None if manifest.host_network else manifest.hostname,
            namespaces={kind: OF_HOST for kind, of_host in kinds.items() if of_host},
            capabilities_drop=("ALL",),
            networks=networks.asked(manifest),
        ),
    )


def container(manifest: PodManifest, of: PodContainer, places: Mapping[str, Place]) -> ContainerRequest:
    """One of its containers. `places`: of each volume."""
    kinds = {volume.name: volume for volume in manifest.volumes}
    mounts = tuple(_mount(kinds[each.volume], places[each.volume], each) for each in of.mounts)
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
            secret_environment=of.secret_environment,
            user=_user(security.user, security.group),
            working_directory=of.working_directory,
            hosts=manifest.hosts,
            namespaces={"pid": f"{CONTAINER}{manifest.name}"} if shares else {},
            resources=of.resources,
            readonly_rootfs=security.readonly_rootfs,
            capabilities_add=security.capabilities_add,
            capabilities_drop=security.capabilities_drop,
            no_new_privileges=not security.privilege_escalation,
            seccomp=security.seccomp,
            additional_gids=security.groups,
            apparmor=security.apparmor,
            selinux=security.selinux,
        ),
    )


def make_volumes(manifest: PodManifest, paths: Paths, flags: IsolatorFlags) -> dict[str, Place]:
    """Make those of the pod, and see to those of the host. Returns where they are, but for those in memory.

    Raises InvalidRequest, OSError.
    """
    places = {}
    for volume in manifest.volumes:
        if isinstance(volume, HostPath):
            places[volume.name] = place_of(volume, flags)
        elif isinstance(volume, Claim):
            places[volume.name] = _claimed(volume, manifest, paths)
        elif not is_in_memory(volume):
            directory = paths.pod_volume(ContainerId(manifest.name), volume.name, in_memory=False)
            os.makedirs(directory, 0o755)
            os.chmod(directory, 0o777)  # noqa: S103 - whoever its containers run as, as in Kubernetes
            places[volume.name] = Place(path=directory, seen=directory)
    memory.make_directories(manifest, paths)
    return places


def _claimed(volume: Claim, manifest: PodManifest, paths: Paths) -> Place:
    """The pod's own container has it, as long as the pod is there. Raises ContainerizerError."""
    store = VolumeStore(paths.volumes)
    holder = paths.container_state(ContainerId(manifest.name))
    record = store.use(VolumeRecord(name=volume.claim), holder)
    if record.options:
        hint = "use one without options, or a hostPath"
        raise InvalidRequest(f"volume {volume.name}: {volume.claim} is one that has to be mounted", hint=hint)
    path = store.data(volume.claim)
    return Place(path=path, seen=path)


def places_in(manifest: PodManifest, own: Memory) -> dict[str, Place]:
    """Where those in memory are."""
    return {
        volume.name: Place(path=own.path(volume.name), within=own.namespace, seen=own.seen(volume.name))
        for volume in manifest.volumes
        if is_in_memory(volume)
    }


def _mount(volume: Volume, place: Place, asked: VolumeMount) -> Mount:
    readonly = (
        asked.readonly or isinstance(volume, FileVolume) or (isinstance(volume, Claim) and volume.readonly)
    )
    flags = ("ro",) if readonly else ()
    fstype = "rbind" if isinstance(volume, HostPath) else "bind"
    # A device node that a task makes opens nothing; one that it is given has to.
    is_device = isinstance(volume, HostPath) and volume.kind in _DEVICES
    own = flags if is_device else (*flags, "nodev")
    return Mount(
        target=asked.target,
        fstype=fstype,
        source=place.path,
        within=place.within,
        flags=own,
        part=os.path.join(place.part, asked.sub_path) if asked.sub_path else place.part,
    )


def _user(user: int | None, group: int | None) -> str | None:
    if user is None:
        return None
    return str(user) if group is None else f"{user}:{group}"
