"""Hooks: programs of others that run at points of a container's life, as OCI's runtimes run them.

    prestart, createRuntime   on the host,         when all is mounted, before the root is changed
    createContainer           in the container's namespaces, then
    startContainer            in the container's namespaces, by a path of the container, before the task
    poststart                 on the host,         when the task runs
    poststop                  on the host,         when all of the container is gone

Each has the container's state on its input. The launcher runs them while the child waits; one that fails or
takes too long ends the launch. In the container's namespaces means in its user namespace too: with
privileges over what is the container's only. A program of the container is the image's, and trusted no more
than the task: it has the task's cgroups, credentials and seccomp filter, and no more. https://github.com/opencontainers/runtime-spec/blob/main/config.md
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher import protocol
from launcher.data import Data
from launcher.errors import LaunchFailed
from launcher.kernel import memfd

if TYPE_CHECKING:
    from launcher.base import LaunchRequest
    from launcher.launch_info import Hook, LaunchInfo
    from launcher.user import User

POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
CREATE, START, RUNNING, STOPPED = POINTS[:3], POINTS[3:4], POINTS[4:5], POINTS[5:]

OCI_VERSION = "1.0.2"
CONFIG = "config.json"  # in the bundle
_STATUS = dict.fromkeys(CREATE, "creating") | {
    "startContainer": "created",
    "poststart": "running",
    "poststop": "stopped",
}
_IN_CONTAINER = ("createContainer", "startContainer")
_LARGEST = 1 << 16  # bytes that are kept of what one writes
_TOLD = 400  # characters of that in an error


class Inside(Data, kw_only=True):
    """The container that a hook runs in."""

    pid: int  # a process in its namespaces
    info: LaunchInfo
    user: User  # the task's


class HookFailed(LaunchFailed):
    """A hook has failed; the message names it and has what it said."""


def waited_for(number: int) -> Sequence[str]:
    """The points at which the child waits when it tells this number: launcher.program.messages."""
    return next(points for points in (CREATE, START) if POINTS[number] in points)


def run(request: LaunchRequest, points: Sequence[str], pid: int, user: User) -> None:
    """Run the hooks for these points, in their order; `user`: the task's. Raises HookFailed."""
    if request.info.gid_map and request.info.bundle:
        _show_to_root_inside(request.info)
    for point in points:
        state = state_of(request.container_id, request.info.bundle or "", point, pid)
        for hook in request.info.hooks:
            if hook.point == point:
                inside = Inside(pid=pid, info=request.info, user=user) if point in _IN_CONTAINER else None
                run_one(hook, state, inside)


def _show_to_root_inside(info: LaunchInfo) -> None:
    """To its group, for reading: who owned it, or its directory, could put something else in its place."""
    group = next(each.outside for each in info.gid_map or () if each.inside == 0)
    os.chown(f"{info.bundle}/{CONFIG}", -1, group, follow_symlinks=False)


def state_of(container_id: str, bundle: str, point: str, pid: int = 0) -> str:
    """The container's state at this point, as JSON."""
    known = {"ociVersion": OCI_VERSION, "id": container_id, "status": _STATUS[point], "bundle": bundle}
    return json.dumps({**known, **({"pid": pid} if pid else {}), "annotations": {}})


def run_one(hook: Hook, state: str, inside: Inside | None = None) -> None:
    """Run it to its end, `inside` a container or on the host. Raises HookFailed."""
    files = [
        memfd.holding("hook", state.encode()),
        memfd.with_room("hook", _LARGEST),
        memfd.with_room("hook", _LARGEST),
    ]
    try:
        try:
            pid = _start(hook, files) if inside is None else _start_inside(hook, files, inside)
        except OSError as error:
            raise HookFailed(f"cannot execute {_named(hook)}: {str(error.strerror).lower()}") from error
        status = _end(pid, hook.timeout)
        if status is None:
            raise HookFailed(f"{_named(hook)} has not ended in {hook.timeout:g} seconds")
        if status:
            code = os.waitstatus_to_exitcode(status)
            how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
            said = _said(files[2]) or _said(files[1])
            raise HookFailed(f"{_named(hook)} {how}" + (f": {said}" if said else ""))
    finally:
        for descriptor in files:
            os.close(descriptor)


def _named(hook: Hook) -> str:
    return f"the {hook.point} hook {hook.path}"


def _start(hook: Hook, files: Sequence[int]) -> int:
    from launcher.program.start import Command, start

    variables = dict(text.partition("=")[::2] for text in hook.environment)
    command = Command(hook.path, hook.argv or (hook.path,), variables)
    return start(command, dict(enumerate(files)), fresh=True)


def _start_inside(hook: Hook, files: Sequence[int], inside: Inside) -> int:
    """By a machine, which enters the namespaces and leaves a child to us. Raises OSError."""
    from launcher.kernel import process
    from launcher.program import entering, runner
    from launcher.program.messages import CLONED, PACKET, is_failure

    with contextlib.ExitStack() as stack:
        program = entering.program(hook, files, inside, stack)
        ours, theirs = protocol.channel()
        stack.enter_context(ours)
        with theirs:
            machine = runner.start_program(program, theirs)
        started, problem = 0, None
        while packet := ours.recv(PACKET.size):
            kind, number = PACKET.unpack(packet)
            if kind == CLONED:
                started = number
            elif is_failure(kind):
                problem = runner.failure(program, kind, number)
        process.collect(machine)
    if problem is None and not started:
        problem = OSError(errno.ECHILD, "its process was killed", hook.path)
    if problem is not None:
        if started:
            process.collect(started)
        raise problem
    return started


def _end(pid: int, timeout: float | None) -> int | None:
    """The wait status of our child; None if it was killed at the end of its time."""
    from launcher.kernel import process

    pidfd = os.pidfd_open(pid)
    ended = False
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = bool(poll.poll(None if timeout is None else timeout * 1000))
    finally:
        if not ended:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        status = process.collect(pid)
    return (status or 0) if ended else None


def _said(descriptor: int) -> str:
    text = " ".join(memfd.written(descriptor).decode(errors="replace").split())
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}…"
