"""Where a task's stdin, stdout and stderr lead: one of three modes, each with its own options.

`Inherit` copies nothing and logs nothing: a slow reader of the output slows the task down, as in a
shell. In the other two a relay stands between: it logs, and serves whoever attaches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from launcher.data import Data, asdict
from launcher.errors import InvalidRequest


class LogLimits(Data, kw_only=True):
    """How much of the output is kept on disk: the newest, in files of about `size` bytes each.

    Or where: a `path` of the host is somebody else's to rotate, who has it opened anew then.
    """

    size: int = 10 * 1024 * 1024
    files: int = 3
    path: str | None = None  # absolute; None: among the container's own files

    def __post_init__(self) -> None:
        if self.size < 1 or self.files < 1:
            hint = "keep at least one file of at least one byte"
            raise InvalidRequest(f"invalid log limits: {self.files} files of {self.size} bytes", hint=hint)


class Inherit(Data):
    """Descriptors of the caller become the task's own; they stay the caller's to close."""

    stdin: int
    stdout: int = 1
    stderr: int = 2

    @property
    def descriptors(self) -> tuple[int, int, int]:
        return self.stdin, self.stdout, self.stderr

    @classmethod
    def without_input(cls) -> Inherit:
        """/dev/null as input, which is then the caller's to close; this process' own output."""
        return cls(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


class Pipes(Data, kw_only=True):
    """A pipe for each. Without `stdin` the task's input is empty."""

    stdin: bool = False
    log: LogLimits = LogLimits()


class Terminal(Data, kw_only=True):
    """A pseudoterminal of the container's own devpts; pty(7). 0: a size that nobody knows yet."""

    rows: int = 0
    columns: int = 0
    log: LogLimits = LogLimits()


Stdio = Inherit | Pipes | Terminal


class Service(Data, kw_only=True):
    """Where pipes or a terminal are served; absolute paths of the host."""

    relays: str  # the directory of the processes that do it: launcher.io.relays
    socket: str  # they listen here: launcher.attach_protocol
    log: str  # the newest log file; the older ones are <log>.1, <log>.2 …: launcher.io.log_file


_MODES: Mapping[str, type[Inherit | Pipes | Terminal]] = {
    "inherit": Inherit,
    "pipes": Pipes,
    "terminal": Terminal,
}


def mode_of(stdio: Stdio) -> str:
    """The mode's name, as records have it."""
    return next(name for name, cls in _MODES.items() if isinstance(stdio, cls))


def to_json(stdio: Stdio) -> dict[str, Any]:
    """A value for json.dumps; `from_json` is its inverse."""
    return {"mode": mode_of(stdio), **asdict(stdio)}


def from_json(value: Mapping[str, Any]) -> Stdio:
    fields = dict(value)
    cls = _MODES[fields.pop("mode")]
    if "log" in fields:
        fields["log"] = LogLimits(**fields["log"])
    return cls(**fields)
