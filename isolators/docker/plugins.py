"""Docker's plug-ins: where they are found, and how one is called.

A plug-in serves HTTP at a Unix socket or by TCP; each call is a POST of a JSON object that is answered by
one, whose "Err" says what went wrong (docs/extend/plugin_api.md of docker/cli). In each of some directories,
in their order, NAME.sock is looked for, NAME.spec (an address in a line) and NAME.json (address and TLS),
there or in a directory NAME. A call that gets no answer, since nobody listens or the plug-in has died, is
made again for half a minute, as Docker does: plug-ins have to bear that. One that hangs is given up.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isolators.program import short
from launcher.data import Data
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import files

if TYPE_CHECKING:
    from isolators.docker import plugin_connection

_KINDS = (".sock", ".spec", ".json")  # the first that is there counts
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LARGEST = 64 << 10  # bytes of a file that describes one
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between two tries

RETRIES = 30.0  # seconds, from the first try on


class PluginFailed(ContainerizerError):
    """A plug-in could not do what it was asked; the message has what it said of it."""


class PluginRefused(PluginFailed):
    """It has said so itself: `said`."""

    def __init__(self, message: str, *, hint: str | None = None, said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.said = said


class NoSuchPlugin(InvalidRequest):
    """None is found by that name."""


class NotImplementedByPlugin(PluginFailed):
    """It does not have this call."""


class Endpoint(Data, kw_only=True):
    """Where one listens."""

    name: str
    address: str  # unix:///PATH, tcp://HOST:PORT, http://…, https://…
    tls: Mapping[str, Any] | None = None  # as in the JSON file


def find(name: str, directories: Sequence[str]) -> Endpoint:
    """Raises NoSuchPlugin, and PluginFailed for a file that describes none."""
    if not _NAME.fullmatch(name):
        hint = "plug-ins that Docker keeps itself are not found from outside"
        raise NoSuchPlugin(f"invalid name of a plug-in {name!r}", hint=hint)
    for directory in directories:
        for kind in _KINDS:
            for path in (f"{directory}/{name}{kind}", f"{directory}/{name}/{name}{kind}"):
                endpoint = _described(name, path)
                if endpoint is not None:
                    return endpoint
    there = ", ".join(names(directories)) or "none"
    hint = f"start it; there are {there} in {', '.join(directories)}"
    raise NoSuchPlugin(f"there is no plug-in {name}", hint=hint)


def names(directories: Sequence[str]) -> list[str]:
    """Of all that are described there."""
    return sorted({name for directory in directories for name in _names(directory)})


def _names(directory: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        base, kind = os.path.splitext(entry.name)
        if kind in _KINDS and not entry.is_dir():
            yield base
        elif entry.is_dir() and any(os.path.exists(f"{entry.path}/{entry.name}{each}") for each in _KINDS):
            yield entry.name


def _described(name: str, path: str) -> Endpoint | None:
    """By this file; None if it is not there."""
    try:
        if path.endswith(".sock"):
            return (
                Endpoint(name=name, address=f"unix://{path}")
                if stat.S_ISSOCK(os.stat(path).st_mode)
                else None
            )
        text = files.read(path, _LARGEST).decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise PluginFailed(f"cannot read {path}: {error}") from error
    if path.endswith(".spec"):
        return Endpoint(name=name, address=text.strip())
    try:
        value = json.loads(text)
        return Endpoint(name=name, address=value["Addr"], tls=value.get("TLSConfig"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PluginFailed(f"{path} describes no plug-in: {error!r}", hint="it needs an 'Addr'") from error


class Plugin:
    """One that is called. Threads may share it: it keeps no connection."""

    def __init__(self, endpoint: Endpoint, retries: float = RETRIES) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._retries = retries

    def activate(self, subsystem: str, timeout: float) -> None:
        """The handshake. Raises PluginFailed."""
        answer = self.call("Plugin.Activate", None, timeout)
        implemented = answer.get("Implements")
        if not isinstance(implemented, list) or subsystem not in implemented:
            raise PluginFailed(
                f"plug-in {self.name} is no {subsystem}: it implements {implemented or 'nothing'}"
            )

    def call(self, method: str, body: Mapping[str, Any] | None, timeout: float) -> dict[str, Any]:
        """What it answers, within so many seconds from when it hears of it. Raises PluginFailed."""
        from isolators.docker import plugin_connection  # HTTP, for those who have plug-ins

        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                answer = plugin_connection.post(self._endpoint, method, body, timeout)
            except TimeoutError:
                hint = "look at what it waits for; it can be tried again"
                message = f"plug-in {self.name} has not answered {method} in {timeout:g} seconds"
                raise PluginFailed(message, hint=hint) from None
            except (OSError, plugin_connection.Broken) as error:
                if time.monotonic() + pause > began + self._retries:
                    reason = (getattr(error, "strerror", None) or str(error) or repr(error)).lower()
                    message = f"plug-in {self.name} does not answer {method}: {reason}"
                    hint = f"it is to listen at {self._endpoint.address}; it can be tried again"
                    raise PluginFailed(message, hint=hint) from error
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return self._checked(method, answer)

    def _checked(self, method: str, answer: plugin_connection.Answer) -> dict[str, Any]:
        try:
            value = json.loads(answer.body) if answer.body.strip() else {}
        except (ValueError, RecursionError):
            value = None
        said = value.get("Err") if isinstance(value, dict) else None
        if said:
            message = f"plug-in {self.name} refuses {method}: {short(str(said))}"
            raise PluginRefused(message, said=str(said))
        if answer.status == 404:
            raise NotImplementedByPlugin(f"plug-in {self.name} has no {method}")
        if answer.status != 200 or not isinstance(value, dict):
            what = f"status {answer.status}: {short(answer.body)}"
            raise PluginFailed(f"plug-in {self.name} has answered {method} with {what}")
        return value
