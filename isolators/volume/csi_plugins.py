"""Plug-ins of the Container Storage Interface that somebody else has started: where each listens.

A file NAME.json of the directory of configurations says so in the words of the Mesos containerizer's
CSIPluginInfo, and is read each time:

    {"type": "org.example.nfs", "name": "nfs", "target_path_root": "/mnt/csi",
     "endpoints": [{"csi_service": "NODE_SERVICE", "endpoint": "unix:///run/csi/nfs.sock"}]}

One without a file is looked for where kubelets have their sockets, DIRECTORY/NAME/csi.sock.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from isolators.flags import IsolatorFlags
from launcher.data import Data
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import files

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_LARGEST = 64 << 10  # bytes of a file
_UNIX = "unix:"


class CsiFailed(ContainerizerError):
    """A plug-in could not do what it was asked; the message has what it said of it."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code  # of gRPC, by its name


class CsiPlugin(Data, kw_only=True):
    """One of them."""

    name: str
    socket: str  # its path
    target_root: str | None = None  # where it mounts; None: where we say
    target_exists: bool = False  # it wants the directory that it mounts on to be there
    by_own_name: bool = False  # the name is its own: kubelets make it the directory's


def find(name: str, flags: IsolatorFlags) -> CsiPlugin:
    """By its name, or its type. Raises InvalidRequest for one that there is not, CsiFailed."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"invalid name of a CSI plug-in {name!r}", hint="use letters, digits, '.' and '-'"
        )
    described = _configured(flags.csi_plugin_config_dir)
    for config in described:
        if name in (config.get("name"), config.get("type")):
            return _plugin(name, config)
    socket = os.path.join(flags.csi_sockets_dir, name, "csi.sock")
    if os.path.exists(socket):
        return CsiPlugin(name=name, socket=socket, by_own_name=True)
    there = ", ".join(sorted(str(config.get("name") or config.get("type")) for config in described))
    hint = f"{flags.csi_plugin_config_dir} has {there or 'none'}, and there is no {socket}"
    raise InvalidRequest(f"there is no CSI plug-in {name}", hint=hint)


def _configured(directory: str) -> list[Mapping[str, Any]]:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    return [_read(os.path.join(directory, name)) for name in names if name.endswith(".json")]


def _read(path: str) -> Mapping[str, Any]:
    try:
        value = json.loads(files.read(path, _LARGEST))
    except (OSError, ValueError) as error:
        raise CsiFailed(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict) or not (value.get("type") or value.get("name")):
        raise CsiFailed(f"{path} describes no CSI plug-in", hint="it needs a 'type'")
    return value


def _plugin(name: str, config: Mapping[str, Any]) -> CsiPlugin:
    endpoints = config.get("endpoints")
    for endpoint in endpoints if isinstance(endpoints, list) else ():
        if isinstance(endpoint, dict) and endpoint.get("csi_service", "NODE_SERVICE") == "NODE_SERVICE":
            return CsiPlugin(
                name=name,
                socket=_path(name, str(endpoint.get("endpoint"))),
                target_root=config.get("target_path_root"),
                target_exists=bool(config.get("target_path_exists")),
            )
    hint = "start it yourself, and name its socket: plug-ins are not started here"
    raise CsiFailed(f"the CSI plug-in {name} has no endpoint for the service NODE_SERVICE", hint=hint)


def _path(name: str, endpoint: str) -> str:
    path = endpoint.removeprefix(_UNIX).removeprefix("//")
    if not path.startswith("/"):
        hint = "write unix:///PATH"
        raise CsiFailed(f"the endpoint {endpoint!r} of the CSI plug-in {name} is no Unix socket", hint=hint)
    return path
