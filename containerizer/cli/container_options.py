"""The options that describe a container, as `run` and `plan` share them; named as Docker's are."""

from __future__ import annotations

import argparse
import os

from containerizer.cli import (
    attribute_options,
    headroom_options,
    health_options,
    limit_options,
    network_options,
    plugin_options,
    registry_options,
    secret_options,
    security_options,
    volume_options,
)
from containerizer.paths import Paths
from containerizer.request import PULL_POLICIES, ContainerRequest
from isolators.catalog import default_for
from isolators.isolator import ContainerConfig
from launcher.data import replace
from launcher.errors import InvalidRequest
from provisioner.backends.choose import NAMES

_DOCKERS = {"pid": "pid", "ipc": "ipc", "uts": "uts", "cgroup": "cgroupns"}  # kind of namespace → option

USAGE = "%(prog)s [OPTION ...] IMAGE [COMMAND ...]"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options, IMAGE and COMMAND."""
    parser.add_argument("--name", help="the container's id (a random one)")
    _add_task(parser.add_argument_group("the task"))
    limits = parser.add_argument_group("limits")
    limit_options.add(limits)
    limits.add_argument(
        "--share-cgroups",
        action="store_true",
        help="of a nested container: be in its parent's cgroups, with its limits",
    )
    limits.add_argument("--gpus", metavar="all|N|device=NAME[,NAME]", help="NVIDIA GPUs, for it alone")
    limits.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="HOST[:CONTAINER][:rwm]|VENDOR/CLASS=NAME",
        help="a device of the host's, all in a directory, or one by its name of CDI",
    )
    limits.add_argument(
        "--tmpfs",
        action="append",
        default=[],
        metavar="PATH[:size=SIZE,mode=OCTAL,uid=N,gid=N,nr_inodes=N,exec,ro]",
        help="a filesystem in memory",
    )
    limits.add_argument("--shm-size", metavar="SIZE", help="of /dev/shm (64m)")
    attribute_options.add(parser.add_argument_group("process attributes"))
    health_options.add(parser.add_argument_group("health, with --agent"))
    network_options.add(parser.add_argument_group("networks"))
    secret_options.add(parser.add_argument_group("secrets"))
    plugin_options.add(parser.add_argument_group("plug-ins"))
    volume_options.add(parser.add_argument_group("volumes"))
    _add_shields(parser.add_argument_group("shields"))
    _add_image(parser.add_argument_group("the image"))
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="[HOST[:PORT]/]NAME[:TAG|@DIGEST], oci:DIR, oci-archive:FILE, docker-archive:FILE, or host",
    )
    parser.add_argument("command_line", metavar="COMMAND", nargs=argparse.REMAINDER, help="and its arguments")


def request(arguments: argparse.Namespace, *, keep: bool = False) -> ContainerRequest:
    """The request that the parsed options make. Raises InvalidRequest."""
    networks = network_options.fields(arguments)
    namespaces = {**networks.pop("namespaces"), **_namespaces(arguments)}
    asked = ContainerRequest.of(
        arguments.image,
        arguments.command_line,
        name=arguments.name,
        **limit_options.asked(arguments),
        gpus=arguments.gpus,
        env=environment(arguments),
        pull=arguments.pull,
        platform=arguments.platform,
        keep=keep,
        fetch=arguments.fetch,
        hooks_dirs=tuple(map(os.path.abspath, arguments.hooks_dir)),
        share_cgroups=arguments.share_cgroups,
        devices=security_options.devices(arguments),
        volumes=volume_options.asked(arguments),
        tmpfs=arguments.tmpfs,
        shm_size=arguments.shm_size,
        entrypoint=None if arguments.entrypoint is None else tuple(filter(None, [arguments.entrypoint])),
        user=arguments.user,
        working_directory=absolute(arguments.workdir),
        hostname=arguments.hostname,
        stop_signal=arguments.stop_signal,
        init=arguments.init,
        userns=None if arguments.userns == "host" else arguments.userns,
        namespaces=namespaces,
        **networks,
        time_offsets=dict(map(_time_offset, arguments.time_offset)),
        readonly_rootfs=arguments.read_only,
        capabilities_drop=tuple(arguments.cap_drop),
        **{"capabilities_add": tuple(arguments.cap_add), **security_options.fields(arguments)},
        attributes=attribute_options.attributes(arguments),
        umask=attribute_options.umask(arguments),
        personality=arguments.personality,
    )
    if not arguments.agent and (arguments.volumes_from or asked.config.volumes):
        from containerizer.volumes import resolving  # for those who ask for some

        asked = resolving.resolved(asked, Paths.of(arguments.root, arguments.state), arguments.volumes_from)
    asked = secret_options.with_secrets(replace(asked, health=health_options.of(arguments)), arguments)
    # What an agent can limit is not known here.
    return _applicable(asked, arguments) if arguments.best_effort and not arguments.agent else asked


def _applicable(asked: ContainerRequest, arguments: argparse.Namespace) -> ContainerRequest:
    """With the limits that this host can enforce."""
    from containerizer import best_effort  # what few ask for

    named: str | None = arguments.isolation
    names = None if named is None else [word for word in named.split(",") if word]
    limits = best_effort.applicable(asked.config.resources, names, launcher=arguments.launcher)
    return replace(asked, config=replace(asked.config, resources=limits))


def isolation(arguments: argparse.Namespace, config: ContainerConfig) -> str | tuple[str, ...] | None:
    """The isolators asked for, or else the default ones and those that the request needs besides."""
    named: str | None = arguments.isolation
    return default_for(config, arguments.launcher) if named is None else named


def add_process(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """What `run` and `exec` say of a command alike."""
    group.add_argument(
        "-e",
        "--env",
        action="append",
        default=[],
        metavar="KEY[=VALUE]",
        help="set a variable, or pass it on",
    )
    group.add_argument(
        "--env-file", action="append", default=[], metavar="FILE", help="read variables from a file"
    )
    group.add_argument("-w", "--workdir", metavar="DIR", help="working directory")
    group.add_argument("-u", "--user", metavar="USER[:GROUP]", help="names of the image, or numbers")


def _add_task(group: argparse._ArgumentGroup) -> None:
    add_process(group)
    group.add_argument(
        "--entrypoint", metavar="PROGRAM", help="replace the image's entrypoint; '' removes it"
    )
    group.add_argument("--hostname", metavar="NAME", help="(the container's id)")
    group.add_argument(
        "--init", action="store_true", help="a PID 1 that collects orphans and hands on signals"
    )
    group.add_argument(
        "--time-offset", action="append", default=[], metavar="CLOCK=SECONDS", help="of monotonic or boottime"
    )
    group.add_argument("--stop-signal", metavar="SIGNAL", help="what asks the task to end")
    group.add_argument(
        "--hooks-dir", action="append", default=[], metavar="DIR", help="of OCI hooks, see oci-hooks(5)"
    )
    group.add_argument(
        "--fetch",
        action="append",
        default=[],
        metavar="URI[,extract][,executable][,cache][,output=NAME][,checksum=sha256:HEX]",
        help="bring a file into $MESOS_SANDBOX before the task runs",
    )


def _add_shields(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cap-add", action="append", default=[], metavar="CAP", help="add a capability, or ALL"
    )
    group.add_argument(
        "--cap-drop", action="append", default=[], metavar="CAP", help="drop a capability, or ALL"
    )
    security_options.add(group)
    group.add_argument(
        "--userns",
        default="host",
        metavar="auto|subuid:NAME|START[:COUNT]|host",
        help="who root is outside (%(default)s)",
    )
    group.add_argument(
        "--ns",
        action="append",
        default=[],
        metavar="KIND=new|host|container:NAME|PATH",
        help="whose namespace of mnt, pid, net, ipc, uts, cgroup, user or time",
    )
    for kind, option in _DOCKERS.items():
        group.add_argument(
            f"--{option}", metavar="private|host|container:NAME|ns:PATH", help=f"as --ns {kind}=…"
        )
    group.add_argument("--read-only", action="store_true", help="make the root filesystem read-only")
    group.add_argument(
        "--launcher",
        choices=("linux", "posix"),
        default="linux",
        help="posix: a process without namespaces, for any user",
    )
    group.add_argument(
        "--isolation", metavar="LIST", help="load exactly these isolators, separated by commas"
    )


def _add_image(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--pull", choices=PULL_POLICIES, default="missing", help="when to ask the registry (%(default)s)"
    )
    group.add_argument("--platform", metavar="OS/ARCH", help="(this machine's)")
    group.add_argument(
        "--image-provisioner-backend", choices=NAMES, help="what makes the root filesystem (the best here)"
    )
    registry_options.add(group)
    headroom_options.add(group)


def add_detach_keys(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """What every command takes that one can detach from."""
    group.add_argument(
        "--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS", help="leave it running (%(default)s)"
    )


def add_served(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """What a task takes whose input and output a relay holds."""
    add_detach_keys(group)
    group.add_argument("--log-max-size", default="10m", metavar="SIZE", help="of a log file (%(default)s)")
    group.add_argument(
        "--log-max-files", type=int, default=3, metavar="N", help="log files at most (%(default)s)"
    )


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """The variables of -e and --env-file."""
    variables: dict[str, str] = {}
    for path in arguments.env_file:
        variables |= _read_env_file(path)
    for pair in arguments.env:
        variables |= _variable(pair)
    return variables


def _read_env_file(path: str) -> dict[str, str]:
    """Lines KEY=VALUE or KEY, without quoting; blank ones and those after # are skipped, as Docker does."""
    variables: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidRequest(f"cannot read --env-file {path}: {why}") from error
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            variables |= _variable(line.lstrip())
    return variables


def _variable(text: str) -> dict[str, str]:
    key, equals, value = text.partition("=")
    if not key or "\0" in text:
        raise InvalidRequest(
            f"invalid environment variable {text!r}", hint="write KEY=VALUE, or KEY to pass it on"
        )
    if equals:
        return {key: value}
    return {key: os.environ[key]} if key in os.environ else {}


def absolute(directory: str | None) -> str | None:
    """The working directory asked for. Raises InvalidRequest."""
    if directory is not None and not directory.startswith("/"):
        raise InvalidRequest(f"the working directory {directory!r} is not absolute", hint="begin it with /")
    return directory


def _namespaces(arguments: argparse.Namespace) -> dict[str, str]:
    """Kind → whose. Docker's words for a new one and for a path are others."""
    namespaces = dict(map(_namespace, arguments.ns))
    for kind, option in _DOCKERS.items():
        which: str | None = getattr(arguments, option)
        if which is not None:
            namespaces[kind] = "new" if which == "private" else which.removeprefix("ns:")
    return namespaces


def _namespace(text: str) -> tuple[str, str]:
    kind, equals, which = text.partition("=")
    if not equals:
        hint = "write KIND=new, KIND=host, KIND=container:NAME or KIND=/PATH"
        raise InvalidRequest(f"invalid namespace {text!r}", hint=hint)
    return kind, which


def _time_offset(text: str) -> tuple[str, int]:
    clock, _, seconds = text.partition("=")
    try:
        return clock, int(seconds)
    except ValueError:
        hint = "write monotonic=SECONDS or boottime=SECONDS"
        raise InvalidRequest(f"invalid time offset {text!r}", hint=hint) from None
