"""Attributes of the task's process, as the API carries them, both ways."""

from __future__ import annotations

from typing import Any

from containerizer.api.proto import extensions_pb2 as extensions
from isolators.resources import ProcessAttributes
from launcher.data import replace
from launcher.process_attributes import CpuAffinity, IoPriority, Nice, OomScoreAdj, Policy, Scheduler

_NAMES = ("nice", "oom_score_adj", "scheduler", "io_priority", "cpu_affinity")  # that the host may forbid
CARRIED = frozenset((*_NAMES, "rlimits", "sysctls"))


def asked(options: extensions.ProcessOptions) -> ProcessAttributes:
    """All but the resource limits, which have a message of the predecessor's. Raises InvalidRequest."""
    found: dict[str, Any] = {}
    if options.HasField("nice"):
        found["nice"] = Nice(value=options.nice)
    if options.HasField("oom_score_adj"):
        found["oom_score_adj"] = OomScoreAdj(value=options.oom_score_adj)
    if options.HasField("scheduler"):
        found["scheduler"] = Scheduler(name=options.scheduler, priority=options.scheduler_priority)
    if options.HasField("io_class"):
        found["io_priority"] = IoPriority(name=options.io_class, level=options.io_level)
    if options.cpu_affinity:
        found["cpu_affinity"] = CpuAffinity(cpus=tuple(options.cpu_affinity))
    for name in found.keys() & set(options.clamped):
        found[name] = replace(found[name], policy=Policy.CLAMP)
    return ProcessAttributes(sysctls=dict(options.sysctls), **found)


def add(options: extensions.ProcessOptions, own: ProcessAttributes) -> None:
    """The client's side."""
    if own.nice is not None:
        options.nice = own.nice.value
    if own.oom_score_adj is not None:
        options.oom_score_adj = own.oom_score_adj.value
    if own.scheduler is not None:
        options.scheduler, options.scheduler_priority = own.scheduler.name, own.scheduler.priority
    if own.io_priority is not None:
        options.io_class, options.io_level = own.io_priority.name, own.io_priority.level
    if own.cpu_affinity is not None:
        options.cpu_affinity.extend(own.cpu_affinity.cpus)
    options.sysctls.update(own.sysctls)
    for name in _NAMES:
        if (attribute := getattr(own, name)) is not None and attribute.policy is Policy.CLAMP:
            options.clamped.append(name)
