"""The floor of a launch: the system calls of one, made by nobody who would have to think about them.

A launch program is written once, and a machine runs it again and again: clone into the same namespaces,
the same mounts, execve, exit. What a launch takes beyond that is ours: cgroups, records, Python.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack

from benchmarks.launch_setting import Setting
from containerizer import Containerizer
from containerizer.request import ContainerRequest
from launcher.child import STEPS, Child, join_cgroups
from launcher.data import replace
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import LaunchInfo
from launcher.namespaces import made
from launcher.program import runner
from launcher.program.assembler import ALIVE, Label, Slot
from launcher.stdio import Pipes

_SIGCHLD = 17
_AF_UNIX, _SOCK_SEQPACKET = 1, 5
_KINDS = ("clone, execve and exit", "with the mounts and shields of a container")


def measure(setting: Setting, rounds: int) -> dict[str, float]:
    """Median seconds of both floors, in turns."""
    root, state = setting.directories
    with Containerizer(root=root, state=state) as containerizer:
        request = ContainerRequest.of(setting.image, ["true"])
        info = containerizer.plan(request).info
    sandbox = setting.root / "floor"
    info = _elsewhere(info, str(sandbox))
    bare = LaunchInfo(argv=("/bin/true",), namespaces=info.namespaces)
    seconds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for _ in range(rounds):
        for kind, each in zip(_KINDS, (bare, info), strict=True):
            seconds[kind].append(_once(each))
    return {kind: sorted(values)[len(values) // 2] for kind, values in seconds.items()}


def _elsewhere(info: LaunchInfo, sandbox: str) -> LaunchInfo:
    """The same in a directory of the benchmark's own, for no container has been made."""
    planned = os.path.dirname(info.rootfs or "")
    for name in ("upper", "work", "rootfs"):
        os.makedirs(f"{sandbox}/{name}", exist_ok=True)
    moved = [
        replace(
            mount,
            target=mount.target.replace(planned, sandbox),
            options=tuple((key, value.replace(planned, sandbox)) for key, value in mount.options),
        )
        for mount in info.rootfs_mounts
    ]
    own = [
        # No cgroup has been made.
        replace(mount, source=re.sub("/containerizer[^/]*/ct-.*", "", mount.source))
        for mount in info.mounts
        if not mount.source.startswith(planned)
    ]
    return replace(
        info, rootfs=f"{sandbox}/rootfs", rootfs_mounts=tuple(moved), mounts=tuple(own), cgroups_v1=()
    )


def _once(info: LaunchInfo) -> float:
    with ExitStack() as opened:
        child = Child(info, Pipes(), 2)  # nobody is there to listen
        child.look_at_sources(opened)
        child.look_into_root(opened)
        program, parent = child.program, Label()
        ends = program.buffer(bytes(8))  # of the channel that tells whether a supervisor is there
        program.call("socketpair", _AF_UNIX, _SOCK_SEQPACKET, 0, ends)
        program.call("dup3", Slot(ends), ALIVE, 0)
        flags = sum(CLONE_FLAGS[kind] for kind in made(info) if kind != "cgroup")
        program.call("clone", flags | _SIGCHLD, 0, 0, 0, 0, then=parent)
        program.aside(parent, lambda: _wait(child))
        for name, step in STEPS:
            if step is not join_cgroups and name != "take the standard descriptors":
                program.stage = name
                step(child)
        start = time.perf_counter()
        runner.run(program)
        return time.perf_counter() - start


def _wait(child: Child) -> None:
    child.program.call("wait4", -1, 0, 0, 0)
    child.program.call("exit_group", 0)
