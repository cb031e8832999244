"""The agent's flags: one literal table, read from the command line, the environment and a file.

The command line wins over the environment (`CONTAINERIZER_<FLAG>`), and that over the file of
`--config`, TOML with the same names. A name that is in no row is refused, in the file as well; not in
the environment, where others have names of the same beginning. Where a flag means what the
predecessor's does it has its name: https://mesos.apache.org/documentation/latest/configuration/agent/
"""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from containerizer.agent.durations import parse_duration
from containerizer.paths import default_root, default_state
from containerizer.units import parse_size
from isolators.catalog import LAUNCHERS
from isolators.isolator import IsolatorFlags
from launcher.data import Data
from launcher.errors import InvalidRequest
from provisioner.backends.choose import NAMES

ENVIRONMENT = "CONTAINERIZER_"

Flags = Mapping[str, Any]  # name in the table → parsed value


class Flag(Data):
    """One row. `parse` raises InvalidRequest, ValueError."""

    default: str | None  # as it is written; None: not set
    meaning: str
    parse: Callable[[str], Any] = str


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in _words(text))


def _handle(text: str) -> int:
    return int(text, 0)


def _handles(text: str) -> tuple[int, int]:
    first, last = map(_handle, _words(text))
    return first, last


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise InvalidRequest(f"{text} is not between 0 and 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise InvalidRequest(f"{text} is less than 1")
    return value


def _range(text: str) -> tuple[int, int]:
    """Of projects; 0 is that of all who have none, and the largest number that of nobody."""
    first, _, last = text.strip("[]").partition("-")
    if not 0 < int(first) <= int(last) < (1 << 32) - 1:
        raise InvalidRequest(f"{text} is no range of projects")
    return int(first), int(last)


def _truth(text: str) -> bool:
    return _one_of("true", "false")(text.lower()) == "true"


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise InvalidRequest(f"{text!r} is none of {', '.join(choices)}")
        return text

    return parse


def _directories(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(":")))


def _image_gc(text: str) -> object:
    from containerizer.agent import image_gc  # few ask

    return image_gc.parse(text)


def _providers(text: str) -> tuple[str, ...]:
    return tuple(_one_of("docker", "appc")(word.lower()) for word in _words(text))


def _capabilities(text: str) -> tuple[str, ...]:
    """Names, or as the predecessor has it {"capabilities": ["NET_RAW", …]}."""
    if not text.startswith("{"):
        return tuple(_words(text))
    import json

    names = json.loads(text).get("capabilities", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("no list of names")
    return tuple(names)


TABLE: Mapping[str, Flag] = {
    # Where everything is.
    "work_dir": Flag(None, f"images and sandboxes, kept over a reboot ({default_root()})"),
    "runtime_dir": Flag(None, f"what is forgotten at a reboot ({default_state()})"),
    "listen": Flag(
        None, "unix:PATH or tcp:HOST:PORT, several with commas (agent.sock in runtime_dir)", _words
    ),
    # Containers.
    "isolation": Flag(None, "the isolators to load, with commas (the launcher's default)", _words),
    "launcher": Flag("linux", "how tasks are launched: linux or posix", _one_of(*LAUNCHERS)),
    "cgroups_root": Flag("containerizer", "the cgroup of its containers alone, in each hierarchy"),
    "cgroups_net_cls_primary_handle": Flag(
        None, "of the network classes that containers get, 0x1 to 0xffff (they get none)", _handle
    ),
    "cgroups_net_cls_secondary_handles": Flag("0x1,0xffff", "the first and the last of them", _handles),
    "perf_events": Flag(
        ",".join(IsolatorFlags().perf_events),
        "counted by cgroups/perf_event, in the words of perf(1)",
        _words,
    ),
    "cdi_spec_dirs": Flag(
        ",".join(IsolatorFlags().cdi_spec_dirs), "where CDI describes devices; the last one wins", _words
    ),
    "hooks_dir": Flag("", "directories of OCI hooks for all containers, with commas", _words),
    "bounding_capabilities": Flag(
        None, "the most that a container gets, with commas or as JSON (all that the host has)", _capabilities
    ),
    "effective_capabilities": Flag(
        None, "of a container that asks for nothing, likewise (Docker's default set)", _capabilities
    ),
    "seccomp_profile_root": Flag(
        IsolatorFlags().seccomp_profile_root, "profiles that requests may name, as a kubelet has it"
    ),
    "seccomp_listeners": Flag(
        "", "sockets of who may answer for seccomp profiles with SCMP_ACT_NOTIFY, with commas (none)", _words
    ),
    "nvidia_gpu_devices": Flag(None, "indices of the GPUs to give out, with commas (all)", _numbers),
    "enforce_container_disk_quota": Flag(
        "true", "end a container for what it writes beyond its `disk`; false: only measure", _truth
    ),
    "container_disk_watch_interval": Flag("15secs", "between two measurements of a sandbox", parse_duration),
    "host_path_volume_allowed": Flag(
        None, "directories of the host that volumes may be of, with colons (all)", _directories
    ),
    "host_path_volume_force_creation": Flag(
        "", "directories in which a missing source of a volume is made, with colons", _directories
    ),
    "xfs_project_range": Flag("5000-10000", "projects that disk/xfs and disk/ext4 give out", _range),
    "xfs_kill_containers": Flag("false", "true: they end containers rather than refuse them more", _truth),
    "xfs_quota_headroom": Flag("10MB", "beyond the limit, until a container is ended", parse_size),
    "enforce_container_ports": Flag(
        "true",
        "end containers that listen on ports that they were not granted, or report them only",
        _truth,
    ),
    "container_ports_watch_interval": Flag("5secs", "between two looks at what listens", parse_duration),
    "network_cni_config_dir": Flag(
        "/etc/cni/net.d", "configured networks, with colons; after those of `network create`", _directories
    ),
    "network_cni_plugins_dir": Flag(
        "/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni", "CNI plug-ins, with colons", _directories
    ),
    "recover": Flag(
        "reconnect", "to what runs at the start, or cleanup: destroy it", _one_of("reconnect", "cleanup")
    ),
    "launches": Flag(None, "launches at once, in a process each (CPUs and one more, 8 at most)", _count),
    "destroy_timeout": Flag("10secs", "for what was killed to end, before it is tried again", parse_duration),
    "docker_plugins_dirs": Flag(
        "/run/docker/plugins:/etc/docker/plugins:/usr/lib/docker/plugins",
        "where Docker's plug-ins are, with colons",
        _directories,
    ),
    "docker_volume_timeout": Flag("2mins", "of a plug-in, to make or to mount a volume", parse_duration),
    "dvdcli": Flag(None, "program for plug-ins that are not found otherwise (as PATH has it)"),
    "csi_plugin_config_dir": Flag("/etc/containerizer/csi", "files that say where plug-ins of CSI listen"),
    "csi_timeout": Flag("2mins", "of one call to a plug-in of CSI", parse_duration),
    "secret_resolver": Flag(
        None, "who has the secrets that requests refer to: file, environment, command, or another's (nobody)"
    ),
    "secrets_dir": Flag("/etc/containerizer/secrets", "directory of the resolver file"),
    "secret_command": Flag(None, "program of the resolver command, given a secret's name and key"),
    # Images.
    "image_providers": Flag(
        "docker,appc", "whose images may be asked for; none: the host's filesystem only", _providers
    ),
    "image_provisioner_backend": Flag(None, "overlay, copy or bind (the best here)", _one_of(*NAMES)),
    "insecure_registries": Flag("", "HOST[:PORT] that may do without TLS, with commas", _words),
    "docker_config": Flag(None, "file of credentials, as in containers-auth.json(5)"),
    "registries_conf": Flag(None, "file of mirrors, as in containers-registries.conf(5)"),
    "certs_dir": Flag(None, "certificates and hosts.toml of registries, by HOST[:PORT]"),
    "image_gc_config": Flag(
        None,
        'JSON or a file of it: {"image_disk_headroom": 0.1, "image_disk_watch_interval": "10mins",'
        ' "excluded_images": ["NAME"]} (images stay)',
        _image_gc,
    ),
    "pulls": Flag("4", "pulls at once", _count),
    # What is fetched into sandboxes.
    "fetcher_cache_size": Flag("2GB", "what several containers fetch, kept on disk", parse_size),
    "fetcher_max_size": Flag("64GB", "of one file, and of what an archive has in it", parse_size),
    "fetcher_stall_timeout": Flag("1mins", "between two bytes of a download", parse_duration),
    "fetcher_timeout": Flag("1hrs", "for a whole download", parse_duration),
    # Sandboxes of containers that have ended.
    "gc_delay": Flag("1weeks", "how long they stay, at most", parse_duration),
    "gc_disk_headroom": Flag(
        "0.1", "part of the disk that is to be free: the less is, the shorter they stay", _fraction
    ),
    "disk_watch_interval": Flag("1mins", "how often the disk is looked at", parse_duration),
    # Kubernetes.
    "cri": Flag(None, "unix:///PATH where a kubelet finds the CRI (it is not served)"),
    "cri_runtime_handlers": Flag(
        "containerizer", "what RuntimeClasses call this runtime, with commas", _words
    ),
    "cri_cgroup_driver": Flag("cgroupfs", "the kubelet's: or systemd", _one_of("cgroupfs", "systemd")),
    "cri_stream_address": Flag("127.0.0.1:0", "HOST:PORT for exec, attach and port-forward"),
    "ui": Flag("false", "true: serve a page for people at /ui", _truth),
    # Who may ask, and how much.
    "http_credentials": Flag(
        None, "file of principals and hashed secrets: needed for tcp without tls_ca_file"
    ),
    "acls": Flag(None, "file of who may do what, JSON or TOML (everybody everything)"),
    "tls_cert_file": Flag(None, "PEM certificate chain: needed for tcp"),
    "tls_key_file": Flag(None, "PEM private key: needed for tcp"),
    "tls_ca_file": Flag(None, "PEM authorities of client certificates, which are then required"),
    "socket_mode": Flag("600", "octal mode of the Unix socket", lambda text: int(text, 8)),
    "max_request_size": Flag("4MB", "of a body", parse_size),
    "max_requests": Flag("1000", "at once, waits and streams among them", _count),
    "max_connections": Flag("2000", "in all; further ones by tcp are closed at once", _count),
    "request_timeout": Flag("1mins", "for a request to arrive, and a slow client to read", parse_duration),
    "http_heartbeat_interval": Flag("30secs", "between signs of life in streams", parse_duration),
    # Talk.
    "logging_level": Flag(
        "INFO", "DEBUG, INFO, WARNING or ERROR", _one_of("DEBUG", "INFO", "WARNING", "ERROR")
    ),
    "log_file": Flag(None, "the agent's log, besides standard error; read as /slave/log, and rotated"),
    "hostname": Flag(None, "the agent's name in its answers (this machine's)"),
    "shutdown_grace_period": Flag(
        "5secs", "for requests that are at work when the agent is asked to stop", parse_duration
    ),
}


def add(parser: argparse.ArgumentParser) -> None:
    """Each flag as an option, with dashes or underscores."""
    parser.add_argument("--config", metavar="FILE", help="TOML, with the names below")
    for name, flag in TABLE.items():
        spelled = dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}"))
        default = f" ({flag.default})" if flag.default else ""
        parser.add_argument(*spelled, dest=name, metavar="VALUE", help=flag.meaning + default)


def read(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Flags:
    """What all three say. Raises InvalidRequest, naming the flag and where it is from."""
    written = _from_file(arguments.config) if arguments.config else {}
    flags = {}
    for name, flag in TABLE.items():
        given = getattr(arguments, name)
        from_environment = environment.get(ENVIRONMENT + name.upper())
        sources = (
            (given, "the command line"),
            (from_environment, "the environment"),
            (written.get(name), str(arguments.config)),
            (flag.default, "the defaults"),
        )
        text, source = next(((t, s) for t, s in sources if t is not None), (None, ""))
        flags[name] = None if text is None else _parsed(name, text, source)
    return flags


def _parsed(name: str, text: str, source: str) -> Any:
    try:
        return TABLE[name].parse(text)
    except (InvalidRequest, ValueError) as error:
        why = error.message if isinstance(error, InvalidRequest) else str(error)
        raise InvalidRequest(
            f"invalid flag {name}={text} in {source}: {why}", hint=TABLE[name].meaning
        ) from error


def _from_file(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"cannot read the flags in {path}: {error}") from error
    for name in values:
        if name not in TABLE:
            near = difflib.get_close_matches(name, TABLE, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`containerizer agent --help` lists the flags"
            raise InvalidRequest(f"unknown flag {name!r} in {path}", hint=hint)
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
