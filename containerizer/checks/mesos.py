"""HealthCheck and CheckInfo of the Mesos API, as JSON has them, turned into checks.

A HealthCheck is a liveness check. A CheckInfo only reports: its results are the caller's to read, and
its thresholds are one. Where a field is missing, its default is that of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer.checks.check import Action, Check, Command, Http, Tcp
from launcher.errors import InvalidRequest

_TIMES: Mapping[str, tuple[str, float]] = {
    "delay_seconds": ("delay", 15.0),
    "interval_seconds": ("interval", 10.0),
    "timeout_seconds": ("timeout", 20.0),
}
_GRACE = 10.0  # seconds
_UNLIMITED = 1e6  # seconds: what a timeout of 0 stands for
_SCHEMES = ("http", "https")


def health_check(value: Mapping[str, Any]) -> Check:
    """Raises InvalidRequest, naming the field."""
    http = value.get("http", {})
    action = _action(value, command=value.get("command"), tls=_scheme(http) == "https")
    grace = _number(value, "grace_period_seconds", _GRACE)
    failures = int(_number(value, "consecutive_failures", 3))
    return Check(action=action, grace=grace, failure_threshold=failures, **_times(value))


def check_info(value: Mapping[str, Any]) -> Check:
    """Raises InvalidRequest, naming the field."""
    command = value.get("command", {})
    action = _action(value, command=command.get("command"), tls=False)
    return Check(action=action, failure_threshold=1, **_times(value))


def _action(value: Mapping[str, Any], *, command: Mapping[str, Any] | None, tls: bool) -> Action:
    match value.get("type"):
        case "COMMAND" if command:
            return _command(command)
        case "HTTP" if "http" in value:
            http = value["http"]
            return Http(port=_port(http), path=http.get("path", "/"), tls=tls, host=_host(http))
        case "TCP" if "tcp" in value:
            return Tcp(port=_port(value["tcp"]), host=_host(value["tcp"]))
    raise InvalidRequest(f"a check of type {value.get('type')!r} without what belongs to it")


def _command(value: Mapping[str, Any]) -> Command:
    """CommandInfo: with `shell`, which is its default, the value is a script."""
    variables = value.get("environment", {}).get("variables", [])
    environment = {variable["name"]: variable.get("value", "") for variable in variables}
    if value.get("shell", True):
        argv: tuple[str, ...] = ("/bin/sh", "-c", value.get("value", ""))
    else:
        # Its first argument is the name that the program sees, which is not ours to choose.
        argv = (value.get("value", ""), *value.get("arguments", [])[1:])
    return Command(argv=argv, environment=environment, user=value.get("user"))


def _times(value: Mapping[str, Any]) -> dict[str, Any]:
    times = {ours: _number(value, theirs, default) for theirs, (ours, default) in _TIMES.items()}
    return {**times, "timeout": times["timeout"] or _UNLIMITED}


def _number(value: Mapping[str, Any], name: str, default: float) -> float:
    number = value.get(name, default)
    if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
        raise InvalidRequest(f"{name} of a check is {number!r:.100}, not a number of at least 0")
    return number


def _port(value: Mapping[str, Any]) -> int:
    port = value.get("port")
    if not isinstance(port, int):
        raise InvalidRequest(f"port of a check is {port!r:.100}")
    return port


def _host(value: Mapping[str, Any]) -> str | None:
    """NetworkInfo.Protocol; without one both are tried."""
    return {"IPv4": "127.0.0.1", "IPv6": "::1"}.get(value.get("protocol", ""))


def _scheme(value: Mapping[str, Any]) -> str:
    scheme = value.get("scheme", "http")
    if scheme not in _SCHEMES:
        raise InvalidRequest(f"scheme of a check is {scheme!r:.100}, not {' or '.join(_SCHEMES)}")
    return str(scheme)
