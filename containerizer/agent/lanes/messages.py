"""Messages between the agent and its lanes: packets of JSON on a SOCK_SEQPACKET pair (launcher.protocol).

    agent                                    lane, a process
      |-- Begin ------------------------------->|  once
      |
      |-- Create or Execute ------------------->|
      |<-- Prepared ----------------------------|  if that is `awaited`: all is there, and the task waits
      |-- Proceed or Abandon ------------------>|
      |<-- Launched ----------------------------|  or Refused
      |<-- Reached -----------------------------|  any time later, unasked
      |<-- Ended -------------------------------|  the same
      |
      |-- Remove ------------------------------>|
      |<-- Done --------------------------------|  or Refused
      |
      |-- GiveUp, any time -------------------->|  not answered
      |-- the end of the channel -------------->|  it lets go of what runs, and ends

A lane has one thing to do at a time, and answers it before it is told the next. No descriptors pass: what
tells the end of a task, or a limit, is the lane's own. A lane whose channel ends without that was killed.
"""

from __future__ import annotations

import importlib
import json
import socket
from collections.abc import Sequence
from typing import Any

from containerizer import codec, stages
from containerizer.agent.settings import EngineSettings
from containerizer.nested import ExecRequest
from containerizer.record import ContainerRecord
from containerizer.request import ContainerRequest
from containerizer.termination import Termination
from isolators.resources import Limitation
from launcher import protocol
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import ContainerizerError
from launcher.kernel.libc import SyscallError
from launcher.process_attributes import Clamped


class LaneFailed(ContainerizerError):
    """A lane met something that is no error of ours: a defect, or it was killed."""


class Begin(Data):
    """What to make a Containerizer with."""

    settings: EngineSettings


class Create(Data):
    """Launch a container."""

    request: ContainerRequest
    stdio: dict[str, Any]  # launcher.stdio
    awaited: bool


class Execute(Data):
    """Launch a further command in a container."""

    container_id: ContainerId
    request: ExecRequest
    stdio: dict[str, Any]
    awaited: bool


class Prepared(Data):
    """The task is there and waits."""


class Proceed(Data):
    """Let it run."""


class Abandon(Data):
    """Take the launch back."""


class GiveUp(Data):
    """The launch in progress of this container is not wanted any more."""

    container_id: ContainerId


class Launched(Data):
    """It runs."""

    record: ContainerRecord
    clamped: tuple[Clamped, ...]
    stages: dict[str, Any]  # seconds of each: containerizer.stages


class Remove(Data):
    """Forget a container that has ended, and delete its files; `force`: destroy it first."""

    container_id: ContainerId
    force: bool


class Done(Data):
    """It is removed."""


class Error(Data):
    """An exception: of one of the house's classes, or an OSError."""

    kind: str  # module:class
    message: str
    hint: str | None = None
    errno: int | None = None
    operation: str | None = None
    on: str | None = None
    notes: tuple[str, ...] = ()
    stage: str | None = None  # of the launch that it ended

    @classmethod
    def of(cls, error: BaseException) -> Error:
        kind, notes = f"{type(error).__module__}:{type(error).__qualname__}", tuple(error_notes(error))
        stage = stages.of(error)
        if isinstance(error, ContainerizerError):
            return cls(kind, error.message, error.hint, notes=notes, stage=stage)
        if isinstance(error, OSError) and error.errno is not None:
            on = None if error.filename is None else str(error.filename)
            operation = getattr(error, "operation", None)
            return cls("OSError", error.strerror or "", None, error.errno, operation, on, notes, stage)
        return cls("", f"{type(error).__name__}: {error}", notes=notes, stage=stage)

    def exception(self) -> ContainerizerError | OSError:
        """The same again."""
        error: ContainerizerError | OSError
        if self.errno is not None and self.operation is not None:
            error = SyscallError(self.operation, self.errno, self.on or "")
        elif self.errno is not None:
            error = OSError(self.errno, self.message, self.on)
        elif self.kind:
            module, _, name = self.kind.partition(":")
            kind: type[ContainerizerError] = getattr(importlib.import_module(module), name)
            error = told = kind.__new__(kind)
            ContainerizerError.__init__(told, self.message, hint=self.hint)  # whatever else it takes
        else:
            error = LaneFailed(self.message)
        for note in self.notes:
            error.add_note(note)
        stages.blame(error, self.stage)
        return error


def error_notes(error: BaseException) -> Sequence[str]:
    """What was added to it."""
    return getattr(error, "__notes__", ())


class Refused(Data):
    """It failed, and nothing is left of what was to be launched."""

    error: Error


class Reached(Data):
    """A container that was launched here ran into a limit, and goes on within it."""

    container_id: ContainerId
    limitation: Limitation


class Ended(Data):
    """A container that was launched here has ended. With an error its resources were not all taken back."""

    container_id: ContainerId
    termination: Termination | None = None
    error: Error | None = None


_MESSAGES: tuple[type[Data], ...] = (
    *(Begin, Create, Execute, Prepared, Proceed, Abandon, GiveUp),
    *(Launched, Remove, Done, Refused, Reached, Ended),
)
_KINDS: dict[str, type[Data]] = {kind.__name__: kind for kind in _MESSAGES}


def send(peer: socket.socket, message: Data) -> None:
    """Raises PeerGone."""
    protocol.send_body(peer, json.dumps([type(message).__name__, codec.encode(message)]).encode())


def receive(peer: socket.socket) -> Any:
    """The next message. Raises PeerGone at the end of the channel."""
    body, _ = protocol.receive_unread(peer)
    kind, message = json.loads(body.decode())
    return codec.decode(_KINDS[kind], message)
