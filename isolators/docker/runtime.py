"""docker/runtime: what the image says about its task, and how the request overrides it.

The image's part is the `config` object of an OCI image configuration (image-spec, config.md): Env,
Entrypoint, Cmd, User, WorkingDir, Volumes, StopSignal. It comes from a registry, so each field's
type is checked. The rules of overriding are Docker's.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from typing import Any

from isolators.isolator import OF_HOST, ContainerConfig, Isolator, joins
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.launch_info import LaunchInfo, Mount
from launcher.signal_names import parse_signal, signal_name

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

TARGETS = "targets"  # beside the volumes 0, 1 … in the sandbox: where they are, with null characters between

# Mounts of our own are there, and no volume may cover them.
RESERVED = ("/proc", "/sys", "/dev")


class InvalidImageConfig(ContainerizerError):
    """A field of the image's configuration is not what the image specification says."""


class DockerRuntime(Isolator):
    name = "docker/runtime"

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        image = config.image_config or {}
        return LaunchInfo(
            argv=_argv(config, image),
            environment=_environment(config, image),
            working_directory=_working_directory(config, image),
            user=config.user or _text(image, "User") or None,
            stop_signal=_stop_signal(config.stop_signal or _text(image, "StopSignal") or "SIGTERM"),
            mounts=_volumes(config, image),
        )

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        mounts = _volumes(config, config.image_config or {})
        for mount in mounts:
            os.makedirs(mount.source, mode=0o755, exist_ok=True)
        if mounts:
            with open(os.path.join(config.sandbox, "volumes", TARGETS), "wb") as file:
                file.write(b"\0".join(os.fsencode(mount.target) for mount in mounts))


def _stop_signal(text: str) -> str:
    return signal_name(parse_signal(text))


def _argv(config: ContainerConfig, image: Mapping[str, Any]) -> tuple[str, ...]:
    """Docker's rule: the image's Cmd are arguments for the image's Entrypoint, and go with it."""
    if config.entrypoint is not None:
        argv = config.entrypoint + config.command
    else:
        argv = _texts(image, "Entrypoint") + (config.command or _texts(image, "Cmd"))
    if not argv or not argv[0]:
        raise InvalidRequest("image has no command", hint="name one after the image")
    _check(argv, "command")
    return argv


def _environment(config: ContainerConfig, image: Mapping[str, Any]) -> dict[str, str]:
    environment = {"PATH": DEFAULT_PATH}
    for index, item in enumerate(_texts(image, "Env")):
        name, separator, value = item.partition("=")
        if not name or not separator:
            raise InvalidImageConfig(f"Env[{index}] of the image is {item!r}, not NAME=VALUE")
        environment[name] = value
    # One from the image is stale: that of the container it was made in. namespaces/uts gives ours.
    environment.pop("HOSTNAME", None)
    for name, value in config.environment.items():
        if not name or "=" in name:
            raise InvalidRequest(f"invalid name of an environment variable {name!r}")
        environment[name] = value
    _check((*environment, *environment.values()), "environment")
    return environment


def _working_directory(config: ContainerConfig, image: Mapping[str, Any]) -> str:
    if config.working_directory:
        if not config.working_directory.startswith("/"):
            raise InvalidRequest(
                f"working directory {config.working_directory!r} is not absolute", hint="start it with '/'"
            )
        return _normalised(config.working_directory)
    if config.rootfs is None and config.sandbox and not _has_other_users(config) and not joins("mnt", config):
        return config.sandbox  # the host's / is no place for a task's files
    directory = _normalised("/" + _text(image, "WorkingDir"))
    _check((directory,), "working directory")
    return directory


def _has_other_users(config: ContainerConfig) -> bool:
    """Whether root in the container is another than the host's, who alone passes to the sandbox."""
    if config.userns is not None or config.namespaces.get("user", OF_HOST) != OF_HOST:
        return True
    return config.parent is not None and config.parent.uid_map is not None


def _volumes(config: ContainerConfig, image: Mapping[str, Any]) -> tuple[Mount, ...]:
    targets = sorted({_volume_target(path) for path in _mapping(image, "Volumes")} - set(config.mounted))
    return tuple(
        Mount(
            target=target,
            fstype="bind",
            source=os.path.join(config.sandbox, "volumes", str(number)),
            flags=("nodev",),
            populate=True,
        )
        for number, target in enumerate(targets)
    )


def _volume_target(path: str) -> str:
    target = _normalised(path)
    reserved = any(target == place or target.startswith(f"{place}/") for place in RESERVED)
    if not path.startswith("/") or ".." in path.split("/") or target == "/" or reserved or "\0" in path:
        raise InvalidImageConfig(
            f"volume {path!r} of the image is not a place for a volume",
            hint=f"it has to be an absolute path without '..', outside {', '.join(RESERVED)}",
        )
    _check((path,), "volume")
    return target


def _normalised(path: str) -> str:
    """normpath keeps two leading slashes, which POSIX leaves to the system; Linux gives them no meaning."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _check(texts: tuple[str, ...], what: str) -> None:
    """Whether the kernel can be told them: JSON can write what is no character, such as half a pair."""
    for text in texts:
        if "\0" in text:
            raise InvalidRequest(f"{what} has a null character in {text!r}", hint="execve(2) cannot pass it")
        try:
            os.fsencode(text)
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"{what} has half a surrogate pair in {text!r:.100}", hint="no encoding has it"
            ) from error


def _text(image: Mapping[str, Any], field: str) -> str:
    value = image.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidImageConfig(f"{field} of the image is {value!r:.100}, not a string")
    return value


def _texts(image: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = image.get(field)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidImageConfig(f"{field} of the image is {value!r:.100}, not a list of strings")
    return tuple(value)


def _mapping(image: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = image.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidImageConfig(f"{field} of the image is {value!r:.100}, not an object")
    return value
