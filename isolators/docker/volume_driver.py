"""Drivers of volumes: Docker's volume plug-in protocol, and the same by the program dvdcli.

docs/extend/plugins_volume.md of docker/cli has the protocol. dvdcli is what the Mesos containerizer calls; it
finds plug-ins as Docker does, and is called here for those that we do not find.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from isolators import program
from isolators.docker import plugins
from isolators.docker.plugins import NoSuchPlugin, NotImplementedByPlugin, Plugin, PluginFailed, PluginRefused
from isolators.isolator import IsolatorFlags
from launcher.data import Data

_UNMOUNT = 600.0  # seconds that dvdcli has for that


class PluginVolume(Data, kw_only=True):
    """What a plug-in says of a volume."""

    name: str
    mountpoint: str = ""  # of the host; "": it is not mounted, or the plug-in does not say
    status: Mapping[str, object] = {}


class VolumeDriver:
    """One that is a plug-in, and answers. Each method raises PluginFailed."""

    def __init__(self, plugin: Plugin, timeout: float) -> None:
        """`timeout`: seconds for what takes long; half of it for the rest."""
        self.name = plugin.name
        self._plugin = plugin
        self._long, self._short = timeout, timeout / 2
        plugin.activate("VolumeDriver", self._short)

    def create(self, name: str, options: Mapping[str, str]) -> None:
        body = {"Name": name, "Opts": dict(options)}
        self._plugin.call("VolumeDriver.Create", body, self._long)

    def ensure(self, name: str, options: Mapping[str, str]) -> None:
        """Create it, unless it is there."""
        if self.get(name) is None:
            self.create(name, options)

    def remove(self, name: str) -> None:
        self._plugin.call("VolumeDriver.Remove", {"Name": name}, self._short)

    def mount(self, name: str, user: str) -> str:
        """Where it is on the host, for a user by this id. As often as a user asks, the same comes of it."""
        answer = self._plugin.call("VolumeDriver.Mount", {"Name": name, "ID": user}, self._long)
        return str(answer.get("Mountpoint") or "") or self.path(name)

    def unmount(self, name: str, user: str, timeout: float | None = None) -> None:
        """`timeout`: in so many seconds, where that is not what the driver usually has."""
        self._plugin.call("VolumeDriver.Unmount", {"Name": name, "ID": user}, timeout or self._short)

    def path(self, name: str) -> str:
        """Where it is mounted; "" if it is not."""
        try:
            answer = self._plugin.call("VolumeDriver.Path", {"Name": name}, self._short)
        except PluginRefused:
            return ""
        return str(answer.get("Mountpoint") or "")

    def get(self, name: str) -> PluginVolume | None:
        """None if there is none, or where nothing is told of them (by plug-ins from before Docker 1.10)."""
        try:
            answer = self._plugin.call("VolumeDriver.Get", {"Name": name}, self._short)
        except (PluginRefused, NotImplementedByPlugin):
            return None
        found = answer.get("Volume")
        return _volume(found) if isinstance(found, dict) else None

    def list(self) -> list[PluginVolume]:
        found = self._plugin.call("VolumeDriver.List", {}, self._short).get("Volumes")
        return [_volume(each) for each in found or () if isinstance(each, dict) and each.get("Name")]

    def scope(self) -> str:
        """ "global" where one volume is that of all hosts, else "local"."""
        try:
            answer = self._plugin.call("VolumeDriver.Capabilities", {}, self._short)
        except (PluginRefused, NotImplementedByPlugin):
            return "local"
        found = answer.get("Capabilities")
        scope = found.get("Scope") if isinstance(found, dict) else None
        return "global" if scope == "global" else "local"


class DvdcliDriver(VolumeDriver):
    """One that dvdcli talks to. It makes what is not there when it mounts, and has no users."""

    def __init__(self, name: str, command: str, timeout: float) -> None:
        self.name = name
        self._command = command
        self._long = timeout
        self._options: Mapping[str, str] = {}

    def ensure(self, name: str, options: Mapping[str, str]) -> None:
        self._options = options

    def create(self, name: str, options: Mapping[str, str]) -> None:
        self._run("create", name, self._long, options)

    def remove(self, name: str) -> None:
        self._run("remove", name, self._long)

    def mount(self, name: str, user: str) -> str:
        return self._run("mount", name, self._long, self._options)

    def unmount(self, name: str, user: str, timeout: float | None = None) -> None:
        self._run("unmount", name, timeout or _UNMOUNT)

    def path(self, name: str) -> str:
        try:
            return self._run("path", name, self._long)
        except PluginFailed:
            return ""

    def get(self, name: str) -> PluginVolume | None:
        path = self.path(name)
        return PluginVolume(name=name, mountpoint=path) if path else None

    def list(self) -> list[PluginVolume]:
        return []

    def scope(self) -> str:
        return "local"

    def _run(self, verb: str, name: str, timeout: float, options: Mapping[str, str] | None = None) -> str:
        argv = [self._command, verb, f"--volumedriver={self.name}", f"--volumename={name}"]
        argv += [f"--volumeopts={key}={value}" for key, value in (options or {}).items()]
        what = f"dvdcli {verb} of the volume {name} of {self.name}"
        try:
            ran = program.run(self._command, argv, program.environment(), b"", timeout)
        except OSError as error:
            raise PluginFailed(f"cannot execute {self._command}: {(error.strerror or '').lower()}") from error
        if ran.status is None:
            hint = "it can be tried again"
            raise PluginFailed(f"{what} has not answered in {timeout:g} seconds", hint=hint)
        if ran.status:
            said = program.short(ran.told or ran.output)
            raise PluginFailed(f"{what} {program.how_it_ended(ran.status)}" + (f": {said}" if said else ""))
        return ran.output.decode(errors="surrogateescape").strip()


def find(name: str, flags: IsolatorFlags) -> VolumeDriver:
    """By the driver's name. Raises NoSuchPlugin, PluginFailed."""
    try:
        endpoint = plugins.find(name, flags.docker_plugins_dirs)
    except NoSuchPlugin:
        command = flags.dvdcli or shutil.which("dvdcli")
        if command is None or "/" in name:
            raise
        return DvdcliDriver(name, command, flags.docker_volume_timeout)
    return VolumeDriver(Plugin(endpoint, flags.docker_volume_retries), flags.docker_volume_timeout)


def _volume(value: Mapping[str, object]) -> PluginVolume:
    status = value.get("Status")
    return PluginVolume(
        name=str(value.get("Name") or ""),
        mountpoint=str(value.get("Mountpoint") or ""),
        status=status if isinstance(status, dict) else {},
    )


def is_there(path: str) -> bool:
    """Whether a mountpoint is one that can be bound."""
    return os.path.isabs(path) and os.path.isdir(path)


def is_empty(mountpoint: str) -> bool:
    """Whether nobody has put anything there yet: a new filesystem has a directory of its own."""
    return set(os.listdir(mountpoint)) <= {"lost+found"}
