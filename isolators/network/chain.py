"""A network's plug-ins in their order: what each is given, and what comes of it.

CNI specification 1.1, section 3. ADD goes down the list, and each plug-in gets the result of the one before;
DEL goes up, and each gets the result of the whole ADD.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from isolators.network import plugin
from isolators.network.config_list import SUPPORTED, ConfigList
from isolators.network.plugin import TIMEOUT, Call, PluginFailed
from launcher.data import replace

Result = dict[str, Any]

# Plug-ins that are functions here, with the parameters of `plugin.call`: no program is executed for them.
BUILT_IN: Mapping[str, str] = {"containerizer-bridge": "isolators.network.bridge.driver"}

_WITH_RESULT_FOR_DEL = "0.4.0"  # the version from which on DEL gets the result, and there is CHECK
_WITH_GC = "1.1.0"  # and STATUS


def is_ours(network: ConfigList) -> bool:
    """Whether no program of others is asked."""
    return all(each["type"] in BUILT_IN for each in network.plugins)


class Chain:
    """The plug-ins of one network, for one attachment or for all."""

    def __init__(
        self,
        network: ConfigList,
        directories: tuple[str, ...],
        timeout: float = TIMEOUT,
        built_in: Any = None,
    ) -> None:
        """`built_in`: what functions get besides, `isolators.network.places.Places`."""
        self._network = network
        self._directories = directories
        self._timeout = timeout
        self._built_in = built_in

    def version(self) -> str:
        """The highest that the network and all of its plug-ins know. Raises PluginFailed."""
        versions = list(self._network.versions)
        if len(versions) > 1:  # one need not be asked for
            for each in self._network.plugins:
                known = self._versions_of(each, versions[-1])
                versions = [version for version in versions if version in known]
        if not versions:
            asked = ", ".join(self._network.versions)
            raise PluginFailed(f"the plug-ins of network {self._network.name} share no version of {asked}")
        return versions[-1]

    def check_installed(self) -> None:
        """Raises PluginFailed for the first plug-in that is not."""
        for each in self._network.plugins:
            if each["type"] not in BUILT_IN:
                plugin.find(self._directories, str(each["type"]))

    def add(self, call: Call, version: str, capabilities: Mapping[str, Any]) -> Result:
        """Attach; the result of the last plug-in. Raises PluginFailed: then DEL is due all the same."""
        result: Result | None = None
        for each in self._network.plugins:
            if result is not None and _does_nothing(each, capabilities):
                continue
            answer = self._call(replace(call, command="ADD"), each, version, capabilities, result)
            if answer is None:
                raise PluginFailed(f"CNI plug-in {each['type']} has answered nothing to ADD")
            result = checked(answer, str(each["type"]))
        assert result is not None
        return result

    def delete(
        self, call: Call, version: str, capabilities: Mapping[str, Any], result: Result | None
    ) -> None:
        """Detach; the first that fails keeps those before it. Raises PluginFailed."""
        given = result if _order(version) >= _order(_WITH_RESULT_FOR_DEL) else None
        for each in reversed(self._network.plugins):
            if not _does_nothing(each, capabilities):
                self._call(replace(call, command="DEL"), each, version, capabilities, given)

    def check(self, call: Call, version: str, capabilities: Mapping[str, Any], result: Result) -> None:
        """Raises PluginFailed where the attachment is not as it was made."""
        if self._network.disable_check or _order(version) < _order(_WITH_RESULT_FOR_DEL):
            return
        for each in self._network.plugins:
            self._call(replace(call, command="CHECK"), each, version, capabilities, result)

    def status(self) -> None:
        """Raises PluginFailed where no container can be added now."""
        version = self.version()
        if _order(version) >= _order(_WITH_GC):
            for each in self._network.plugins:
                self._call(Call(command="STATUS"), each, version)

    def collect(self, valid: Iterable[tuple[str, str]]) -> list[PluginFailed]:
        """Have what belongs to none of the valid (container id, interface) removed; all that failed.

        No ADD or DEL may run meanwhile.
        """
        version = self.version()
        if self._network.disable_gc or _order(version) < _order(_WITH_GC):
            return []
        attachments = [{"containerID": id_, "ifname": interface} for id_, interface in valid]
        # libcni once wrote the key with a dot, and plug-ins made with it read that.
        keys = {"cni.dev/valid-attachments": attachments, "cni.dev/attachments": attachments}
        failures = []
        for each in self._network.plugins:
            try:
                self._call(Call(command="GC"), {**each, **keys}, version)
            except PluginFailed as error:
                failures.append(error)
        return failures

    def capabilities(self) -> set[str]:
        """What some plug-in of the network can be told: "portMappings" …"""
        return {name for each in self._network.plugins for name in _capabilities(each)}

    def _versions_of(self, each: Mapping[str, Any], version: str) -> set[str]:
        if each["type"] in BUILT_IN:
            return set(SUPPORTED)
        asked = {"cniVersion": version, "name": self._network.name, "type": each["type"]}
        call = Call(command="VERSION", directories=self._directories)
        answer = plugin.call(call, asked, self._timeout) or {}
        listed = answer.get("supportedVersions")
        return set(map(str, listed)) if isinstance(listed, list) else set()

    def _call(
        self,
        call: Call,
        each: Mapping[str, Any],
        version: str,
        capabilities: Mapping[str, Any] | None = None,
        result: Result | None = None,
    ) -> Result | None:
        config = {key: value for key, value in each.items() if key != "capabilities"}
        config |= {"cniVersion": version, "name": self._network.name}
        told = {
            name: (capabilities or {})[name] for name in _capabilities(each) if name in (capabilities or {})
        }
        if told:
            config["runtimeConfig"] = told
        if result is not None:
            config["prevResult"] = result
        call = replace(call, directories=self._directories)
        if each["type"] in BUILT_IN:
            function: Callable[..., Result | None] = importlib.import_module(BUILT_IN[each["type"]]).call
            return function(call, config, self._built_in)
        return plugin.call(call, config, self._timeout)


def checked(answer: Result, type_: str) -> Result:
    """The result of an ADD, if what is used of it makes sense. Raises PluginFailed."""
    for key in ("interfaces", "ips", "routes"):
        listed = answer.get(key)
        if listed is not None and not (isinstance(listed, list) and all(isinstance(e, dict) for e in listed)):
            raise PluginFailed(f"CNI plug-in {type_} has answered with {key} that are no list of objects")
    if not isinstance(answer.get("dns") or {}, dict):
        raise PluginFailed(f"CNI plug-in {type_} has answered with dns that is no object")
    return answer


def _does_nothing(each: Mapping[str, Any], capabilities: Mapping[str, Any]) -> bool:
    """The reference plug-in for ports, told of none, hands on what it got: not worth a program's start."""
    return each["type"] == "portmap" and "portMappings" not in capabilities


def _capabilities(each: Mapping[str, Any]) -> list[str]:
    return [name for name, has in each.get("capabilities", {}).items() if has is True]


def _order(version: str) -> int:
    return SUPPORTED.index(version)
