"""HEALTHCHECK of an image: what "Healthcheck" in its configuration says, in nanoseconds and words of Docker.

See HEALTHCHECK in Dockerfile's reference, and HealthcheckConfig in Docker's image specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer.checks.check import Check, Command
from launcher.errors import InvalidRequest

_SHELL = ("/bin/sh", "-c")
_NANOSECONDS = 10**9
_MAX = 10**18  # 31 years, as nonsense from a registry might be longer


def healthcheck(image_config: Mapping[str, Any]) -> Check | None:
    """The liveness check of an image, of its `config` object; None where it has none, or NONE.

    Raises InvalidRequest.
    """
    value = image_config.get("Healthcheck")
    if value is None:
        return None
    test = value.get("Test") if isinstance(value, dict) else None
    if not isinstance(test, list) or not all(isinstance(word, str) for word in test):
        raise InvalidRequest("Healthcheck of the image has no Test that is a list of strings")
    command = _command(test, image_config)
    if command is None:
        return None
    return Check(
        action=Command(argv=command),
        delay=_seconds(value, "Interval", 30.0),  # Docker waits for it before the first try, too
        interval=_seconds(value, "Interval", 30.0),
        timeout=_seconds(value, "Timeout", 30.0),
        grace=_seconds(value, "StartPeriod", 0.0),
        failure_threshold=_number(value, "Retries") or 3,
    )


def _command(test: list[str], image_config: Mapping[str, Any]) -> tuple[str, ...] | None:
    match test:
        case [] | ["NONE"]:  # of the image below; of none
            return None
        case ["CMD", *argv] if argv:
            return tuple(argv)
        case ["CMD-SHELL", command]:
            shell = image_config.get("Shell")
            words = shell if isinstance(shell, list) and all(isinstance(w, str) for w in shell) else _SHELL
            return (*(words or _SHELL), command)
    raise InvalidRequest(f"Healthcheck of the image tests by {test!r:.100}")


def _seconds(value: Mapping[str, Any], name: str, default: float) -> float:
    number = _number(value, name)
    return number / _NANOSECONDS if number else default


def _number(value: Mapping[str, Any], name: str) -> int:
    number = value.get(name, 0)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _MAX:
        raise InvalidRequest(f"{name} of the image's Healthcheck is {number!r:.100}")
    return number
