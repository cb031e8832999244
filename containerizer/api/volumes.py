"""Volumes that a client asks for: in the words of isolators.volumes, or a refusal that names the field.

A host path is the client's choice, as everything that root may read is: who may not have that gets no
LAUNCH_* from the agent's ACLs; an operator may bound it, too (volume/host_path).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from containerizer.api import csi, secrets
from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto import values_pb2 as values
from isolators.secrets import Secret, decoded, encoded
from isolators.volumes import BIND, CSI, IMAGE, NAMED, SANDBOX, SECRET, Volume, normalised
from launcher.container_id import ContainerId
from launcher.data import asdict

Source = containers.Volume.Source

_PROPAGATION = {
    containers.MountPropagation.HOST_TO_CONTAINER: "rslave",
    containers.MountPropagation.BIDIRECTIONAL: "rshared",
}
_TEXTS = ("kind", "target", "source", "driver", "recursive", "propagation", "subpath", "idmap", "pull")
_TRUTHS = ("readonly", "nocopy", "chown", "create", "anonymous", "of_parent")
_MAPS = ("options", "labels")
_OF_SECRET = ("mode", "uid", "gid")


def asked(
    container_id: ContainerId,
    of_container: Iterable[containers.Volume],
    further: Iterable[extensions.LaunchVolume],
) -> tuple[Volume, ...]:
    """Raises BadRequest, InvalidRequest."""
    volumes = (*(_volume(container_id, each) for each in of_container), *map(_further, further))
    targets: set[str] = set()
    for volume in volumes:
        if volume.target in targets:
            raise BadRequest(f"two volumes have the 'container_path' {volume.target}")
        targets.add(volume.target)
    return volumes


def _volume(container_id: ContainerId, asked: containers.Volume) -> Volume:
    readonly = asked.mode == containers.Volume.RO
    common: dict[str, Any] = {"target": _target(asked.container_path), "readonly": readonly}
    if asked.HasField("image"):
        from containerizer.api.launching import name_of  # which takes this module

        pull = "missing" if asked.image.cached else "always"
        return Volume(kind=IMAGE, source=name_of(asked.image), pull=pull, **common)
    source = asked.source
    if source.type == Source.SANDBOX_PATH:
        return Volume(kind=SANDBOX, **common, **_in_sandbox(container_id, source.sandbox_path))
    if source.type == Source.DOCKER_VOLUME:
        options = tuple((each.key, each.value) for each in source.docker_volume.driver_options.parameter)
        named = source.docker_volume
        return Volume(kind=NAMED, source=named.name, driver=named.driver, options=options, **common)
    if source.type == Source.SECRET:
        return Volume(kind=SECRET, secret=_secret(source.secret, asked.container_path), **common)
    if source.type == Source.CSI_VOLUME:
        return Volume(kind=CSI, **common, **csi.asked(source.csi_volume, asked.container_path, {}))
    return Volume(kind=BIND, **common, **_on_host(asked))


def _secret(secret: values.Secret, target: str, **of_file: Any) -> Secret:
    value = secrets.asked(secret, target)
    if isinstance(value, bytes):
        return Secret(content=encoded(value), **of_file)
    return Secret(reference=value, **of_file)


def _on_host(asked: containers.Volume) -> dict[str, Any]:
    host_path = asked.source.host_path
    path = host_path.path or asked.host_path
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        hint = "write an absolute path without '..'; SANDBOX_PATH has directories of the sandbox"
        raise BadRequest(f"the 'host_path' {path!r} of a volume is invalid", hint=hint)
    propagation = _PROPAGATION.get(host_path.mount_propagation.mode, "")
    return {"source": normalised(path), "propagation": propagation}


def _in_sandbox(container_id: ContainerId, asked: Source.SandboxPath) -> dict[str, Any]:
    of_parent = asked.type == Source.SandboxPath.PARENT
    if of_parent and container_id.parent is None:
        raise BadRequest("'volumes.source.sandbox_path.type' is PARENT, and the container is in none")
    if "/" in asked.path:
        hint = "give it one name: what a task may write could be a link by the time that it is bound"
        raise BadRequest(f"the 'sandbox_path' {asked.path!r} has a slash", hint=hint)
    return {"source": asked.path, "of_parent": of_parent}


def _target(path: str) -> str:
    if not path.startswith("/") or path.startswith("//"):
        raise BadRequest(f"the 'container_path' {path!r} of a volume is no absolute path without '..'")
    return normalised(path) if ".." not in path.split("/") else path


# In all their words ---------------------------------------------------------------------------------


def _further(asked: extensions.LaunchVolume) -> Volume:
    given: dict[str, Any] = {
        name: getattr(asked, name) for name in (*_TEXTS, *_TRUTHS) if asked.HasField(name)
    }
    given |= {name: tuple(sorted(getattr(asked, name).items())) for name in _MAPS if getattr(asked, name)}
    if asked.HasField("secret"):
        numbers = {name: getattr(asked.secret, name) for name in _OF_SECRET if asked.secret.HasField(name)}
        given["secret"] = _secret(asked.secret.secret, asked.target, **numbers)
    if asked.HasField("csi"):
        given |= csi.asked(asked.csi, asked.target, asked.publish_context)
    return Volume(**given, flags=tuple(asked.flags))


def add(messages: Any, volumes: Iterable[Volume]) -> None:
    """As `asked` reads them. Raises InvalidRequest."""
    for volume in volumes:
        _fill(messages.add(), volume)


def _fill_secret(message: extensions.LaunchVolume.SecretFile, secret: Secret | None) -> None:
    assert secret is not None
    for name in _OF_SECRET:
        setattr(message, name, getattr(secret, name))
    secrets.fill(message.secret, secret.reference or decoded(secret.content or ""))


def _fill(message: extensions.LaunchVolume, volume: Volume) -> None:
    default = Volume(kind=volume.kind, target=volume.target)
    for name, value in asdict(volume).items():
        if name in ("kind", "target") or value != getattr(default, name):
            if name in _MAPS:
                getattr(message, name).update(dict(value))
            elif name == "flags":
                message.flags.extend(value)
            elif name == "secret":
                _fill_secret(message.secret, volume.secret)
            elif name == "csi":
                csi.fill(message.csi, volume)
                message.publish_context.update(volume.csi.publish_context if volume.csi else {})
            else:
                setattr(message, name, value)
