"""Changes to an image's configuration, written as a Dockerfile writes them; its reference, "Format".

A value in brackets is a JSON list; any other is one string for a shell (CMD, ENTRYPOINT), or words.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from launcher.errors import InvalidRequest

Config = dict[str, Any]  # "config" of the OCI image configuration

_PORT = re.compile(r"[0-9]{1,5}(/(tcp|udp|sctp))?")
_SHELL = ("/bin/sh", "-c")


def apply(config: Mapping[str, Any], instructions: Iterable[str]) -> Config:
    """A new configuration with these changes. Raises InvalidRequest, which names the instruction."""
    changed: Config = dict(config)
    parsed = [_parse(text) for text in instructions]
    keywords = {keyword for keyword, _, _ in parsed}
    for keyword, value, text in parsed:
        try:
            _INSTRUCTIONS[keyword](changed, value)
        except ValueError as error:
            raise InvalidRequest(f"invalid change {text!r}: {error}") from error
    # As Docker does: the old command was written for the old entry point.
    if "ENTRYPOINT" in keywords and "CMD" not in keywords:
        changed.pop("Cmd", None)
    return changed


def _parse(text: str) -> tuple[str, str, str]:
    keyword, _, value = text.strip().partition(" ")
    if keyword.upper() not in _INSTRUCTIONS or not value.strip():
        known = ", ".join(sorted(_INSTRUCTIONS))
        raise InvalidRequest(f"invalid change {text!r}", hint=f"write INSTRUCTION VALUE, with one of {known}")
    return keyword.upper(), value.strip(), text


def _command(key: str) -> Callable[[Config, str], None]:
    def change(config: Config, value: str) -> None:
        config[key] = _list(value) if value.startswith("[") else [*_SHELL, value]

    return change


def _env(config: Config, value: str) -> None:
    """A variable of the image that is there stays in its place."""
    variables = dict(item.partition("=")[::2] for item in config.get("Env") or [])
    variables |= _pairs(value)
    config["Env"] = [f"{name}={content}" for name, content in variables.items()]


def _label(config: Config, value: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **_pairs(value)}


def _workdir(config: Config, value: str) -> None:
    config["WorkingDir"] = posixpath.normpath(posixpath.join("/", config.get("WorkingDir") or "", value))


def _set(key: str) -> Callable[[Config, str], None]:
    def change(config: Config, value: str) -> None:
        if len(value.split()) != 1:
            raise ValueError("one word is expected")
        config[key] = value

    return change


def _expose(config: Config, value: str) -> None:
    ports = value.split()
    for port in ports:
        if not _PORT.fullmatch(port) or int(port.partition("/")[0]) > 65535:
            raise ValueError(f"{port!r} is no port; write PORT[/tcp|/udp|/sctp]")
    exposed: dict[str, Any] = {port if "/" in port else f"{port}/tcp": {} for port in ports}
    config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **exposed}


def _volume(config: Config, value: str) -> None:
    paths = _list(value) if value.startswith("[") else shlex.split(value)
    if not all(path.startswith("/") for path in paths):
        raise ValueError("a volume's path is absolute")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


_INSTRUCTIONS: Mapping[str, Callable[[Config, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _set("StopSignal"),
    "USER": _set("User"),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _list(value: str) -> list[str]:
    items = json.loads(value)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("a JSON list of strings is expected")
    return items


def _pairs(value: str) -> dict[str, str]:
    """NAME=VALUE …, or the old form NAME VALUE."""
    if "=" not in value.split()[0]:
        name, _, content = value.partition(" ")
        if not content:
            raise ValueError("write NAME=VALUE")
        return {name: content.strip()}
    words = shlex.split(value)
    if not all("=" in word and not word.startswith("=") for word in words):
        raise ValueError("write NAME=VALUE")
    return {name: content for name, _, content in (word.partition("=") for word in words)}
