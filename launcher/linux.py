"""The Linux launcher: tasks in namespaces, each under a supervisor of its own.

The launcher writes what supervisor and child will do, as a launch program (launcher/supervisor.py,
launcher/child.py), and opens what they need for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher import child, intermediate, namespaces, protocol, supervisor, task_ends, user_namespaces
from launcher.base import Launcher, LaunchRequest
from launcher.child import Child
from launcher.data import Data, asdict
from launcher.errors import LaunchFailed
from launcher.failure import explain
from launcher.kernel import cgroups
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import IdMapping
from launcher.linux_task import LinuxTask, Written
from launcher.program import runner
from launcher.program.assembler import Program, TooLarge
from launcher.stdio import Terminal, to_json
from launcher.task import Task
from launcher.task_ends import Ends, Opened
from launcher.template import Template, Templates, is_settled
from launcher.validate import validate

if TYPE_CHECKING:
    from launcher.forkserver_client import ForkServer
    from launcher.io.relays import Relays, Request
    from launcher.user import User


class LinuxLauncher(Launcher):
    """Launches tasks in namespaces. Needs root."""

    supervisor = "machine_supervisor"

    def __init__(self, *, in_process: bool = False, tasks_a_relay: int | None = None) -> None:
        super().__init__(in_process=in_process)
        self._tasks_a_relay = tasks_a_relay  # at most; None: launcher.io.relays has a number
        self._valid: LaunchRequest | None = None
        self._null = task_ends.NullDevice()
        self._relays: dict[str, Relays] = {}  # by their directories
        self._templates = Templates()  # who launches once needs none

    def launch(self, request: LaunchRequest) -> Task:
        self._validate(request)
        with contextlib.ExitStack() as relayed:
            with contextlib.ExitStack() as stack:
                opened = Opened(stack)
                try:
                    ends = task_ends.make(request.stdio, request.info, opened, Opened(relayed), self._null)
                    served = self._serve(request, ends)
                except OSError as error:
                    raise explain(protocol.Failed.from_error("serve the task's stdio", error)) from error
                task = self._launch(request, ends, opened)
            if served is not None:
                # With our ends of what is the supervisor's closed: its end tells the relay, too.
                try:
                    served.await_answer()
                except BaseException:
                    task.destroy()
                    raise
        return task

    def _validate(self, request: LaunchRequest) -> None:
        """Raises InvalidRequest. What is like the last one is as valid."""
        if request.like is None or request.like is not self._valid:
            validate(request.info)
            self._valid = request.like

    def _make_server(self) -> ForkServer:
        if self.supervisor == LinuxLauncher.supervisor:
            from launcher.machine_server import MachineServer  # what `run` spares

            with contextlib.suppress(OSError):  # then it starts engines: doctor says why
                return MachineServer()
        return super()._make_server()

    def close(self) -> None:
        super().close()
        self._null.close()
        for relays in self._relays.values():
            relays.close()
        self._relays.clear()

    def _serve(self, request: LaunchRequest, ends: Ends) -> Request | None:
        """Have a relay do it, if the task's stdio is to be served; it may take its time. Raises OSError."""
        if request.service is None:
            return None
        from launcher.io.relays import CAPACITY, Relays  # which `run` in the foreground need not load

        directory = request.service.relays
        with self._lock:
            if directory not in self._relays:
                self._relays[directory] = Relays(directory, self._tasks_a_relay or CAPACITY)
                self._relays[directory].revive()
            relays = self._relays[directory]
        serve = protocol.Serve(to_json(request.stdio), asdict(request.service), request.exit_status_path)
        return relays.serve(serve, ends.relayed)

    def _launch(self, request: LaunchRequest, ends: Ends, opened: Opened) -> Task:
        own_end, child_end = protocol.channel()
        try:
            with child_end:
                written, passed, memory = _write(request, ends, opened, child_end.fileno(), self._templates)
                channel, supervisor = self._start_supervisor(request, [*ends.stdio, *passed], memory)
            return LinuxTask(channel, own_end, supervisor, written, request)
        except protocol.PeerGone:
            raise LaunchFailed("cannot clone the child: the supervisor was killed") from None
        except BaseException:
            own_end.close()
            raise

    def _start_supervisor(
        self, request: LaunchRequest, passed: Sequence[int], memory: int
    ) -> tuple[socket.socket, int | None]:
        """The channel to it, and its pid if it is our child."""
        channel, theirs = protocol.channel()
        try:
            with theirs:
                protocol.post(channel, b"\0", *passed)
                return channel, self._start(theirs, protocol.Start(request.container_id), [memory])
        except BaseException:
            channel.close()
            raise


class _Output(Data):
    """A launch program, ready for the machine."""

    program: Program  # which tells what an address in it stands for
    passed: Sequence[int]  # our descriptors that go to the child
    assembled: bytes
    user: User  # the task's
    renamed: tuple[str, str] | None = None  # in what the program tells


def _write(
    request: LaunchRequest, ends: Ends, opened: Opened, channel: int, templates: Templates
) -> tuple[Written, Sequence[int], int]:
    """The launch program, what it passes, and itself as a descriptor. Raises LaunchFailed.

    `channel`: to the child, its end.
    """
    written = Child(request.info, request.stdio, channel, ends.link)
    try:
        written.look_at_sources(opened.stack, plain=templates.is_plain(request.like))
        output = _write_program(written, request, ends, opened, templates)
        written.program.stage = "write the launch program"
        memory = opened.own(runner.into_memory(output.assembled))
    except OSError as error:
        raise explain(protocol.Failed.from_error(written.program.stage, error)) from error
    except TooLarge as error:
        raise LaunchFailed(f"cannot prepare the child: too much is asked of it: {error}") from error
    return (
        Written(output.program, written.granted, written.reports, output.user, output.renamed),
        output.passed,
        memory,
    )


def _write_program(
    written: Child, request: LaunchRequest, ends: Ends, opened: Opened, templates: Templates
) -> _Output:
    descriptors = _pass(written, ends, opened)
    like = templates.key(written, request, ends)
    if like is not None:
        template = templates.find(like, written, opened.stack)
        if template is not None:
            return _follow(template, written, request.container_id)
    if written.view.root < 0:
        written.look_into_root(opened.stack)
    written.resolve_user()
    if like is not None:
        templates.keep(like, _make_template(written, request, descriptors))
    written.begin()
    _write_steps(written, request, descriptors, opened)
    assembled = written.program.assemble()
    return _Output(written.program, written.program.passed, assembled, written.user)


class _Descriptors(Data):
    """The child's, of what the supervisor takes."""

    link: int
    cgroup: int
    kept: Sequence[int]
    secrets: int


def _pass(written: Child, ends: Ends, opened: Opened) -> _Descriptors:
    program, cgroup = written.program, -1
    if written.info.cgroup_v2 is not None:
        program.stage = "open the cgroup"
        home = cgroups.home(written.info.cgroup_v2)
        cgroup = program.pass_descriptor(opened.open(home, os.O_PATH | os.O_DIRECTORY))
    kept = tuple(map(program.pass_descriptor, ends.kept))
    return _Descriptors(written.link, cgroup, kept, _pass_secrets(written, opened))


def _pass_secrets(written: Child, opened: Opened) -> int:
    """After all else that the supervisor keeps, so that theirs is no place which it fills before."""
    if not written.info.secret_environment:
        return -1
    from launcher import secret_file  # for those who have some

    written.program.stage = "keep the secrets"
    return written.program.pass_descriptor(opened.own(secret_file.make(written.info.secret_environment)))


def _write_steps(written: Child, request: LaunchRequest, descriptors: _Descriptors, opened: Opened) -> None:
    _write_supervisor(written, request, descriptors)
    if not intermediate.is_needed(written.info):
        child.write_steps(written, child.STEPS)
        return
    intermediate.write_steps(intermediate.Intermediate(written, _enter(written, opened)))
    child.write_steps(written, child.STEPS_AFTER_INTERMEDIATE)


def _write_supervisor(written: Child, request: LaunchRequest, descriptors: _Descriptors) -> None:
    info = written.info
    supervised = supervisor.Supervised(
        container_id=request.container_id,
        exit_status_path=request.exit_status_path,
        reaper=request.reaper,
        caretaker=request.caretaker,
        flags=sum(CLONE_FLAGS[kind] for kind in namespaces.made(info) if kind != "cgroup"),
        intermediate=intermediate.is_needed(info),
        leaves_orphans="pid" not in info.namespaces,
        terminal=isinstance(written.stdio, Terminal),
        **asdict(descriptors),
    )
    supervisor.write(written.program, supervised)


def _make_template(written: Child, request: LaunchRequest, descriptors: _Descriptors) -> Template:
    """By what the container finds on the host: of the placeholder nothing is there."""
    like = request.like
    assert like is not None
    pattern = written.with_other(like.info)
    pattern.makes_root = is_settled(like.info)
    pattern.begin()
    _write_supervisor(pattern, like, descriptors)
    child.write_steps(pattern, child.STEPS)
    pattern.program.assemble()
    found = dict(written.view.found)
    return Template(pattern.program, like, written.user, found, pattern.makes_root)


def _follow(template: Template, written: Child, name: str) -> _Output:
    """By a template."""
    passed = [*written.program.passed, *written.view.trees]
    placeholder = template.like.container_id
    assembled = template.program.assemble((placeholder.encode(), name.encode()))
    return _Output(template.program, passed, assembled, template.user, (placeholder, name))


def _enter(written: Child, opened: Opened) -> dict[str, int]:
    """The child's descriptors of the namespaces that it enters, by kind; a new user's too."""
    program, info = written.program, written.info
    program.stage = "open the namespaces"
    entered = {
        kind: program.pass_descriptor(opened.open(path, os.O_RDONLY))
        for kind, path in namespaces.joined(info).items()
    }
    if "user" in namespaces.made(info):
        program.stage = "make the user namespace"
        maps = (_plain(mapping or ()) for mapping in (info.uid_map, info.gid_map))
        entered["user"] = program.pass_descriptor(opened.own(user_namespaces.create(*maps)))
    return entered


def _plain(mapping: Sequence[IdMapping]) -> tuple[tuple[int, int, int], ...]:
    return tuple((part.inside, part.outside, part.count) for part in mapping)
