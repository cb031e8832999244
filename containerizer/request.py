"""ContainerRequest: one container as somebody asked for it, whatever edge it came through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from containerizer.units import parse_cpus, parse_limit, parse_size
from isolators.isolator import OF_HOST, ContainerConfig
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import Data, field, fields, replace
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, Mount
from launcher.namespaces import KINDS, NEW

if TYPE_CHECKING:
    from containerizer.checks.docker import HealthOptions
    from containerizer.fetcher.uri import FetchUri
    from containerizer.tmpfs import Tmpfs
    from isolators.devices import Device
    from provisioner.image import Image, Rootfs
    from provisioner.provisioner import Policy

HOST = "host"  # the image name that stands for no image: the host's own filesystem
CONTAINER = "container:"  # of a namespace: then the name of the container that has it
_NETWORKS = frozenset(
    {"network", "publish", "add_host", "ingress", "egress"}
)  # words of containerizer.networking
_LIMITS = frozenset(field.name for field in fields(Resources))
_SIZES = frozenset({"memory_reservation", "memory_high", "memory_swap"})
PULL_POLICIES: tuple[Policy, ...] = ("always", "missing", "never")


class ContainerRequest(Data, kw_only=True):
    """What to run, and how."""

    image: str
    config: ContainerConfig = ContainerConfig()
    container_id: ContainerId = field(default_factory=ContainerId.generate)
    pull: Policy = "missing"
    platform: str | None = None  # "linux/arm64/v8"; None: this machine's
    keep: bool = False  # leave sandbox and termination behind until they are removed by name
    mounts: tuple[Mount, ...] = ()  # further ones, after all others: what is bound is the caller's choice
    tmpfs: tuple[Tmpfs, ...] = ()  # as those: filesystems in memory, and the size of /dev/shm
    debugs: bool = False  # its parent: containerizer.debugging
    health: HealthOptions | None = None  # in place of the image's; an agent tries it
    fetch: tuple[FetchUri, ...] = ()  # what is in the sandbox before the task runs: containerizer.fetching

    def __post_init__(self) -> None:
        if self.pull not in PULL_POLICIES:
            choices = ", ".join(PULL_POLICIES)
            raise InvalidRequest(f"invalid pull policy {self.pull!r}", hint=f"use one of {choices}")
        if self.container_id.is_command:
            hint = "choose another --name"
            raise InvalidRequest(f"{self.container_id} is a name of commands of `exec`", hint=hint)
        _check_namespaces(self.config)
        if not self.image:
            raise InvalidRequest("no image given", hint=f"name one, or {HOST!r} for the host's filesystem")

    @classmethod
    def of(
        cls,
        image: str,
        command: Sequence[str] = (),
        *,
        name: str | None = None,
        cpus: float | str | None = None,
        cpu_shares: int | None = None,
        mem: int | str | None = None,
        pids: int | None = None,
        gpus: int | str | None = None,
        env: Mapping[str, str] | None = None,
        pull: Policy = "missing",
        platform: str | None = None,
        keep: bool = False,
        fetch: Sequence[FetchUri | str] = (),
        devices: Sequence[Device | str] = (),
        **options: Any,
    ) -> ContainerRequest:
        """A request in the words of a Python program: sizes as "64m" or bytes, ids as text, else as of `run`.

        `options` are `volumes`, `tmpfs`, `shm_size`, the words of containerizer.networking, and fields of
        Resources and ContainerConfig. Raises InvalidRequest.
        """
        if isinstance(command, str):
            hint = "pass a list of words: there is no shell between"
            raise InvalidRequest(f"the command {command!r} is a string", hint=hint)
        resources = resources_of(
            cpus=cpus,
            cpu_shares=cpu_shares,
            mem=mem,
            pids=pids,
            gpus=None if gpus is None else str(gpus),
            **{name: options.pop(name) for name in _LIMITS & options.keys()},
        )
        return cls(
            image=image,
            tmpfs=_in_memory(options),
            config=ContainerConfig(
                command=tuple(command),
                environment=_texts(env or {}),
                resources=resources,
                **_fields(devices, options),
            ),
            container_id=ContainerId.parse(name) if name else ContainerId.generate(),
            pull=pull,
            platform=platform,
            keep=keep,
            fetch=_fetched(fetch),
        )


def _fields(devices: Sequence[Device | str], options: dict[str, Any]) -> dict[str, Any]:
    """Of ContainerConfig: those that have words of their own, and the others."""
    named = {name: options.pop(name) for name in _NETWORKS & options.keys()}
    if not named:
        return {**_devices(devices), **options}
    from containerizer import networking  # for those who join some

    networks = networking.asked(named.pop("network", None), **named)
    namespaces = {**networks.pop("namespaces"), **options.pop("namespaces", {})}
    return {**_devices(devices), **networks, "namespaces": namespaces, **options}


def resources_of(
    *,
    cpus: float | str | None = None,
    cpu_shares: int | None = None,
    mem: int | str | None = None,
    pids: int | None = None,
    disk: int | str | None = None,
    **others: Any,
) -> Resources:
    """Limits in the words of a Python program; `others` are further fields. Raises InvalidRequest."""
    others |= {name: _limit(others[name]) for name in _SIZES & others.keys()}
    return Resources(
        cpus=None if cpus is None else parse_cpus(cpus),
        cpu_shares=_whole("cpu_shares", cpu_shares),
        memory=_limit(mem),
        pids=_whole("pids", pids),
        disk=None if disk is None else parse_size(disk),
        **others,
    )


def _limit(size: int | str | None) -> int | None:
    return None if size is None else parse_limit(size)


def _texts(environment: Mapping[str, str]) -> dict[str, str]:
    for key, value in environment.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InvalidRequest(f"the environment variable {key!r}: {value!r} is no text")
    return dict(environment)


def _fetched(uris: Sequence[FetchUri | str]) -> tuple[FetchUri, ...]:
    if not uris:
        return ()
    from containerizer.fetcher.uri import parse  # for those who fetch

    return tuple(parse(uri) if isinstance(uri, str) else uri for uri in uris)


def _devices(devices: Sequence[Device | str]) -> dict[str, Any]:
    if not devices:
        return {}
    from isolators.devices import told_apart  # for those who ask for some

    return told_apart(devices)


def _in_memory(options: dict[str, Any]) -> tuple[Tmpfs, ...]:
    """Taken out of the options, in which the volumes are data then; `--mount` may say either."""
    asked, shm_size = options.pop("tmpfs", ()), options.pop("shm_size", None)
    of_mounts: tuple[Tmpfs, ...] = ()
    if options.get("volumes"):
        from containerizer.volumes.words import told_apart  # for those who ask for some

        options["volumes"], of_mounts = told_apart(options["volumes"])
    if not asked and shm_size is None:
        return of_mounts
    from containerizer import tmpfs  # for those who ask for some

    found = tuple(tmpfs.parse(each) if isinstance(each, str) else each for each in asked)
    return (*found, *of_mounts, *(() if shm_size is None else (tmpfs.shm(shm_size),)))


def _whole(name: str, value: int | None) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"{name}={value!r} is no whole number")


def _check_namespaces(config: ContainerConfig) -> None:
    for kind, asked in config.namespaces.items():
        if kind not in KINDS:
            hint = f"the kinds are {', '.join(KINDS)}"
            raise InvalidRequest(f"unknown kind of namespace {kind!r}", hint=hint)
        if asked not in (NEW, OF_HOST) and not asked.startswith((CONTAINER, "/")):
            hint = f"write {NEW}, {OF_HOST}, {CONTAINER}NAME, or the absolute path of one"
            raise InvalidRequest(f"invalid {kind} namespace {asked!r}", hint=hint)


def of_request(config: ContainerConfig) -> LaunchInfo:
    """What the request asks itself, for the fields that no isolator takes care of."""
    environment: Mapping[str, str] = config.environment
    return LaunchInfo(
        namespaces={kind: asked for kind, asked in config.namespaces.items() if asked != OF_HOST},
        argv=(*(config.entrypoint or ()), *config.command) or None,
        environment=environment,
        secret_environment=config.secret_environment,
        working_directory=config.working_directory,
        user=config.user,
        additional_gids=config.additional_gids,
        image_groups=config.image_groups,
        stop_signal=config.stop_signal,
        init=config.init or None,
        pause=config.pause or None,
        umask=config.umask,
        personality=config.personality,
    )


def with_image(config: ContainerConfig, image: Image, rootfs: Rootfs) -> ContainerConfig:
    """The configuration of a container that runs on this root filesystem, made of the image."""
    return replace(
        config,
        rootfs=rootfs.path,
        rootfs_mounts=rootfs.mounts,
        rootfs_inside=rootfs.inside,
        image_config=image.config,
    )
