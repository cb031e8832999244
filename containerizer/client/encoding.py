"""A ContainerRequest as LAUNCH_CONTAINER carries it.

What the message has no room for is refused here by its name, as the agent refuses what it cannot do.
"""

from __future__ import annotations

from collections.abc import Collection

from containerizer.api import environment, limits, networks, process_options, pull_credentials, volumes
from containerizer.api.ids import to_message
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.checks.docker import HealthOptions
from containerizer.request import CONTAINER, HOST, ContainerRequest
from isolators.isolator import BUILTIN_SECCOMP, OF_HOST, UNCONFINED, ContainerConfig
from isolators.resources import Resources
from launcher.data import Data, asdict, fields
from launcher.errors import InvalidRequest
from launcher.namespaces import NEW
from launcher.process_attributes import Rlimit
from launcher.stdio import Pipes, Terminal
from provisioner.reference import ImageReference
from provisioner.registry.options import Credentials

_CARRIED_BESIDE = {
    *("image", "container_id", "config", "pull", "platform", "keep"),
    *("fetch", "tmpfs", "debugs", "health"),
}
_CARRIED = {
    *("command", "entrypoint", "environment", "user", "working_directory", "hostname", "stop_signal", "init"),
    *(
        "readonly_rootfs",
        "resources",
        "capabilities_add",
        "capabilities_drop",
        "no_new_privileges",
        "seccomp",
    ),
    *(
        "attributes",
        "umask",
        "personality",
        "secret_environment",
        "environment_secrets",
        "namespaces",
        "share_cgroups",
        "devices",
        "cdi_devices",
        "networks",
        "listen_ports",
        "userns",
        "time_offsets",
        "capabilities_ambient",
        "additional_gids",
        "masked_paths",
        "readonly_paths",
        "writable_sysfs",
        "apparmor",
        "selinux",
        "volumes",
    ),
}


def launch_call(
    request: ContainerRequest, stdio: Pipes | Terminal, credentials: Credentials | None = None
) -> agent.Call:
    """`credentials`: to pull the image with. Raises InvalidRequest."""
    config = request.config
    refuse_others(request, ContainerRequest(image=request.image), _CARRIED_BESIDE)
    refuse_others(config, ContainerConfig(), _CARRIED)
    refuse_others(config.attributes, ContainerConfig().attributes, process_options.CARRIED)
    refuse_others(config.resources, Resources(), limits.CARRIED)
    call = agent.Call(type=agent.Call.LAUNCH_CONTAINER)
    launch = call.launch_container
    launch.container_id.CopyFrom(to_message(request.container_id))
    _add_command(launch.command, config)
    _add_container(launch.container, request)
    if credentials is not None:
        docker = launch.container.mesos.image.docker
        pull_credentials.fill(docker.config, ImageReference.parse(docker.name).registry, credentials)
    networks.add(launch, config.networks)
    _add_limits(launch, config)
    _add_options(launch, request)
    _add_stdio(launch, stdio)
    return call


def _add_command(command: containers.CommandInfo, config: ContainerConfig) -> None:
    command.shell = False
    command.arguments.extend(config.command)
    if config.user is not None:
        command.user = config.user
    environment.add(command, config.environment, config.secret_environment, config.environment_secrets)


def _add_container(container: containers.ContainerInfo, request: ContainerRequest) -> None:
    config = request.config
    container.type = containers.ContainerInfo.MESOS
    if request.image != HOST:
        container.mesos.image.type = containers.Image.DOCKER
        container.mesos.image.docker.name = request.image
    if config.hostname is not None:
        container.hostname = config.hostname
    if config.seccomp == UNCONFINED:
        container.linux_info.seccomp.unconfined = True
    elif config.seccomp != BUILTIN_SECCOMP:
        container.linux_info.seccomp.profile_name = config.seccomp.lstrip()
    if config.share_cgroups:
        container.linux_info.share_cgroups = True
    for kind, which in config.namespaces.items():
        if kind == "pid" and which in (OF_HOST, f"{CONTAINER}{request.container_id.parent}"):
            container.linux_info.share_pid_namespace = True
        elif (kind, which) == ("ipc", OF_HOST):
            container.linux_info.ipc_mode = containers.LinuxInfo.SHARE_PARENT
        elif (kind, which) == ("ipc", NEW):
            container.linux_info.ipc_mode = containers.LinuxInfo.PRIVATE
        else:
            raise InvalidRequest(f"the {kind} namespace {which!r} cannot be asked of an agent")
    for name, limit in config.attributes.rlimits.items():
        _add_rlimit(container, name, limit)


def _add_rlimit(container: containers.ContainerInfo, name: str, limit: Rlimit) -> None:
    kind = containers.RLimitInfo.RLimit.Type.Value(f"RLMT_{name.upper()}")
    added = container.rlimit_info.rlimits.add(type=kind)
    if limit.soft is not None or limit.hard is not None:
        added.soft = limit.soft if limit.soft is not None else (1 << 64) - 1
        added.hard = limit.hard if limit.hard is not None else (1 << 64) - 1


def _add_limits(launch: agent.Call.LaunchContainer, config: ContainerConfig) -> None:
    for name, amount in limits.amounts(config.resources).items():
        launch.limits[name].value = amount
    launch.options.limits.CopyFrom(limits.further(config.resources))


def _add_options(launch: agent.Call.LaunchContainer, request: ContainerRequest) -> None:
    config, options = request.config, launch.options
    options.pull = request.pull
    options.debug = request.debugs
    options.init, options.readonly_rootfs = config.init, config.readonly_rootfs
    options.new_privileges = not config.no_new_privileges
    options.capabilities_add.extend(config.capabilities_add)
    options.capabilities_drop.extend(config.capabilities_drop)
    options.devices.extend((*map(str, config.devices), *config.cdi_devices))
    options.tmpfs.extend(map(str, request.tmpfs))
    volumes.add(options.volumes, config.volumes)
    if config.entrypoint is not None:
        options.entrypoint.extend(config.entrypoint or ("",))
    if request.health is not None:
        _add_health(options.health, request.health)
    for each in request.fetch:
        given = {name: value for name, value in asdict(each).items() if value is not None}
        options.fetch.add(**given)
    process_options.add(options.process, config.attributes)
    options.time_offsets.update(config.time_offsets)
    options.capabilities_ambient.extend(config.capabilities_ambient)
    options.additional_gids.extend(config.additional_gids)
    options.writable_sysfs = config.writable_sysfs
    if config.apparmor is not None:
        options.apparmor = config.apparmor
    if config.selinux is not None:
        options.selinux = config.selinux
    for name in ("masked_paths", "readonly_paths"):
        if (paths := getattr(config, name)) is not None:
            getattr(options, name).SetInParent()
            getattr(options, name).paths.extend(paths)
    for name in ("working_directory", "stop_signal", "umask", "personality", "listen_ports", "userns"):
        if getattr(config, name) is not None:
            setattr(options, name, getattr(config, name))
    if request.platform is not None:
        options.platform = request.platform


def _add_health(options: extensions.HealthOptions, asked: HealthOptions) -> None:
    options.test.extend(asked.test)
    for name in ("interval", "timeout", "start_period", "start_interval"):
        if getattr(asked, name) is not None:
            setattr(options, f"{name}_seconds", getattr(asked, name))
    if asked.retries is not None:
        options.retries = asked.retries


def _add_stdio(launch: agent.Call.LaunchContainer, stdio: Pipes | Terminal) -> None:
    if isinstance(stdio, Pipes):
        launch.options.stdin = stdio.stdin
    else:
        launch.container.tty_info.window_size.rows = stdio.rows
        launch.container.tty_info.window_size.columns = stdio.columns


def refuse_others(asked: Data, default: Data, carried: Collection[str]) -> None:
    """Raises InvalidRequest for a field that is asked for and that the API does not carry."""
    for field in fields(asked):
        if field.name not in carried and getattr(asked, field.name) != getattr(default, field.name):
            hint = "ask for it on the agent's host, without --agent"
            raise InvalidRequest(f"{field.name} cannot be asked of an agent", hint=hint)
