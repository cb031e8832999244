"""Files of the Container Device Interface (CDI): what a container with a vendor's device needs.

https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md, versions 0.3 to 1.1. The files
are the operator's; yet what is not known in one is an error and not passed over, as it is specified.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from isolators.devices import ALL
from launcher.data import Data, field
from launcher.errors import ContainerizerError

VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")

_LARGEST = 1 << 22  # bytes of a file
_VENDOR = r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_CLASS = r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?"
_KIND = re.compile(f"{_VENDOR}/{_CLASS}", re.ASCII)
_DEVICE_NAME = re.compile(_NAME, re.ASCII)
_QUALIFIED = re.compile(f"({_VENDOR}/{_CLASS})=({_NAME})", re.ASCII)


class InvalidCdiSpec(ContainerizerError):
    """A file is not as the specification wants it; the message names the file and the field."""


class CdiNode(Data, kw_only=True):
    """A device node in the container."""

    path: str
    host_path: str  # where the host has it
    access: str = ALL
    mode: int | None = None  # of the node; None: as the host's, like the owner
    uid: int | None = None
    gid: int | None = None


class CdiMount(Data, kw_only=True):
    """A mount in the container."""

    host_path: str
    container_path: str
    options: tuple[str, ...] = ()
    fstype: str = ""  # "" and "bind": what lies at host_path


class CdiHook(Data, kw_only=True):
    """A program to run at a point of the container's life, as of the OCI runtime specification."""

    point: str
    path: str
    arguments: tuple[str, ...] = ()  # the first is argv[0]
    environment: tuple[str, ...] = ()
    timeout: float | None = None  # seconds


class Edits(Data, kw_only=True):
    """What a container gets."""

    environment: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[CdiNode, ...] = ()
    mounts: tuple[CdiMount, ...] = ()
    hooks: tuple[CdiHook, ...] = ()
    gids: tuple[int, ...] = ()


class Spec(Data, kw_only=True):
    """One file."""

    path: str
    kind: str  # "vendor.com/class"
    edits: Edits  # for every container with one of the devices
    devices: Mapping[str, Edits]  # by their names


def split(name: str) -> tuple[str, str] | None:
    """(kind, device) of a qualified name such as "vendor.com/class=device"; None for another word."""
    match = _QUALIFIED.fullmatch(name)
    return (match[1], match[2]) if match else None


def read(path: str) -> Spec:
    """Raises InvalidCdiSpec."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise InvalidCdiSpec(f"CDI file {path} is larger than {_LARGEST} bytes")
        value = json.loads(content) if path.endswith(".json") else _yaml(content)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidCdiSpec(f"cannot read CDI file {path}: {error}") from error
    return _Reader(path).spec(value)


def _yaml(content: bytes) -> Any:
    import yaml  # what few have

    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Reader:
    """Checks what a file says, field by field."""

    def __init__(self, path: str) -> None:
        self._path = path

    def spec(self, value: Any) -> Spec:
        given = self._object(value, "", ("cdiVersion", "kind", "annotations", "devices", "containerEdits"))
        version, kind = given.get("cdiVersion"), given.get("kind")
        if version not in VERSIONS:
            raise self._wrong(
                "cdiVersion", version, f"versions {VERSIONS[0]} to {VERSIONS[-1]} are supported"
            )
        if not isinstance(kind, str) or not _KIND.fullmatch(kind):
            raise self._wrong("kind", kind, "it is written vendor.com/class")
        devices: dict[str, Edits] = {}
        for place, device in enumerate(self._list(given.get("devices"), "devices")):
            at = f"devices[{place}]"
            own = self._object(device, at, ("name", "annotations", "containerEdits"))
            name = own.get("name")
            if not isinstance(name, str) or not _DEVICE_NAME.fullmatch(name) or name in devices:
                raise self._wrong(f"{at}.name", name, "each device has a name of its own")
            devices[name] = self._edits(own.get("containerEdits"), f"{at}.containerEdits")
        edits = self._edits(given.get("containerEdits"), "containerEdits")
        return Spec(path=self._path, kind=kind, edits=edits, devices=devices)

    def _edits(self, value: Any, at: str) -> Edits:
        known = ("env", "deviceNodes", "mounts", "hooks", "additionalGids", "intelRdt", "netDevices")
        given = self._object({} if value is None else value, at, known)
        for name in ("intelRdt", "netDevices"):
            if given.get(name):
                raise self._wrong(f"{at}.{name}", given[name], "this is not supported")
        return Edits(
            environment=dict(self._each(given, "env", at, self._variable)),
            nodes=tuple(self._each(given, "deviceNodes", at, self._node)),
            mounts=tuple(self._each(given, "mounts", at, self._mount)),
            hooks=tuple(self._each(given, "hooks", at, self._hook)),
            gids=tuple(self._each(given, "additionalGids", at, self._id)),
        )

    def _variable(self, value: Any, at: str) -> tuple[str, str]:
        name, equals, content = self._text(value, at).partition("=")
        if not name or not equals:
            raise self._wrong(at, value, "it is written NAME=VALUE")
        return name, content

    def _node(self, value: Any, at: str) -> CdiNode:
        known = ("path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid")
        given = self._object(value, at, known)
        path = self._path_of(given.get("path"), f"{at}.path")
        access = given.get("permissions") or ALL
        if not isinstance(access, str) or not set(access) <= set(ALL):
            raise self._wrong(f"{at}.permissions", access, "it has some of r, w and m")
        if given.get("type") not in (None, "", "b", "c", "u"):
            raise self._wrong(f"{at}.type", given["type"], "it is b, c or u")
        mode, uid, gid = (
            None if given.get(name) is None else self._id(given[name], f"{at}.{name}")
            for name in ("fileMode", "uid", "gid")
        )
        host = self._path_of(given.get("hostPath") or path, f"{at}.hostPath")
        return CdiNode(path=path, host_path=host, access=access, mode=mode, uid=uid, gid=gid)

    def _mount(self, value: Any, at: str) -> CdiMount:
        given = self._object(value, at, ("hostPath", "containerPath", "options", "type"))
        fstype = self._text(given.get("type") or "", f"{at}.type")
        host = self._text(given.get("hostPath"), f"{at}.hostPath")
        if fstype in ("", "bind"):
            host = self._path_of(host, f"{at}.hostPath")
        return CdiMount(
            host_path=host,
            container_path=self._path_of(given.get("containerPath"), f"{at}.containerPath"),
            options=tuple(self._each(given, "options", at, self._text)),
            fstype=fstype,
        )

    def _hook(self, value: Any, at: str) -> CdiHook:
        given = self._object(value, at, ("hookName", "path", "args", "env", "timeout"))
        timeout = given.get("timeout")
        if timeout is not None and (self._id(timeout, f"{at}.timeout") < 1):
            raise self._wrong(f"{at}.timeout", timeout, "it is more than 0 seconds")
        return CdiHook(
            point=self._text(given.get("hookName"), f"{at}.hookName"),
            path=self._path_of(given.get("path"), f"{at}.path"),
            arguments=tuple(self._each(given, "args", at, self._text)),
            environment=tuple(self._each(given, "env", at, self._text)),
            timeout=timeout,
        )

    def _each(
        self, given: Mapping[str, Any], name: str, at: str, read: Callable[[Any, str], Any]
    ) -> Iterable[Any]:
        for place, item in enumerate(self._list(given.get(name), f"{at}.{name}")):
            yield read(item, f"{at}.{name}[{place}]")

    def _object(self, value: Any, at: str, known: Iterable[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(at, value, "it is an object")
        for name in value:
            if name not in known:
                raise self._wrong(f"{at}.{name}".lstrip("."), value[name], "no such field is known")
        return value

    def _list(self, value: Any, at: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(at, value, "it is a list")
        return value

    def _text(self, value: Any, at: str) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise self._wrong(at, value, "it is a text")
        return value

    def _path_of(self, value: Any, at: str) -> str:
        if not isinstance(value, str) or not os.path.isabs(value):
            raise self._wrong(at, value, "it is an absolute path")
        return os.path.normpath(self._text(value, at))

    def _id(self, value: Any, at: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
            raise self._wrong(at, value, "it is a number")
        return value

    def _wrong(self, at: str, value: Any, what: str) -> InvalidCdiSpec:
        shown = json.dumps(value, default=str)
        shown = shown if len(shown) < 80 else f"{shown[:80]}…"
        return InvalidCdiSpec(f"CDI file {self._path}: {at or 'the whole'} is {shown}: {what}")
