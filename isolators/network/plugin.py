"""One call of one CNI plug-in: a program that reads its configuration and writes its result.

CNI specification 1.1, section 2. Its input and outputs are files in memory of a fixed size: a plug-in that
writes without end gets an error, what it has left running holds nobody up, and one that hangs is killed
with all in its session.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.data import Data
from launcher.errors import ContainerizerError
from launcher.kernel import memfd, process

TIMEOUT = 60.0  # seconds

_LARGEST = 1 << 20  # bytes of a result, and of what a plug-in says besides
_TOLD = 400  # characters of what it says that is no error of CNI's
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "KUBECONFIG")

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
    program = find(call.directories, name)
    output, told, status = _run(program, name, _environment(call), json.dumps(config).encode(), timeout)
    if status is None:
        hint = "look at what it waits for; the launch can be tried again"
        raise PluginFailed(f"CNI plug-in {name} has not answered in {timeout:g} seconds", hint=hint)
    try:
        result = json.loads(output) if output.strip() else None
    except (ValueError, RecursionError):
        result = output
    if status:
        raise _failure(name, result, told, status)
    if result is not None and not isinstance(result, dict):
        raise PluginFailed(f"CNI plug-in {name} has answered what is no JSON object: {_short(output)}")
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
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    parameters = {
        "CNI_COMMAND": call.command,
        "CNI_CONTAINERID": call.container_id,
        "CNI_NETNS": call.netns,
        "CNI_IFNAME": call.interface,
        "CNI_ARGS": call.arguments,
        "CNI_PATH": ":".join(call.directories),
    }
    return environment | {name: value for name, value in parameters.items() if value}


def _run(
    program: str, name: str, environment: Mapping[str, str], config: bytes, timeout: float
) -> tuple[bytes, bytes, int | None]:
    """What it writes, what it says, and its wait status; None if it was killed at the end of its time."""
    own = [
        memfd.holding("cni-config", config),
        memfd.with_room("cni-result", _LARGEST),
        memfd.with_room("cni-messages", _LARGEST),
    ]
    try:
        above = max(*own, 2) + 1
        away = [(os.POSIX_SPAWN_DUP2, each, above + place) for place, each in enumerate(own)]
        home = [(os.POSIX_SPAWN_DUP2, above + place, place) for place in range(3)]
        closed = [(os.POSIX_SPAWN_CLOSE, above + place) for place in range(3)]
        pid = os.posix_spawn(
            program,
            [program],
            environment,
            file_actions=[*away, *home, *closed],
            setsid=True,
            setsigmask=(),
            setsigdef=[int(number) for number in signal.valid_signals()],
        )
        status = _end(pid, timeout)
        return memfd.written(own[1]), memfd.written(own[2]), status
    except OSError as error:
        raise PluginFailed(f"cannot execute CNI plug-in {name}: {error.strerror}: {program}") from error
    finally:
        for each in own:
            os.close(each)


def _end(pid: int, timeout: float) -> int | None:
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = bool(poll.poll(timeout * 1000))
        if not ended:
            os.killpg(pid, signal.SIGKILL)
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        raise
    finally:
        os.close(pidfd)
        status = process.collect(pid)
    return status or 0 if ended else None


def _failure(name: str, result: Any, told: bytes, status: int) -> PluginFailed:
    if isinstance(result, dict) and isinstance(result.get("msg"), str) and result["msg"]:
        message, code = result["msg"].strip(), result.get("code")
        details = str(result.get("details") or "").strip()
        what = f"{message}: {details}" if details else message
        hint = "this passes: try again" if code == TRY_AGAIN else None
        suffix = f" (code {code})" if isinstance(code, int) else ""
        number = code if isinstance(code, int) else None
        return PluginFailed(f"CNI plug-in {name} failed: {_short(what)}{suffix}", hint=hint, code=number)
    how = f"was killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else ""
    how = how or f"failed with exit code {os.waitstatus_to_exitcode(status)}"
    said = _short(told) or (_short(result) if isinstance(result, bytes) else "")
    return PluginFailed(f"CNI plug-in {name} {how}" + (f": {said}" if said else ""))


def _short(text: bytes | str) -> str:
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    text = " ".join(text.split())
    return text if len(text) <= _TOLD else f"{text[: _TOLD // 2]} … {text[-_TOLD // 2 :]}"
