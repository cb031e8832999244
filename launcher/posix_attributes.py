"""The process attributes that every Unix has: resource limits, nice value, umask."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

from launcher.launch_info import LaunchInfo
from launcher.process_attributes import Attribute, Clamped, Nice, Policy, Rlimit, limit_text


def rlimit_names() -> tuple[str, ...]:
    """The resources that this system limits, as setrlimit(2) calls them, in lower case."""
    return tuple(
        sorted(n[7:].lower() for n in dir(resource) if n.startswith("RLIMIT_") and n != "RLIMIT_OFILE")
    )


def set_nice(wanted: Nice) -> Iterator[Clamped]:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, wanted.value)
    except PermissionError:
        granted = min(os.getpriority(os.PRIO_PROCESS, 0), lowest_nice())
        os.setpriority(os.PRIO_PROCESS, 0, granted)
        yield clamped(wanted, "nice value", wanted.value, granted, "less needs CAP_SYS_NICE")


def set_rlimit(name: str, wanted: Rlimit) -> Iterator[Clamped]:
    number = getattr(resource, f"RLIMIT_{name.upper()}")
    soft, hard = infinite(wanted.soft), infinite(wanted.hard)
    try:
        resource.setrlimit(number, (soft, hard))
    except (ValueError, PermissionError):  # EPERM: resource makes a ValueError of it
        granted = granted_limit(number, wanted)
        reason = "more than the host's hard limit needs CAP_SYS_RESOURCE"
        yield clamped(wanted, f"limit on {name}", limits_text(wanted), limits_text(granted), reason)
        resource.setrlimit(number, (infinite(granted.soft), infinite(granted.hard)))


def set_posix_attributes(info: LaunchInfo) -> Iterator[Clamped]:
    """The limits last: they may leave little room for anything else."""
    if info.nice is not None:
        yield from set_nice(info.nice)
    if info.umask is not None:
        os.umask(info.umask)
    for name, limit in info.rlimits.items():
        yield from set_rlimit(name, limit)


def clamped(wanted: Attribute, what: str, asked: object, granted: object, reason: str) -> Clamped:
    """The report of a clamped value. Raises OSError where the policy is to require it."""
    if wanted.policy is Policy.REQUIRE:
        raise PermissionError(errno.EPERM, f"the host grants {granted}: {reason}", f"{what} {asked}")
    return Clamped(attribute=what, asked=str(asked), granted=str(granted), reason=reason)


def granted_limit(number: int, wanted: Rlimit) -> Rlimit:
    """What a process without privileges gets of it: no more than the hard limit."""
    _, highest = resource.getrlimit(number)
    return Rlimit(soft=_finite(_least(infinite(wanted.soft), highest)), hard=_finite(highest))


def lowest_nice() -> int:
    """What RLIMIT_NICE allows without privileges: 20 less the limit, getrlimit(2)."""
    number = getattr(resource, "RLIMIT_NICE", None)
    return 19 if number is None else max(-20, 20 - resource.getrlimit(number)[0])


def limits_text(limit: Rlimit) -> str:
    """A limit for people."""
    return f"{limit_text(limit.soft)}:{limit_text(limit.hard)}"


def infinite(value: int | None) -> int:
    """A limit as setrlimit(2) takes it."""
    return resource.RLIM_INFINITY if value is None else value


def _finite(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value


def _least(first: int, second: int) -> int:
    return min((v for v in (first, second) if v != resource.RLIM_INFINITY), default=resource.RLIM_INFINITY)
