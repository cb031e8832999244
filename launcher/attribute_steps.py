"""The process attributes of Linux as steps of the child, one function each.

Each sets one value as it was asked; where the host forbids it, its policy decides between a failure
and the nearest value that is allowed, which the child then reports.
"""

from __future__ import annotations

import errno
import os
import resource
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.kernel import cgroups, process
from launcher.kernel.libc import AT_FDCWD
from launcher.posix_attributes import clamped, granted_limit, infinite, limits_text, lowest_nice
from launcher.process_attributes import (
    IO_CLASSES,
    PERSONALITIES,
    Attribute,
    Clamped,
    CpuAffinity,
    IoPriority,
    Nice,
    OomScoreAdj,
    Policy,
    Rlimit,
    Scheduler,
)
from launcher.program.assembler import Argument, Label, Program
from launcher.program.objects import Explained

if TYPE_CHECKING:
    from launcher.child import Child
    from launcher.launch_info import LaunchInfo

_WORD = (1 << 64) - 1
_FORBIDDEN = (errno.EPERM, errno.EACCES)
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_SHIFT = 13
_WRITE = os.O_WRONLY | os.O_CLOEXEC
_CPUSETS = ("cpuset.effective_cpus", "cpuset.cpus.effective")  # cgroup v1, v2

_Call = tuple[str, tuple[Argument, ...]]


def set_oom_score_adj(child: Child) -> None:
    """Without a value, a task gets at least 0: what shields the launcher from the kernel's OOM killer
    is not for the tasks, which would live while the host's other processes die.
    """
    wanted = child.info.oom_score_adj
    own = process.oom_score_adj()
    if child.inherits or (wanted is None and own >= 0):
        return
    value = 0 if wanted is None else wanted.value
    file = child.program.call("openat", AT_FDCWD, process.OOM_SCORE_ADJ.encode(), _WRITE)
    # EACCES: below what a process with CAP_SYS_RESOURCE set last, and no lower than 0 by default.
    reports = [_clamped_oom(wanted, granted) for granted in (min(own, 0), own)] if wanted else []
    fallback = ("write", _text(child, file, min(own, 0)))
    _set(child, wanted, ("write", _text(child, file, value)), (fallback, None), reports)


def bequeath_oom_score_adj(program: Program, info: LaunchInfo) -> None:
    """Have a child inherit it. What the host grants has been told when the container was launched."""
    wanted, own = info.oom_score_adj, process.oom_score_adj()
    if wanted is None and own >= 0:
        return
    text = str(0 if wanted is None else wanted.value).encode()
    forbidden = () if wanted is not None and wanted.policy is Policy.REQUIRE else _FORBIDDEN
    file = program.call("openat", AT_FDCWD, process.OOM_SCORE_ADJ.encode(), _WRITE)
    program.call("write", file, text, len(text), on=text.decode(), tolerate=forbidden)
    program.call("close", file)


def set_cpu_affinity(child: Child, wanted: CpuAffinity) -> None:
    """The kernel drops what the cpuset lacks without a word, so it is found out before."""
    asked = set(wanted.cpus)
    possible = _cpuset(child) or _tried(asked)
    granted = asked & possible or possible
    if granted != asked:
        reason = "the others are not there, or not in this cpuset"
        child.granted.append(clamped(wanted, "CPU affinity", _cpus(asked), _cpus(granted), reason))
    mask = sum(1 << cpu for cpu in granted)
    size = -(-mask.bit_length() // 64) * 8
    address = child.program.constant(mask.to_bytes(size, "little"))
    child.program.call("sched_setaffinity", 0, size, address, on=_cpus(granted))


def set_scheduler(child: Child, wanted: Scheduler) -> None:
    """More than RLIMIT_RTPRIO needs CAP_SYS_NICE; and its v1 cgroup a realtime budget, cpu.rt_runtime_us."""
    highest = min(wanted.priority, resource.getrlimit(resource.RLIMIT_RTPRIO)[0])
    nearest = [Scheduler(name=wanted.name, priority=highest)] if highest > 0 else []
    reason = "more needs CAP_SYS_NICE, and a realtime budget of its cgroup"
    reports = [
        _clamped(wanted, "scheduler", _scheduler(wanted), _scheduler(granted), reason)
        for granted in (*nearest, Scheduler(name="other"))
    ]
    calls = [_schedule(child, granted) for granted in nearest]
    _set(child, wanted, _schedule(child, wanted), (*calls, None), reports)


def set_io_priority(child: Child, wanted: IoPriority) -> None:
    asked = f"{wanted.name}:{wanted.level}"
    report = _clamped(wanted, "input/output priority", asked, "best-effort:0", "more needs CAP_SYS_NICE")
    _set(child, wanted, _prioritise(wanted), (_prioritise(IoPriority(name="best-effort")),), [report])


def set_personality(child: Child, text: str) -> None:
    """Words of PERSONALITIES, separated by commas."""
    persona = 0
    for word in text.split(","):
        persona |= PERSONALITIES[word]
    child.program.call("personality", persona, on=text)


def set_nice(child: Child, wanted: Nice) -> None:
    granted = min(os.getpriority(os.PRIO_PROCESS, 0), lowest_nice())
    report = _clamped(wanted, "nice value", wanted.value, granted, "less needs CAP_SYS_NICE")
    calls = [("setpriority", (os.PRIO_PROCESS, 0, value)) for value in (wanted.value, granted)]
    _set(child, wanted, calls[0], (calls[1],), [report])


def set_rlimit(child: Child, name: str, wanted: Rlimit) -> None:
    number = getattr(resource, f"RLIMIT_{name.upper()}")
    granted = granted_limit(number, wanted)
    reason = "more than the host's hard limit needs CAP_SYS_RESOURCE"
    report = _clamped(wanted, f"limit on {name}", limits_text(wanted), limits_text(granted), reason)
    _set(child, wanted, _limit(child, number, wanted), (_limit(child, number, granted),), [report])


def set_attributes(child: Child) -> None:
    """All that need nothing of the file system; the limits last: they may leave little room."""
    info = child.info
    if info.cpu_affinity is not None:
        set_cpu_affinity(child, info.cpu_affinity)
    if info.scheduler is not None:
        set_scheduler(child, info.scheduler)
    if info.io_priority is not None:
        set_io_priority(child, info.io_priority)
    if info.personality is not None:
        set_personality(child, info.personality)
    if info.nice is not None:
        set_nice(child, info.nice)
    if info.umask is not None:
        child.program.call("umask", info.umask)
    for name, limit in info.rlimits.items():
        set_rlimit(child, name, limit)


def _set(
    child: Child,
    wanted: Attribute | None,
    call: _Call,
    nearest: Sequence[_Call | None],
    reports: list[Clamped],
) -> None:
    """Make the call; where the host forbids it and the policy allows, the nearest that it does not forbid.

    None among `nearest`: leave things as they are.
    """
    program, done = child.program, Label()
    if wanted is None or wanted.policy is Policy.REQUIRE:
        program.call(call[0], *call[1], on=_required(reports[0]) if reports else "")
        return
    forbidden = Label()
    program.call(call[0], *call[1], tolerate=_FORBIDDEN, otherwise=forbidden)
    program.jump(done)
    for following, report in zip(nearest, reports, strict=True):
        program.place(forbidden)
        forbidden = Label()
        if following is not None:
            program.call(following[0], *following[1], tolerate=_FORBIDDEN, otherwise=forbidden)
        child.report(report)
        program.jump(done)
    program.place(forbidden)
    program.place(done)


def _required(report: Clamped) -> Explained:
    reason = f"the host grants {report.granted}: {report.reason}"
    return Explained(f"{report.attribute} {report.asked}", dict.fromkeys(_FORBIDDEN, reason))


def _clamped(wanted: Attribute, what: str, asked: object, granted: object, reason: str) -> Clamped:
    return Clamped(attribute=what, asked=str(asked), granted=str(granted), reason=reason)


def _clamped_oom(wanted: OomScoreAdj, granted: int) -> Clamped:
    return _clamped(wanted, "OOM score adjustment", wanted.value, granted, "less needs CAP_SYS_RESOURCE")


def _text(child: Child, file: Argument, value: int) -> tuple[Argument, ...]:
    text = str(value).encode()
    return (file, text, len(text))


def _schedule(child: Child, wanted: Scheduler) -> _Call:
    policy = getattr(os, f"SCHED_{wanted.name.upper()}")
    return "sched_setscheduler", (0, policy, child.program.constant(struct.pack("=i", wanted.priority)))


def _scheduler(scheduler: Scheduler) -> str:
    return f"{scheduler.name}:{scheduler.priority}" if scheduler.priority else scheduler.name


def _prioritise(wanted: IoPriority) -> _Call:
    io_class = IO_CLASSES.index(wanted.name) + 1
    return "ioprio_set", (_IOPRIO_WHO_PROCESS, 0, io_class << _IOPRIO_CLASS_SHIFT | wanted.level)


def _limit(child: Child, number: int, limit: Rlimit) -> _Call:
    packed = struct.pack("=2Q", *(infinite(value) & _WORD for value in (limit.soft, limit.hard)))
    return "prlimit64", (0, number, child.program.constant(packed), 0)


def _cpuset(child: Child) -> set[int]:
    """The CPUs of the cgroup that the child joins, if that has some of its own."""
    for cgroup in (*child.info.cgroups_v1, child.info.cgroup_v2):
        for file in _CPUSETS:
            if cgroup and cgroups.has(cgroup, file):
                return _parsed(cgroups.read(cgroup, file))
    return set()


def _parsed(text: str) -> set[int]:
    """A list as cpusets have it: "0-3,8"."""
    cpus: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def _tried(asked: set[int]) -> set[int]:
    """What this thread gets of them; it has its own back at once."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, asked)
        return os.sched_getaffinity(0)
    except OSError as error:
        if error.errno != errno.EINVAL:  # none of these CPUs is there, or in the cpuset
            raise
        return before
    finally:
        os.sched_setaffinity(0, before)


def _cpus(cpus: set[int]) -> str:
    return ",".join(map(str, sorted(cpus)))
