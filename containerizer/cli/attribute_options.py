"""The options for a task's process attributes; named as Docker's, or as the tool that sets them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from isolators.resources import ProcessAttributes
from launcher.errors import InvalidRequest
from launcher.process_attributes import (
    IO_CLASSES,
    CpuAffinity,
    IoPriority,
    Nice,
    OomScoreAdj,
    Policy,
    Rlimit,
    Scheduler,
)

if TYPE_CHECKING:
    from containerizer.container import Container

_UNLIMITED = ("-1", "unlimited")
_LARGEST_UMASK = 0o777
_MAX_CPUS = 4096  # of a range: a slip must not fill the memory


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--ulimit", action="append", default=[], metavar="NAME=SOFT[:HARD]", help="a limit per process"
    )
    group.add_argument("--oom-score-adj", type=int, metavar="N", help="-1000 to 1000, killed last to first")
    group.add_argument("--nice", type=int, metavar="N", help="-20 to 19, served first to last")
    group.add_argument("--scheduler", metavar="POLICY[:PRIO]", help="other, batch, idle, fifo or rr")
    group.add_argument("--ionice", metavar="CLASS[:LEVEL]", help="realtime, best-effort or idle")
    group.add_argument("--cpu-affinity", metavar="LIST", help="CPUs that it may run on, e.g. 0,2-3")
    group.add_argument(
        "--sysctl", action="append", default=[], metavar="NAME=VALUE", help="a parameter of its namespaces"
    )
    group.add_argument("--umask", metavar="OCTAL", help="(022)")
    group.add_argument("--personality", metavar="NAME", help="e.g. linux32")
    group.add_argument(
        "--best-effort",
        action="store_true",
        help="take the nearest value that the host allows; leave out what it cannot limit, and say so",
    )


def attributes(arguments: argparse.Namespace) -> ProcessAttributes:
    """What the parsed options ask. Raises InvalidRequest."""
    policy = Policy.CLAMP if arguments.best_effort else Policy.REQUIRE
    adjustment, nice = arguments.oom_score_adj, arguments.nice
    return ProcessAttributes(
        rlimits=dict(_rlimit(text, policy) for text in arguments.ulimit),
        oom_score_adj=None if adjustment is None else OomScoreAdj(value=adjustment, policy=policy),
        nice=None if nice is None else Nice(value=nice, policy=policy),
        scheduler=_scheduler(arguments.scheduler, policy) if arguments.scheduler else None,
        io_priority=_io_priority(arguments.ionice, policy) if arguments.ionice else None,
        cpu_affinity=_cpu_affinity(arguments.cpu_affinity, policy) if arguments.cpu_affinity else None,
        sysctls=dict(_sysctl(text) for text in arguments.sysctl),
    )


def umask(arguments: argparse.Namespace) -> int | None:
    text: str | None = arguments.umask
    if text is None:
        return None
    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0 <= value <= _LARGEST_UMASK:
        raise InvalidRequest(f"invalid umask {text!r}", hint="write it in octal, 0 to 777")
    return value


def warn_of_clamped(container: Container) -> None:
    """One line on stderr of what the host granted less of than was asked."""
    if container.clamped:
        print(f"containerizer: warning: {'; '.join(map(str, container.clamped))}", file=sys.stderr)


def _rlimit(text: str, policy: Policy) -> tuple[str, Rlimit]:
    name, _, limits = text.partition("=")
    soft, colon, hard = limits.partition(":")
    values = [_limit(text, soft), _limit(text, hard if colon else soft)]
    return name, Rlimit(soft=values[0], hard=values[1], policy=policy)


def _limit(option: str, text: str) -> int | None:
    if text in _UNLIMITED:
        return None
    hint = "write NAME=SOFT[:HARD], each a number or unlimited"
    return _number(text, f"--ulimit {option!r}", hint)


def _scheduler(text: str, policy: Policy) -> Scheduler:
    name, colon, priority = text.partition(":")
    number = _number(priority, f"--scheduler {text!r}", "write POLICY[:PRIORITY]") if colon else 0
    return Scheduler(name=name, priority=number, policy=policy)


def _io_priority(text: str, policy: Policy) -> IoPriority:
    name, colon, level = text.partition(":")
    if name in ("1", "2", "3"):  # as ionice(1) numbers them
        name = IO_CLASSES[int(name) - 1]
    number = _number(level, f"--ionice {text!r}", "write CLASS[:LEVEL]") if colon else 0
    return IoPriority(name=name, level=number, policy=policy)


def _cpu_affinity(text: str, policy: Policy) -> CpuAffinity:
    """A list as of cpuset(7): numbers and ranges, separated by commas."""
    what, hint = f"--cpu-affinity {text!r}", "write numbers and ranges, e.g. 0,2-3"
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _number(first, what, hint)
        high = _number(last, what, hint) if dash else low
        if not low <= high < low + _MAX_CPUS:
            raise InvalidRequest(f"invalid {what}", hint=hint)
        cpus.update(range(low, high + 1))
    return CpuAffinity(cpus=tuple(sorted(cpus)), policy=policy)


def _sysctl(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidRequest(f"invalid --sysctl {text!r}", hint="write NAME=VALUE")
    return name, value


def _number(text: str, what: str, hint: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequest(f"invalid {what}", hint=hint)
    return int(text)
