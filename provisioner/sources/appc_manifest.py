"""The manifest of an application container image: untrusted JSON into checked data. appc spec/aci.md."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from launcher.data import Data
from provisioner.errors import InvalidImage

_ID = re.compile(r"sha512-[0-9a-f]{128}")
_VARIABLE = re.compile(r"[A-Za-z0-9_]+")
_MAX_DEPENDENCIES = 64


class Dependency(Data, kw_only=True):
    """An image to be laid below this one."""

    name: str
    image_id: str | None
    labels: Mapping[str, str]


class AciManifest(Data, kw_only=True):
    """What is needed of it."""

    name: str
    labels: Mapping[str, str]  # version, os, arch, and any
    app: Mapping[str, Any]  # in the form of an OCI image's "config", but for User
    user: tuple[str, str] | None  # user and group: a name, a number, or the path of a file whose they are
    dependencies: tuple[Dependency, ...]
    whitelist: tuple[str, ...]  # normalized paths without the first "/"; the last "/" stays


def parse_manifest(content: bytes, what: str) -> AciManifest:
    """Raises InvalidImage, which names `what`."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"the manifest of {what} is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("acKind") != "ImageManifest":
        raise InvalidImage(f"the manifest of {what} has not the acKind ImageManifest")
    name, app = value.get("name"), value.get("app")
    if not isinstance(name, str) or not isinstance(app, dict | None):
        raise InvalidImage(f"the manifest of {what} has no valid name or app")
    dependencies = [_dependency(item, what) for item in _objects(value, "dependencies", what)]
    if len(dependencies) > _MAX_DEPENDENCIES:
        raise InvalidImage(f"{what} has {len(dependencies)} dependencies; {_MAX_DEPENDENCIES} are accepted")
    return AciManifest(
        name=name,
        labels=_named(value, "labels", what),
        app=_app(app or {}, what),
        user=_user(app, what) if app else None,
        dependencies=tuple(dependencies),
        whitelist=tuple(_normal(path, what) for path in _strings(value, "pathWhitelist", what)),
    )


def _app(app: Mapping[str, Any], what: str) -> dict[str, Any]:
    command = _strings(app, "exec", what)
    environment = _named(app, "environment", what)
    directory = app.get("workingDirectory") or "/"
    if not isinstance(directory, str) or not directory.startswith("/"):
        raise InvalidImage(f"the workingDirectory {directory!r} of {what} is not absolute")
    if not all(map(_VARIABLE.fullmatch, environment)):
        raise InvalidImage(f"{what} has an environment variable whose name is none")
    config: dict[str, Any] = {"WorkingDir": directory, "Env": [f"{k}={v}" for k, v in environment.items()]}
    if command:  # what a caller gives takes the place of the arguments
        config |= {"Entrypoint": command[:1], "Cmd": command[1:]}
    return config


def _user(app: Mapping[str, Any], what: str) -> tuple[str, str]:
    user, group = app.get("user"), app.get("group")
    if not isinstance(user, str) or not isinstance(group, str) or not user or not group:
        raise InvalidImage(f"the app of {what} has no user or no group")
    if ":" in user:
        raise InvalidImage(f"the app of {what} has the user {user!r}")
    return user, group


def _dependency(item: Mapping[str, Any], what: str) -> Dependency:
    name, image_id = item.get("imageName"), item.get("imageID")
    if not isinstance(name, str) or not isinstance(image_id, str | None):
        raise InvalidImage(f"{what} has a dependency without a name")
    if image_id is not None and not _ID.fullmatch(image_id):
        raise InvalidImage(f"{what} has a dependency with the id {image_id!r}", hint="sha512-HEX is known")
    return Dependency(name=name, image_id=image_id, labels=_named(item, "labels", what))


def _named(value: Mapping[str, Any], key: str, what: str) -> dict[str, str]:
    """A list of {"name", "value"}."""
    pairs: dict[str, str] = {}
    for item in _objects(value, key, what):
        name, content = item.get("name"), item.get("value")
        if not isinstance(name, str) or not isinstance(content, str) or name in pairs:
            raise InvalidImage(f"{what} has {key} without unique names and values")
        pairs[name] = content
    return pairs


def _objects(value: Mapping[str, Any], key: str, what: str) -> list[dict[str, Any]]:
    items = value.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidImage(f"{what} has no valid list of {key}")
    return items


def _strings(value: Mapping[str, Any], key: str, what: str) -> list[str]:
    items = value.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise InvalidImage(f"{what} has no valid list of {key}")
    return items


def _normal(path: str, what: str) -> str:
    if not path.startswith("/"):
        raise InvalidImage(f"the path {path!r} in the pathWhitelist of {what} is not absolute")
    return posixpath.normpath(path).strip("/") + ("/" if path.endswith("/") else "")
