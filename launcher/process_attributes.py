"""Process attributes as data: what the kernel keeps of a process beside its namespaces and its user.

The host may forbid a value. Each then follows its policy: refuse the launch, or take the nearest
value that is allowed and say so (`Clamped`). `launcher.attribute_steps` sets them.
"""

from __future__ import annotations

import enum
from typing import Any, Self

from launcher.data import Data
from launcher.errors import InvalidRequest

SCHEDULERS = ("other", "batch", "idle", "fifo", "rr")  # SCHED_* of sched(7), without deadline
REALTIME = ("fifo", "rr")
IO_CLASSES = ("realtime", "best-effort", "idle")  # ioprio_set(2), in the order of their numbers, from 1
PERSONALITIES = {  # personality(2): domains, and flags to add to one
    "linux": 0x0000,
    "linux32": 0x0008,
    "addr-no-randomize": 0x0040000,
    "read-implies-exec": 0x0400000,
    "addr-limit-3gb": 0x8000000,
    "uname-2.6": 0x0020000,
}


class Policy(enum.StrEnum):
    """What to do where the host forbids a value."""

    REQUIRE = "require"  # the launch fails
    CLAMP = "clamp"  # take the nearest value that is allowed, and report it


class Attribute(Data, kw_only=True):
    """A value that the host may forbid."""

    policy: Policy = Policy.REQUIRE

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Self:
        value = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
        return cls(**{**value, "policy": Policy(value.get("policy", Policy.REQUIRE))})


class Rlimit(Attribute, kw_only=True):
    """One resource limit of getrlimit(2), in the unit of the resource. None: unlimited."""

    soft: int | None
    hard: int | None

    def __post_init__(self) -> None:
        for value in (self.soft, self.hard):
            _check("resource limit", value or 0, 0, 2**63 - 1)
        if self.hard is not None and (self.soft is None or self.soft > self.hard):
            text = f"{limit_text(self.soft)}:{limit_text(self.hard)}"
            raise InvalidRequest(f"invalid resource limit {text}", hint="soft must not exceed hard")


class OomScoreAdj(Attribute, kw_only=True):
    """How much rather the kernel kills this process when memory runs out: proc_pid_oom_score_adj(5)."""

    value: int

    def __post_init__(self) -> None:
        _check("OOM score adjustment", self.value, -1000, 1000)


class Nice(Attribute, kw_only=True):
    """The nice value: setpriority(2). The higher, the less CPU time under contention."""

    value: int

    def __post_init__(self) -> None:
        _check("nice value", self.value, -20, 19)


class Scheduler(Attribute, kw_only=True):
    """The scheduling policy: sched(7)."""

    name: str
    priority: int = 0  # 1 to 99 for "fifo" and "rr", 0 for the others

    def __post_init__(self) -> None:
        _choose("scheduler", self.name, SCHEDULERS)
        _check(f"{self.name} priority", self.priority, *((1, 99) if self.name in REALTIME else (0, 0)))


class IoPriority(Attribute, kw_only=True):
    """The class and level of input and output: ioprio_set(2)."""

    name: str
    level: int = 0  # 0 to 7, 0 is served first; "idle" has no levels

    def __post_init__(self) -> None:
        _choose("input/output class", self.name, IO_CLASSES)
        _check(f"{self.name} level", self.level, 0, 0 if self.name == "idle" else 7)


class CpuAffinity(Attribute, kw_only=True):
    """The CPUs that the process may run on: sched_setaffinity(2)."""

    cpus: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.cpus:
            raise InvalidRequest("an empty set of CPUs", hint="name one, e.g. 0-3")
        for cpu in self.cpus:
            _check("CPU number", cpu, 0, 2**16 - 1)


class Clamped(Data, kw_only=True):
    """A value that the host forbade, and what the task got instead."""

    attribute: str
    asked: str
    granted: str
    reason: str

    def __str__(self) -> str:
        return f"{self.attribute}: asked for {self.asked}, granted {self.granted}: {self.reason}"


def limit_text(value: int | None) -> str:
    """A resource limit for people."""
    return "unlimited" if value is None else str(value)


def check_personality(text: str) -> None:
    """One or more words of PERSONALITIES, separated by commas. Raises InvalidRequest."""
    for word in text.split(","):
        _choose("personality", word, tuple(PERSONALITIES))


def _check(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidRequest(f"invalid {what} {value}", hint=f"it goes from {low} to {high}")


def _choose(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidRequest(f"unknown {what} {value!r}", hint=f"use {', '.join(choices)}")
