"""The floor of a launch: the system calls of one, made by nobody who would have to think about them.

A launch program is written once, and a machine runs it again and again: clone into the same namespaces,
the same mounts, cgroups made and removed, execve, exit. What a launch takes beyond that is ours: records,
Python.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks.launch_setting import Setting
from containerizer import Containerizer
from containerizer.request import ContainerRequest
from launcher.child import STEPS, Child
from launcher.data import replace
from launcher.kernel import cgroups
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import LaunchInfo
from launcher.namespaces import made
from launcher.program import runner
from launcher.program.assembler import ALIVE, Label, Slot
from launcher.program.files import write_file
from launcher.stdio import Pipes

_SIGCHLD = 17
_LIMITS = (
    ("cpu.cfs_quota_us", b"50000"),
    ("memory.limit_in_bytes", b"67108864"),
    ("memory.memsw.limit_in_bytes", b"67108864"),
    ("pids.max", b"20"),
)
_AF_UNIX, _SOCK_SEQPACKET = 1, 5
_AT_FDCWD, _AT_REMOVEDIR = -100, 0x200
_OWN_CGROUP = "/containerizer[^/]*/ct-.*"
_CPUSET = ("cpuset.cpus", "cpuset.mems")  # in a new one nobody may run
_KINDS = (
    "clone, execve and exit",
    "with the mounts and shields of a container",
    "with its cgroups as well, made, limited, joined and removed",
)


def measure(setting: Setting, rounds: int) -> dict[str, float]:
    """Median seconds of each floor, in turns."""
    root, state = setting.directories
    with Containerizer(root=root, state=state) as containerizer:
        floors = programs(setting, containerizer)
        seconds: dict[str, list[float]] = {kind: [] for kind in floors}
        for _ in range(rounds):
            for kind, once in floors.items():
                seconds[kind].append(once())
    return {kind: sorted(values)[len(values) // 2] for kind, values in seconds.items()}


def programs(setting: Setting, containerizer: Containerizer) -> dict[str, Callable[[], float]]:
    """Each floor, as what takes it once and returns the seconds; with cgroups in the containerizer's root."""
    request = ContainerRequest.of(setting.image, ["true"], mem="64m", cpus=0.5, pids=20)
    planned = containerizer.plan(request).info
    info = _elsewhere(planned, str(setting.root / "floor"))
    # No cgroup has been made.
    top = [replace(mount, source=re.sub(_OWN_CGROUP, "", mount.source)) for mount in info.mounts]
    bare = LaunchInfo(argv=("/bin/true",), namespaces=info.namespaces)
    infos = bare, replace(info, mounts=tuple(top), cgroups_v1=()), info
    return {kind: partial(_once, each) for kind, each in zip(_KINDS, infos, strict=True)}


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
    own = [mount for mount in info.mounts if not mount.source.startswith(planned)]
    return replace(info, rootfs=f"{sandbox}/rootfs", rootfs_mounts=tuple(moved), mounts=tuple(own))


def _once(info: LaunchInfo) -> float:
    with ExitStack() as opened:
        child = Child(info, Pipes(), 2)  # nobody is there to listen
        child.look_at_sources(opened)
        found = zip(child.directories, info.mounts, strict=True)
        child.directories = tuple(is_one or "/ct-" in mount.source for is_one, mount in found)  # not yet
        child.makes_root = True
        child.begin()
        program, parent = child.program, Label()
        _make_cgroups(child)
        ends = program.buffer(bytes(8))  # of the channel that tells whether a supervisor is there
        program.call("socketpair", _AF_UNIX, _SOCK_SEQPACKET, 0, ends)
        program.call("dup3", Slot(ends), ALIVE, 0)
        flags = sum(CLONE_FLAGS[kind] for kind in made(info) if kind != "cgroup")
        program.call("clone", flags | _SIGCHLD, 0, 0, 0, 0, then=parent)
        program.aside(parent, lambda: _wait(child))
        for name, step in STEPS:
            if name != "take the standard descriptors":
                program.stage = name
                step(child)
        start = time.perf_counter()
        runner.run(program)
        return time.perf_counter() - start


def _cgroups(info: LaunchInfo) -> list[str]:
    """None where nobody joins some."""
    return [*info.cgroups_v1, *filter(None, [info.cgroup_v2])] if info.cgroups_v1 else []


def _make_cgroups(child: Child) -> None:
    for cgroup in _cgroups(child.info):
        for directory in os.path.dirname(cgroup), cgroup:
            path = os.fsencode(directory)
            child.program.call("mkdirat", _AT_FDCWD, path, 0o755, on=path, tolerate=(errno.EEXIST,))
            for file in _CPUSET if "/cpuset/" in directory else ():
                top = directory[: directory.index("/cpuset/") + len("/cpuset")]
                write_file(child.program, f"{directory}/{file}", cgroups.read(top, file).encode())
        for file, value in _LIMITS:
            if f"/{file.partition('.')[0]}/" in cgroup:
                write_file(child.program, f"{cgroup}/{file}", value)


def _wait(child: Child) -> None:
    child.program.call("wait4", -1, 0, 0, 0)
    for cgroup in _cgroups(child.info):
        path = os.fsencode(cgroup)
        child.program.call("unlinkat", _AT_FDCWD, path, _AT_REMOVEDIR, on=path)
    child.program.call("exit_group", 0)
