"""The Linux launcher: tasks in namespaces, each under a supervisor of its own.

The launcher writes what the child will do, as a launch program (launcher/child.py); a supervisor starts
the child, and sees it to its end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from launcher import child, intermediate, namespaces, protocol
from launcher.base import Launcher, LaunchRequest
from launcher.child import Child
from launcher.data import asdict
from launcher.errors import LaunchFailed
from launcher.failure import explain, explain_call
from launcher.kernel import memfd, mounts
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import IdMapping, LaunchInfo, Mount
from launcher.process_attributes import Clamped
from launcher.program.assembler import TooLarge
from launcher.program.messages import PACKET, REPORT
from launcher.stdio import Inherit, Pipes, Stdio, to_json
from launcher.task import Outcome, Task
from launcher.validate import validate

_NULL = os.makedev(1, 3)  # Documentation/admin-guide/devices.txt


class LinuxLauncher(Launcher):
    """Launches tasks in namespaces. Needs root."""

    supervisor = "supervisor"

    def launch(self, request: LaunchRequest) -> Task:
        validate(request.info)
        with contextlib.ExitStack() as opened:
            descriptors = _Opened(opened)
            message, outcome = _prepare(request, descriptors)
            return self._start(message, descriptors.all, outcome)

    def _has_one_thread(self) -> bool:
        return len(os.listdir("/proc/self/task")) == 1


class LinuxOutcome(Outcome):
    """What the packets of a launch program mean."""

    def __init__(self, written: Child) -> None:
        self._written = written
        self._reported: list[Clamped] = []

    def told(self, packet: bytes) -> None:
        kind, number = PACKET.unpack(packet)
        if kind == REPORT:
            self._reported.append(self._written.reports[number])
            return
        stage, call, on = self._written.program.origin(kind)
        if isinstance(on, Mount):
            on = _explained_mount(on)
        raise explain_call(stage, call, on, number)

    @property
    def clamped(self) -> tuple[Clamped, ...]:
        return (*self._written.granted, *self._reported)


class _Opened:
    """The descriptors of a launch, in the order in which its supervisor expects them."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack
        self.all: list[int] = []

    def open(self, path: str, flags: int) -> int:
        return self.own(os.open(path, flags | os.O_CLOEXEC))

    def own(self, descriptor: int) -> int:
        """Close it once the launch is on its way."""
        self.stack.callback(os.close, descriptor)
        return descriptor


def _prepare(request: LaunchRequest, opened: _Opened) -> tuple[protocol.Launch, Outcome]:
    """Everything that the supervisor needs, in `opened` too. Raises LaunchFailed."""
    info = request.info
    written, user_namespace = _write(request, opened)
    maps = (info.uid_map, info.gid_map) if user_namespace >= 0 else ()
    message = protocol.Launch(
        container_id=request.container_id,
        exit_status_path=request.exit_status_path,
        stdio=to_json(request.stdio),
        service=asdict(request.service) if request.service else None,
        reaper=tuple(request.reaper),
        flags=sum(CLONE_FLAGS[kind] for kind in namespaces.made(info) if kind != "cgroup"),
        cgroup_v2=info.cgroup_v2,
        intermediate=intermediate.is_needed(info),
        maps=tuple(_plain(mapping or ()) for mapping in maps),
        user_namespace=user_namespace,
    )
    return message, LinuxOutcome(written)


def _write(request: LaunchRequest, opened: _Opened) -> tuple[Child, int]:
    """The launch program, and the child's descriptor of a new user namespace, or -1."""
    written = Child(request.info, request.stdio)
    try:
        written.look_into_root(opened.stack)
        user_namespace = _write_program(written, opened)
        program = opened.own(memfd.create("program"))
        os.write(program, written.program.assemble())
        os.lseek(program, 0, os.SEEK_SET)
        stdio = _stdio(request.stdio, request.info, opened)
    except OSError as error:
        raise explain(protocol.Failed.from_error(written.program.stage, error)) from error
    except TooLarge as error:
        raise LaunchFailed(f"cannot prepare the child: too much is asked of it: {error}") from error
    opened.all = [program, *stdio, *written.program.passed]
    return written, user_namespace


def _write_program(written: Child, opened: _Opened) -> int:
    user_namespace = -1
    if not intermediate.is_needed(written.info):
        child.write_steps(written, child.STEPS)
        return user_namespace
    entered = {}
    written.program.stage = "open the namespaces"
    for kind, path in namespaces.joined(written.info).items():
        entered[kind] = written.program.pass_descriptor(opened.open(path, os.O_RDONLY))
    if "user" in namespaces.made(written.info):
        # The supervisor makes it, and puts it in the place of this one.
        placeholder = opened.open(os.devnull, os.O_RDONLY)
        user_namespace = entered["user"] = written.program.pass_descriptor(placeholder)
    intermediate.write_steps(intermediate.Intermediate(written, entered))
    child.write_steps(written, child.STEPS_AFTER_INTERMEDIATE)
    return user_namespace


def _stdio(stdio: Stdio, info: LaunchInfo, opened: _Opened) -> Sequence[int]:
    """What is to be the task's stdin, stdout and stderr, as far as it comes from here."""
    contained = info.rootfs is not None or "mnt" in namespaces.joined(info)
    if isinstance(stdio, Inherit):
        if not contained:
            return stdio.descriptors
        return [_contained_null(opened) if _is_null(fd) else fd for fd in stdio.descriptors]
    if isinstance(stdio, Pipes):
        return [_contained_null(opened) if contained else opened.open(os.devnull, os.O_RDWR)]
    return []


def _is_null(descriptor: int) -> bool:
    return os.fstat(descriptor).st_rdev == _NULL


def _contained_null(opened: _Opened) -> int:
    """/dev/null by way of a mount that is read-only: root in the container must not change its mode."""
    tree = mounts.clone_tree(os.devnull, ("ro",))
    try:
        return opened.open(f"/proc/self/fd/{tree}", os.O_RDWR)
    finally:
        os.close(tree)


def _plain(mapping: Sequence[IdMapping]) -> tuple[tuple[int, int, int], ...]:
    return tuple((part.inside, part.outside, part.count) for part in mapping)


def _explained_mount(mount: Mount) -> str:
    """What the kernel has to say of a filesystem that the child could not make: asked for it again."""
    try:
        os.close(mounts.new_filesystem(mount.fstype, mount.source, mount.flags, mount.options))
    except OSError as error:
        return str(error.filename)
    return mount.fstype
