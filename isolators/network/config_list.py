"""Networks as administrators configure them: CNI's network configuration lists.

CNI specification 1.1, section 1. Files are read at every use, so one that is added or removed needs no
restart. In each directory `*.conflist` has a list of plug-ins, `*.conf` and `*.json` one plug-in, as
lists before version 1.0 were written; the first by name that has the network is the one, as with libcni.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from isolators.networks import check_network_name
from launcher.data import Data, replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import files

SUPPORTED = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")  # of the specification, the oldest first

_SUFFIXES = (".conflist", ".conf", ".json")
_LARGEST = 1 << 20  # bytes of a file


class UnknownNetwork(InvalidRequest):
    """No network has this name."""


class InvalidConfig(ContainerizerError):
    """A network's configuration makes no sense; the message names the file."""


class ConfigList(Data, kw_only=True):
    """One network."""

    name: str
    versions: tuple[str, ...]  # that it conforms to, of those that are SUPPORTED, the oldest first
    plugins: tuple[Mapping[str, Any], ...]  # in the order of ADD, each as it was written
    disable_check: bool = False
    disable_gc: bool = False
    path: str = ""  # the file

    def with_args(self, args: Mapping[str, Any]) -> ConfigList:
        """Each plug-in is given these besides what the file has for it."""
        own = (each.get("args") for each in self.plugins)
        merged = ({**(given if isinstance(given, dict) else {}), **args} for given in own)
        told = ({**each, "args": given} for each, given in zip(self.plugins, merged, strict=True))
        return replace(self, plugins=tuple(told))

    def to_json(self) -> dict[str, Any]:
        return {
            "cniVersion": self.versions[-1],
            "cniVersions": list(self.versions),
            "name": self.name,
            "disableCheck": self.disable_check,
            "disableGC": self.disable_gc,
            "plugins": [dict(plugin) for plugin in self.plugins],
        }


def find(directories: Sequence[str], name: str) -> ConfigList:
    """The network of this name. Raises UnknownNetwork, InvalidConfig."""
    broken: list[str] = []
    for path in _paths(directories):
        try:
            found = read(path)
        except InvalidConfig as error:
            broken.append(error.message)
            continue
        if found.name == name:
            return found
    hint = "; ".join(broken) or "`containerizer network ls` lists them, `network create` makes one"
    raise UnknownNetwork(f"unknown network {name!r}", hint=hint)


def find_all(directories: Sequence[str]) -> tuple[list[ConfigList], list[InvalidConfig]]:
    """Every network, the first of each name, and what is wrong with files that have none."""
    found: dict[str, ConfigList] = {}
    broken: list[InvalidConfig] = []
    for path in _paths(directories):
        try:
            each = read(path)
        except InvalidConfig as error:
            broken.append(error)
        else:
            found.setdefault(each.name, each)
    return list(found.values()), broken


def read(path: str) -> ConfigList:
    """Raises InvalidConfig."""
    value = _object(path)
    if "plugins" not in value and "type" in value:
        # One plug-in, which is all of the network: such files went away with version 1.0.
        value = {**{key: value[key] for key in ("cniVersion", "name") if key in value}, "plugins": [value]}
    plugins = value.get("plugins", [])
    if not isinstance(plugins, list):
        raise InvalidConfig(f"{path}: plugins is no list")
    name = value.get("name")
    if isinstance(name, str) and value.get("loadOnlyInlinedPlugins") is not True:
        plugins = [*plugins, *_beside(path, name)]
    try:
        return parse({**value, "plugins": plugins}, path)
    except InvalidRequest as error:
        raise InvalidConfig(f"{path}: {error.message}", hint=error.hint) from None


def parse(value: Mapping[str, Any], path: str = "") -> ConfigList:
    """Raises InvalidRequest."""
    name, plugins = value.get("name"), value.get("plugins")
    if not isinstance(name, str):
        raise InvalidRequest("the network has no name")
    check_network_name(name)
    if not isinstance(plugins, list) or not plugins:
        raise InvalidRequest(f"network {name} has no plugins")
    for plugin in plugins:
        if not isinstance(plugin, dict):
            raise InvalidRequest(f"network {name}: the plug-in {plugin!r} is no object")
        type_ = plugin.get("type")
        if not isinstance(type_, str) or not type_ or "/" in type_ or type_ in (".", ".."):
            raise InvalidRequest(f"network {name}: invalid type of a plug-in {type_!r}")
        if not isinstance(plugin.get("capabilities", {}), dict):
            raise InvalidRequest(f"network {name}: capabilities of {type_} is no object")
    return ConfigList(
        name=name,
        versions=_versions(value),
        plugins=tuple(plugins),
        disable_check=value.get("disableCheck") is True,
        disable_gc=value.get("disableGC") is True,
        path=path,
    )


def _versions(value: Mapping[str, Any]) -> tuple[str, ...]:
    listed = value.get("cniVersions", [])
    asked = {value.get("cniVersion", "0.2.0"), *(listed if isinstance(listed, list) else ())}
    known = tuple(version for version in SUPPORTED if version in asked)
    if not known:
        hint = f"set cniVersion to one of {', '.join(SUPPORTED)}"
        versions = ", ".join(sorted(map(str, asked)))
        raise InvalidRequest(f"network {value.get('name')} is of CNI version {versions}", hint=hint)
    return known


def _paths(directories: Sequence[str]) -> list[str]:
    paths = []
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except (FileNotFoundError, NotADirectoryError):
            continue
        paths += [os.path.join(directory, name) for name in names if name.endswith(_SUFFIXES)]
    return [path for path in paths if os.path.isfile(path)]


def _beside(path: str, name: str) -> list[dict[str, Any]]:
    """Plug-ins that others have added to the network, in the directory of its name."""
    directory = os.path.join(os.path.dirname(path), os.path.basename(name))
    try:
        names = sorted(each for each in os.listdir(directory) if each.endswith(".conf"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [_object(os.path.join(directory, each)) for each in names]


def _object(path: str) -> dict[str, Any]:
    try:
        value = json.loads(files.read(path, _LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidConfig(f"cannot read the network configuration {path}: {error}") from None
    if not isinstance(value, dict):
        raise InvalidConfig(f"{path}: the network configuration is no object")
    return value
