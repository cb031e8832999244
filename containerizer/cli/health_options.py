"""Options of a container's health check, named as Docker's are; an agent tries it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from containerizer.checks.docker import HealthOptions

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NONE = ("NONE",)
_TIMES = ("interval", "timeout", "start_period", "start_interval")


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--health-cmd", metavar="SCRIPT", help="what says whether the task works, for sh -c")
    group.add_argument("--health-interval", metavar="TIME", help="between tries: 30s")
    group.add_argument("--health-timeout", metavar="TIME", help="after which one has failed: 30s")
    group.add_argument("--health-start-period", metavar="TIME", help="in which failures do not count: 0s")
    group.add_argument("--health-start-interval", metavar="TIME", help="between tries in that time: 5s")
    group.add_argument("--health-retries", metavar="N", type=int, help="failures in a row that count: 3")
    group.add_argument("--no-healthcheck", action="store_true", help="not even the image's")


def of(arguments: argparse.Namespace) -> HealthOptions | None:
    """None: as the image says. Raises InvalidRequest."""
    given = {name: getattr(arguments, f"health_{name}") for name in ("cmd", *_TIMES, "retries")}
    asked = {name: value for name, value in given.items() if value is not None}
    if not asked and not arguments.no_healthcheck:
        return None
    from containerizer.checks.docker import HealthOptions  # for those who ask for one

    if arguments.no_healthcheck:
        if asked:
            raise InvalidRequest(
                "--no-healthcheck, and options of a health check", hint="leave out one of them"
            )
        return HealthOptions(test=_NONE)
    retries = asked.get("retries")
    if retries is not None and retries < 1:
        raise InvalidRequest(f"invalid --health-retries {retries}", hint="the least is 1")
    times = {name: _seconds(name, asked[name]) for name in _TIMES if name in asked}
    test = ("CMD-SHELL", asked["cmd"]) if asked.get("cmd") else ()
    return HealthOptions(test=test, retries=retries, **times)


def refuse_without_agent(asked: HealthOptions | None) -> None:
    """Raises InvalidRequest for checks that nobody would try."""
    if asked is not None and asked.test != _NONE:
        hint = "use --agent, or try it with `containerizer healthcheck`"
        raise InvalidRequest("health checks are tried by an agent, and there is none", hint=hint)


def _seconds(name: str, text: str) -> float:
    """As Docker has times: 1m30s."""
    if not _DURATION.fullmatch(text):
        option = f"--health-{name.replace('_', '-')}"
        raise InvalidRequest(f"invalid {option} {text!r}", hint="write a number and ms, s, m or h: 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
