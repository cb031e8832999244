"""Streams that a kubelet has asked for and a client comes for later: what each one-time token stands for.

The kubelet's Exec, Attach and PortForward are answered by a URL with a token in it. Whoever comes with the
token first gets the stream; who nobody comes for is forgotten. Opening one of them is sessions.py's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from launcher.data import Data
from launcher.errors import ContainerizerError

_LIFETIME = 60.0  # seconds until a token is worth nothing
_MOST = 1000  # tokens at once
_BYTES = 24  # of a token: nobody guesses it


class TooManyStreams(ContainerizerError):
    """So many were asked for that nobody has come for."""


class ExecStream(Data, kw_only=True):
    """A command in a container. At least one of the three is True; with `tty` there is no stderr."""

    container_id: str  # of the CRI: sessions.open_exec takes it
    argv: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


class AttachStream(Data, kw_only=True):
    """The container's own task."""

    container_id: str
    tty: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


class PortForwardStream(Data, kw_only=True):
    """Connections into a pod's network; `ports`: those that were named, () for any."""

    pod_id: str
    ports: tuple[int, ...] = ()


Asked = ExecStream | AttachStream | PortForwardStream

# The first part of the path of a URL; what follows is the token.
KINDS: dict[type[Asked], str] = {
    ExecStream: "exec",
    AttachStream: "attach",
    PortForwardStream: "portforward",
}


class Tokens:
    """What was asked for, until somebody comes. Belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.base_url = ""  # "http://127.0.0.1:43210", by the server once it listens; "": there is none
        self._clock = clock
        self._asked: dict[str, tuple[float, Asked]] = {}  # the oldest first

    def url(self, asked: Asked) -> str:
        """Where the client finds it. Raises TooManyStreams, or if nobody serves streams."""
        if not self.base_url:
            raise ContainerizerError("no streams are served here")
        return f"{self.base_url}/{KINDS[type(asked)]}/{self.issue(asked)}"

    def issue(self, asked: Asked) -> str:
        """A token for it. Raises TooManyStreams."""
        self._forget_old()
        if len(self._asked) >= _MOST:
            raise TooManyStreams(f"{_MOST} streams wait for their clients", hint="try again in a minute")
        token = secrets.token_urlsafe(_BYTES)
        self._asked[token] = self._clock() + _LIFETIME, asked
        return token

    def take(self, token: str) -> Asked | None:
        """Once; None for one that was never issued, was taken, or is too old."""
        self._forget_old()
        _, asked = self._asked.pop(token, (0.0, None))
        return asked

    def _forget_old(self) -> None:
        now = self._clock()
        for token, (end, _) in list(self._asked.items()):
            if end > now:
                return
            del self._asked[token]
