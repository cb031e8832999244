"""One call of one CNI plug-in: a program that reads its configuration and writes its result.

CNI specification 1.1, section 2.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from isolators import program
from launcher.data import Data
from launcher.errors import ContainerizerError

TIMEOUT = 60.0  # seconds

TRY_AGAIN = 11  # an error's code: what is wrong passes


class PluginFailed(ContainerizerError):
    """A plug-in could not do what it was asked; the message has what it said of it."""

    def __init__(self, message: str, *, hint: str | None = None, code: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code  # of an error of CNI's


class Call(Data, kw_only=True):
    """The parameters that are no configuration."""

    command: str  # "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"
    container_id: str = ""
    netns: str = ""  # path; "": gone
    interface: str = ""
    arguments: str = ""  # "KEY=VALUE;KEY=VALUE"
    directories: tuple[str, ...] = ()  # where plug-ins are


def call(call: Call, config: Mapping[str, Any], timeout: float = TIMEOUT) -> dict[str, Any] | None:
    """Have the plug-in of the configuration do it; its result, None if it has written none.

    Raises PluginFailed.
    """
    name = str(config.get("type", ""))
    path = find(call.directories, name)
    try:
        ran = program.run(path, [path], _environment(call), json.dumps(config).encode(), timeout)
    except OSError as error:
        raise PluginFailed(f"cannot execute CNI plug-in {name}: {error.strerror}: {path}") from error
    output, status = ran.output, ran.status
    if status is None:
        hint = "look at what it waits for; the launch can be tried again"
        raise PluginFailed(f"CNI plug-in {name} has not answered in {timeout:g} seconds", hint=hint)
    try:
        result = json.loads(output) if output.strip() else None
    except (ValueError, RecursionError):
        result = output
    if status:
        raise _failure(name, result, ran.told, status)
    if result is not None and not isinstance(result, dict):
        raise PluginFailed(f"CNI plug-in {name} has answered what is no JSON object: {program.short(output)}")
    return result


def find(directories: Sequence[str], name: str) -> str:
    """The path of a plug-in. Raises PluginFailed."""
    for directory in directories:
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    hint = f"it is looked for in {', '.join(directories) or 'no directory'}"
    raise PluginFailed(f"CNI plug-in {name!r} is not installed", hint=hint)


def _environment(call: Call) -> dict[str, str]:
    parameters = {
        "CNI_COMMAND": call.command,
        "CNI_CONTAINERID": call.container_id,
        "CNI_NETNS": call.netns,
        "CNI_IFNAME": call.interface,
        "CNI_ARGS": call.arguments,
        "CNI_PATH": ":".join(call.directories),
    }
    return program.environment() | {name: value for name, value in parameters.items() if value}


def _failure(name: str, result: Any, told: bytes, status: int) -> PluginFailed:
    if isinstance(result, dict) and isinstance(result.get("msg"), str) and result["msg"]:
        message, code = result["msg"].strip(), result.get("code")
        details = str(result.get("details") or "").strip()
        what = f"{message}: {details}" if details else message
        hint = "this passes: try again" if code == TRY_AGAIN else None
        suffix = f" (code {code})" if isinstance(code, int) else ""
        number = code if isinstance(code, int) else None
        return PluginFailed(
            f"CNI plug-in {name} failed: {program.short(what)}{suffix}", hint=hint, code=number
        )
    how = program.how_it_ended(status)
    said = program.short(told) or (program.short(result) if isinstance(result, bytes) else "")
    return PluginFailed(f"CNI plug-in {name} {how}" + (f": {said}" if said else ""))
