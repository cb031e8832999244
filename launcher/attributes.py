"""Set the process attributes of Linux, one function each. They run in the child, before execve(2).

Each sets one value as it was asked; where the host forbids it, its policy decides between an
OSError and the nearest value that is allowed, which is then returned as `Clamped`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator, Mapping

from launcher.kernel import process, sysctl
from launcher.launch_info import LaunchInfo
from launcher.posix_attributes import clamped, set_posix_attributes
from launcher.process_attributes import (
    IO_CLASSES,
    PERSONALITIES,
    Clamped,
    CpuAffinity,
    IoPriority,
    OomScoreAdj,
    Scheduler,
)


def set_sysctls(values: Mapping[str, str]) -> None:
    """Raises OSError. `launcher.validate` has refused what is not the container's own."""
    for name, value in values.items():
        sysctl.write(name, value)


def set_oom_score_adj(wanted: OomScoreAdj | None) -> Iterator[Clamped]:
    """Without a value, a task gets at least 0: what shields the launcher from the kernel's OOM killer
    is not for the tasks, which would live while the host's other processes die.
    """
    if wanted is None:
        with contextlib.suppress(FileNotFoundError):  # no /proc, nothing that could have set it
            if process.oom_score_adj() < 0:
                process.set_oom_score_adj(0)
        return
    try:
        process.set_oom_score_adj(wanted.value)
    except PermissionError:
        # EACCES: below what a process with CAP_SYS_RESOURCE set last, and no lower than 0 by default.
        granted = process.oom_score_adj()
        with contextlib.suppress(PermissionError):
            process.set_oom_score_adj(min(granted, 0))
            granted = min(granted, 0)
        yield clamped(wanted, "OOM score adjustment", wanted.value, granted, "less needs CAP_SYS_RESOURCE")


def set_cpu_affinity(wanted: CpuAffinity) -> Iterator[Clamped]:
    asked = set(wanted.cpus)
    try:
        os.sched_setaffinity(0, asked)
    except OSError as error:
        if error.errno != errno.EINVAL:  # none of these CPUs is there, or in the cpuset
            raise
    granted = os.sched_getaffinity(0)  # the kernel drops what the cpuset lacks without a word
    if granted != asked:
        reason = "the others are not there, or not in this cpuset"
        yield clamped(wanted, "CPU affinity", _cpus(asked), _cpus(granted), reason)


def set_scheduler(wanted: Scheduler) -> Iterator[Clamped]:
    try:
        _schedule(wanted.name, wanted.priority)
    except PermissionError:
        # Also where the task's v1 cgroup has no realtime budget (cpu.rt_runtime_us).
        granted = Scheduler(name="other")
        highest = min(wanted.priority, resource.getrlimit(resource.RLIMIT_RTPRIO)[0])
        if highest > 0:
            with contextlib.suppress(PermissionError):
                _schedule(wanted.name, highest)
                granted = Scheduler(name=wanted.name, priority=highest)
        reason = "more needs CAP_SYS_NICE, and a realtime budget of its cgroup"
        yield clamped(wanted, "scheduler", _scheduler(wanted), _scheduler(granted), reason)


def set_io_priority(wanted: IoPriority) -> Iterator[Clamped]:
    try:
        process.set_io_priority(IO_CLASSES.index(wanted.name) + 1, wanted.level)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        process.set_io_priority(IO_CLASSES.index("best-effort") + 1, 0)
        asked = f"{wanted.name}:{wanted.level}"
        yield clamped(wanted, "input/output priority", asked, "best-effort:0", "more needs CAP_SYS_NICE")


def set_personality(text: str) -> None:
    """Words of PERSONALITIES, separated by commas. Raises OSError."""
    persona = 0
    for word in text.split(","):
        persona |= PERSONALITIES[word]
    process.set_personality(persona)


def set_attributes(info: LaunchInfo) -> Iterator[Clamped]:
    """All that need nothing of the file system."""
    if info.cpu_affinity is not None:
        yield from set_cpu_affinity(info.cpu_affinity)
    if info.scheduler is not None:
        yield from set_scheduler(info.scheduler)
    if info.io_priority is not None:
        yield from set_io_priority(info.io_priority)
    if info.personality is not None:
        set_personality(info.personality)
    yield from set_posix_attributes(info)


def _schedule(name: str, priority: int) -> None:
    os.sched_setscheduler(0, getattr(os, f"SCHED_{name.upper()}"), os.sched_param(priority))


def _scheduler(scheduler: Scheduler) -> str:
    return f"{scheduler.name}:{scheduler.priority}" if scheduler.priority else scheduler.name


def _cpus(cpus: set[int]) -> str:
    return ",".join(map(str, sorted(cpus)))
