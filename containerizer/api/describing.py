"""Descriptions: what the containerizer knows of a container, in the words of the API."""

from __future__ import annotations

from typing import TypeVar

from containerizer.api.ids import to_message
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto import process_io_pb2 as process_io
from containerizer.api.proto import tasks_pb2 as tasks
from containerizer.api.proto import values_pb2 as values
from containerizer.lifecycle import State
from containerizer.liveness import is_running, state_of
from containerizer.reached import Noted
from containerizer.record import ContainerRecord
from containerizer.termination import Termination
from launcher import attach_protocol
from launcher.attach import Output, Skipped
from launcher.exit_status import ExitStatus

MEBIBYTE = 1 << 20
NANOSECONDS = 1_000_000_000

Waited = TypeVar("Waited", agent.Response.WaitContainer, agent.Response.WaitNestedContainer)

_REASONS = {
    "memory": tasks.TaskStatus.REASON_CONTAINER_LIMITATION_MEMORY,
    "disk": tasks.TaskStatus.REASON_CONTAINER_LIMITATION_DISK,
}

_IN_MEBIBYTES = ("memory", "disk")  # as requests have them

_STREAMS = {attach_protocol.STDOUT: process_io.ProcessIO.Data.STDOUT}
_STREAMS[attach_protocol.STDERR] = process_io.ProcessIO.Data.STDERR


def wait_status(status: ExitStatus) -> int:
    """The status word that wait(2) fills in: the inverse of ExitStatus.from_wait."""
    return status.signal if status.signal is not None else (status.code or 0) << 8


def waited(kind: type[Waited], termination: Termination) -> Waited:
    """State, reason and message are those of a limit that ended the container."""
    answer = kind(exit_status=wait_status(termination.exit_status))
    limitation = termination.limitation
    if limitation is not None:
        answer.state = tasks.TASK_FAILED
        answer.reason = _REASONS.get(limitation.resource, tasks.TaskStatus.REASON_CONTAINER_LIMITATION)
        answer.message = termination.message
        name = {"memory": "mem"}.get(limitation.resource, limitation.resource)
        limited = answer.limitation.resources.add(name=name, type=values.Value.SCALAR)
        if limitation.limit is not None:
            unit = MEBIBYTE if limitation.resource in _IN_MEBIBYTES else 1
            limited.scalar.value = limitation.limit / unit
    return answer


def summary(record: ContainerRecord, *, paused: bool = False) -> extensions.ContainerSummary:
    """All that a list shows."""
    running = is_running(record)
    told = extensions.ContainerSummary(
        container_id=to_message(record.id),
        image=record.image,
        command=record.command,
        state=state_of(record).value,
        running=running,
        paused=paused,
        lost=not running and record.state != State.TERMINATED.value,
        stdio=record.stdio,
    )
    if record.pid is not None:
        told.pid = record.pid
    for name in ("created_at", "started_at", "finished_at"):
        seconds = getattr(record, name)
        if seconds:
            getattr(told, name).nanoseconds = nanoseconds(seconds)
    if record.ended is not None:
        told.termination.CopyFrom(ended(record.ended))
    return told


def limit_reached(noted: Noted) -> extensions.LimitReached:
    """A limit that a container goes on within."""
    limitation = noted.limitation
    told = extensions.LimitReached(
        isolator=limitation.isolator,
        resource=limitation.resource,
        message=limitation.message,
        time=moment(noted.time),
    )
    for name in ("limit", "usage"):
        if (amount := getattr(limitation, name)) is not None:
            setattr(told, name, amount)
    return told


def ended(termination: Termination) -> extensions.ContainerSummary.Termination:
    told = extensions.ContainerSummary.Termination(message=termination.message)
    status = termination.exit_status
    if status.signal is not None:
        told.signal = status.signal
    else:
        told.code = status.code or 0
    if termination.limitation is not None:
        told.limitation = termination.limitation.resource
    return told


def output(event: Output | Skipped) -> process_io.ProcessIO:
    """What a task wrote, as a record of the stream."""
    if isinstance(event, Skipped):
        control = process_io.ProcessIO.Control(type=process_io.ProcessIO.Control.SKIPPED, skipped=event.count)
        return process_io.ProcessIO(type=process_io.ProcessIO.CONTROL, control=control)
    data = process_io.ProcessIO.Data(type=_STREAMS[event.stream], data=event.data)
    return process_io.ProcessIO(type=process_io.ProcessIO.DATA, data=data)


def heartbeat(interval: float) -> process_io.ProcessIO:
    """`interval`: seconds until the next one."""
    beat = process_io.ProcessIO.Control.Heartbeat(interval=duration(interval))
    control = process_io.ProcessIO.Control(type=process_io.ProcessIO.Control.HEARTBEAT, heartbeat=beat)
    return process_io.ProcessIO(type=process_io.ProcessIO.CONTROL, control=control)


def nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def duration(seconds: float) -> values.DurationInfo:
    return values.DurationInfo(nanoseconds=nanoseconds(seconds))


def moment(seconds: float) -> values.TimeInfo:
    """`seconds` since the epoch."""
    return values.TimeInfo(nanoseconds=nanoseconds(seconds))
