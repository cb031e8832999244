"""Requests: what a client asks of a new container, in the words of this project.

What this agent cannot do is refused by the name of its field, never passed over: a client that asks
for a volume or a limit must not get a container without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from containerizer import tmpfs
from containerizer.api import environment, limits, networks, process_options, volumes
from containerizer.api.errors import BadRequest
from containerizer.api.json_format import to_json
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto import resources_pb2 as resource
from containerizer.api.proto import values_pb2 as values
from containerizer.checks.docker import HealthOptions
from containerizer.fetcher.uri import FetchUri, of_api
from containerizer.request import CONTAINER, HOST, ContainerRequest
from containerizer.seccomp_files import LOCALHOST
from isolators.devices import told_apart
from isolators.isolator import BUILTIN_SECCOMP, OF_HOST, UNCONFINED, ContainerConfig
from isolators.resources import UNLIMITED, Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.namespaces import NEW
from launcher.process_attributes import Rlimit
from launcher.stdio import Pipes, Terminal

_SHARES_OF_A_CPU = 1024
_LEAST_SHARES = 2  # of cpu.shares, cgroup v1

_PORTS = "ports"

_UNDONE = {"cpus": "cpus", "mem": "memory", "pids": "pids"}  # resource → field of Resources

# Fields that ask for something which no isolator here does yet. Data of `message: names`.
_UNSUPPORTED = {
    "ContainerInfo": ("docker",),
    "Resource": ("disk", "revocable", "shared", "reservation", "reservations", "ranges", "set"),
}


def container_request(container_id: ContainerId, call: agent.Call.LaunchContainer) -> ContainerRequest:
    """Raises InvalidRequest, BadRequest."""
    options = call.options
    image, cached = image_of(call.container)
    pull: Any = options.pull or ("missing" if cached else "always")
    return ContainerRequest(
        image=image,
        container_id=container_id,
        config=_config(container_id, call),
        pull=pull,
        platform=options.platform or None,
        tmpfs=(*map(tmpfs.parse, options.tmpfs), *_shm(call.container.linux_info)),
        debugs=options.debug,
        health=_health(options.health) if options.HasField("health") else None,
        fetch=(*map(of_api, map(to_json, call.command.uris)), *map(_fetch, options.fetch)),
    )


def _health(asked: extensions.HealthOptions) -> HealthOptions:
    names = {
        "interval": "interval_seconds",
        "timeout": "timeout_seconds",
        "start_period": "start_period_seconds",
        "start_interval": "start_interval_seconds",
    }
    times = {name: getattr(asked, field) for name, field in names.items() if asked.HasField(field)}
    retries = asked.retries if asked.HasField("retries") else None
    return HealthOptions(test=tuple(asked.test), retries=retries, **times)


def stdio_of(tty: containers.TTYInfo | None, *, stdin: bool) -> Pipes | Terminal:
    """A terminal where one is asked for; or else pipes."""
    if tty is None:
        return Pipes(stdin=stdin)
    return Terminal(rows=tty.window_size.rows, columns=tty.window_size.columns)


def tty_of(container: containers.ContainerInfo) -> containers.TTYInfo | None:
    return container.tty_info if container.HasField("tty_info") else None


def image_of(container: containers.ContainerInfo) -> tuple[str, bool]:
    """Its name, and whether one that is in the store already will do."""
    if not container.mesos.HasField("image"):
        return HOST, True
    image = container.mesos.image
    return _name_of(image), image.cached


def name_of(image: containers.Image) -> str:
    """As the provisioner has it, of one that is not pulled as somebody. Raises BadRequest."""
    if image.docker.HasField("config") or image.docker.HasField("credential"):
        raise BadRequest("credentials are for a container's own image", hint="or give them to the agent")
    return _name_of(image)


def _name_of(image: containers.Image) -> str:
    if image.type == containers.Image.APPC and image.HasField("appc"):
        return _appc(image.appc)
    if image.type != containers.Image.DOCKER or not image.HasField("docker"):
        raise BadRequest("an image has no name that fits its type", hint="'docker' or 'appc' tells it")
    return image.docker.name


def _appc(image: containers.Image.Appc) -> str:
    """The label `version` is the only one that the name of an image can have here."""
    labels = {label.key: label.value for label in image.labels.labels}
    version = labels.pop("version", "")
    if image.HasField("id") or labels:
        named = "id" if image.HasField("id") else f"labels.{min(labels)}"
        raise BadRequest(f"'appc.{named}' is not supported", hint="name and version find an image")
    return f"appc:{image.name}:{version}" if version else f"appc:{image.name}"


def command_of(command: containers.CommandInfo) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """(entrypoint, command), as ContainerConfig has them: the image's where none is named.

    A shell command and a program replace all that the image says. Raises BadRequest.
    """
    if command.shell:
        if not command.HasField("value"):
            raise BadRequest("'command.value' is absent", hint="or set 'command.shell' to false")
        return (), ("/bin/sh", "-c", command.value)
    if command.HasField("value"):
        return (), (command.value, *command.arguments[1:])  # the first is argv[0]
    return None, tuple(command.arguments)


def resources_of(
    requests: Iterable[resource.Resource], at_most: Mapping[str, values.Value.Scalar]
) -> Resources:
    """CPUs that are requested are a weight, and a limit is one; memory and disk are limits either way.

    Beside a limit of memory, what is requested of it is what the container keeps.

    Raises BadRequest for resources that nobody limits here.
    """
    asked = dict(_amounts(requests))
    hard = {name: scalar.value for name, scalar in at_most.items()}
    for name in sorted((asked.keys() | hard.keys()) - {"cpus", "mem", "disk", "pids", "gpus"}):
        raise BadRequest(f"the resource {name!r} is not supported", hint="cpus, mem, disk, pids and gpus are")
    disk = hard.get("disk", asked.get("disk"))
    memory, pids = hard.get("mem", asked.get("mem")), hard.get("pids", asked.get("pids"))
    return Resources(
        cpus=_finite(hard.get("cpus")),
        cpu_shares=max(_LEAST_SHARES, int(asked["cpus"] * _SHARES_OF_A_CPU)) if "cpus" in asked else None,
        memory=_whole(memory, limits.MEBIBYTE),
        memory_reservation=_whole(asked.get("mem"), limits.MEBIBYTE) if "mem" in hard else None,
        pids=_whole(pids, 1),
        disk=_whole(disk, limits.MEBIBYTE),
        gpus=_gpus(hard.get("gpus", asked.get("gpus", 0.0))),
    )


def unlimited(at_most: Mapping[str, values.Value.Scalar]) -> dict[str, int]:
    """The limits of a running container that an infinite amount undoes."""
    infinite = {name for name, scalar in at_most.items() if scalar.value == math.inf}
    return {field: UNLIMITED for name, field in _UNDONE.items() if name in infinite}


def _config(container_id: ContainerId, call: agent.Call.LaunchContainer) -> ContainerConfig:
    container, options = call.container, call.options
    _refuse(container)
    if container.type == containers.ContainerInfo.DOCKER and call.HasField("container"):
        raise BadRequest("'container.type' is DOCKER", hint="there is no Docker daemon here; use MESOS")
    entrypoint, command = command_of(call.command) if call.HasField("command") else (None, ())
    if options.entrypoint:
        entrypoint = tuple(filter(None, options.entrypoint))
    return ContainerConfig(
        command=command,
        entrypoint=entrypoint,
        user=call.command.user or None,
        hostname=container.hostname or None,
        resources=_resources(call),
        attributes=replace(
            process_options.asked(options.process),
            rlimits=dict(map(_rlimit, container.rlimit_info.rlimits)),
        ),
        networks=networks.asked(container.network_infos, options.networks),
        listen_ports=_listen_ports(call),
        volumes=volumes.asked(container_id, container.volumes, options.volumes),
        **environment.asked(call.command.environment),
        **{**_linux(container_id, container.linux_info), **_options(options)},
    )


def _shm(info: containers.LinuxInfo) -> tuple[tmpfs.Tmpfs, ...]:
    if not info.HasField("shm_size"):
        return ()
    if not info.shm_size:
        raise BadRequest("'linux_info.shm_size' is 0")
    return (tmpfs.shm(info.shm_size * limits.MEBIBYTE),)


def _fetch(asked: extensions.LaunchOptions.Fetch) -> FetchUri:
    return FetchUri(
        value=asked.value,
        extract=asked.extract,
        executable=asked.executable,
        cache=asked.cache,
        output_file=asked.output_file or None,
        checksum=asked.checksum or None,
    )


def _resources(call: agent.Call.LaunchContainer) -> Resources:
    options = call.options
    shares = {"cpu_shares": options.cpu_shares} if options.cpu_shares else {}
    asked = resources_of(call.resources, call.limits)
    return replace(asked, **{**shares, **limits.fields_of(options.limits)})


def _listen_ports(call: agent.Call.LaunchContainer) -> str | None:
    """None: all. The resource of that name has ranges."""
    granted = [call.options.listen_ports] if call.options.HasField("listen_ports") else []
    for request in call.resources:
        if request.name == _PORTS:
            granted += [f"{each.begin}-{each.end}" for each in request.ranges.range]
    return ",".join(filter(None, granted)) if granted else None


def _options(options: extensions.LaunchOptions) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "working_directory": options.working_directory or None,
        "init": options.init,
        "readonly_rootfs": options.readonly_rootfs,
        "stop_signal": options.stop_signal or None,
        "no_new_privileges": not options.new_privileges,
        "umask": options.umask if options.HasField("umask") else None,
        "personality": options.personality or None,
        "userns": options.userns or None,
        "time_offsets": dict(options.time_offsets),
        "capabilities_ambient": tuple(options.capabilities_ambient),
        "additional_gids": tuple(options.additional_gids),
        "writable_sysfs": options.writable_sysfs,
        "apparmor": options.apparmor or None,
        "selinux": options.selinux or None,
    }
    for name in ("masked_paths", "readonly_paths"):
        if options.HasField(name):
            asked[name] = tuple(getattr(options, name).paths)
    for name in ("capabilities_add", "capabilities_drop"):
        if getattr(options, name):
            asked[name] = tuple(getattr(options, name))
    if options.devices:
        asked |= told_apart(options.devices)
    return asked


def _linux(container_id: ContainerId, info: containers.LinuxInfo) -> dict[str, Any]:
    if info.HasField("shm_size") and (
        info.ipc_mode == containers.LinuxInfo.SHARE_PARENT or container_id.parent is not None
    ):
        raise BadRequest("'linux_info.shm_size' is for containers with an IPC namespace of their own")
    return {
        "namespaces": _namespaces(container_id, info),
        "share_cgroups": info.HasField("share_cgroups") and info.share_cgroups,  # not by default, as it was
        **_seccomp(info.seccomp),
        **_capabilities(info),
    }


def _namespaces(container_id: ContainerId, info: containers.LinuxInfo) -> dict[str, str]:
    """Those that it has from its parent, or a container at the top from the host."""
    if container_id.parent is None:
        shared = {"pid": info.share_pid_namespace, "ipc": info.ipc_mode == containers.LinuxInfo.SHARE_PARENT}
        return {kind: OF_HOST for kind, asked in shared.items() if asked}
    private = {"ipc": NEW} if info.ipc_mode == containers.LinuxInfo.PRIVATE else {}
    return {"pid": f"{CONTAINER}{container_id.parent}", **private} if info.share_pid_namespace else private


def _seccomp(info: containers.SeccompInfo) -> dict[str, str]:
    if not info.HasField("profile_name"):
        return {"seccomp": UNCONFINED} if info.unconfined else {}
    if info.unconfined:
        raise BadRequest("'seccomp' has a 'profile_name', and is 'unconfined'")
    named = info.profile_name in (BUILTIN_SECCOMP, UNCONFINED)
    if not named and not info.profile_name.startswith(("{", LOCALHOST)):
        hint = (
            f"there are {BUILTIN_SECCOMP!r}, {UNCONFINED!r} and '{LOCALHOST}NAME', or write a profile's JSON"
        )
        raise BadRequest(f"unknown 'seccomp.profile_name' {info.profile_name!r}", hint=hint)
    return {"seccomp": info.profile_name}


def _capabilities(info: containers.LinuxInfo) -> dict[str, tuple[str, ...]]:
    """Exactly those that are named; the effective ones, which the others bound."""
    for name in ("effective_capabilities", "bounding_capabilities", "capability_info"):
        if info.HasField(name):
            numbers = getattr(info, name).capabilities
            names = tuple(map(containers.CapabilityInfo.Capability.Name, numbers))
            return {"capabilities_drop": ("ALL",), "capabilities_add": names}
    return {}


def _rlimit(limit: containers.RLimitInfo.RLimit) -> tuple[str, Rlimit]:
    if limit.HasField("soft") != limit.HasField("hard"):
        raise BadRequest("a resource limit has only one of 'soft' and 'hard'", hint="set both, or neither")
    name = containers.RLimitInfo.RLimit.Type.Name(limit.type).removeprefix("RLMT_").lower()
    unlimited = not limit.HasField("soft")
    return name, Rlimit(soft=None if unlimited else limit.soft, hard=None if unlimited else limit.hard)


def _amounts(requests: Iterable[resource.Resource]) -> Iterator[tuple[str, float]]:
    for request in requests:
        if request.name == _PORTS and request.type == values.Value.RANGES and request.ranges.range:
            continue  # ports that it may listen on
        _refuse(request)
        if request.type != values.Value.SCALAR:
            raise BadRequest(f"the resource {request.name!r} is no scalar")
        yield request.name, request.scalar.value


def _finite(value: float | None) -> float | None:
    """None, and an infinite amount, is no limit."""
    return None if value is None or value == math.inf else value


def _gpus(number: float) -> str | None:
    if not (number >= 0 and float(number).is_integer()):
        raise BadRequest(f"{number:g} GPUs are asked for", hint="a GPU is given whole, to one container")
    return str(int(number)) if number else None


def _whole(value: float | None, unit: int) -> int | None:
    finite = _finite(value)
    return None if finite is None else int(_finite_or_bad(finite) * unit)


def _finite_or_bad(value: float) -> float:
    if not math.isfinite(value):
        raise BadRequest(f"an amount is {value}")
    return value


def _refuse(message: Message) -> None:
    """Raises BadRequest for a field that this agent would have to pass over."""
    kind = message.DESCRIPTOR.name
    for field, _ in message.ListFields():
        if field.name in _UNSUPPORTED.get(kind, ()):
            raise BadRequest(f"{field.name!r} of {kind} is not supported")
