"""HEALTHCHECK of an image: what "Healthcheck" in its configuration says, in nanoseconds and words of Docker.

See HEALTHCHECK in Dockerfile's reference, and HealthcheckConfig in Docker's image specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer.checks.check import Check, Command
from launcher.data import Data
from launcher.errors import InvalidRequest

_SHELL = ("/bin/sh", "-c")
_NANOSECONDS = 10**9
_MAX = 10**18  # 31 years, as nonsense from a registry might be longer


class HealthOptions(Data, kw_only=True):
    """What a container has in place of its image's HEALTHCHECK; what is None or empty is the image's."""

    test: tuple[str, ...] = ()  # in Docker's words: NONE; CMD and what to execute; CMD-SHELL and a script
    interval: float | None = None  # seconds, as the others
    timeout: float | None = None
    start_period: float | None = None  # in which failures do not count
    start_interval: float | None = None  # meanwhile, until the first success
    retries: int | None = None

    def over(self, image_config: Mapping[str, Any]) -> dict[str, Any]:
        """The `config` object as if the image had been made with these. Raises InvalidRequest."""
        times = {
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "StartInterval": self.start_interval,
        }
        own: dict[str, Any] = {"Test": list(self.test)} if self.test else {}
        own |= {name: _nanoseconds(value) for name, value in times.items() if value is not None}
        own |= {} if self.retries is None else {"Retries": self.retries}
        of_image = image_config.get("Healthcheck")
        if own and of_image is None and "Test" not in own:
            raise InvalidRequest("a health check has no command", hint="give one: --health-cmd")
        if self.test == ("NONE",) or of_image is None:
            return {**image_config, "Healthcheck": own or None}
        if not isinstance(of_image, Mapping):
            return {**image_config}
        return {**image_config, "Healthcheck": {**of_image, **own}}


def _nanoseconds(seconds: float) -> int:
    if not 0 <= seconds < _MAX / _NANOSECONDS:
        raise InvalidRequest(f"a time of a health check is {seconds:g} s")
    return int(seconds * _NANOSECONDS)


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
    interval, grace = _seconds(value, "Interval", 30.0), _seconds(value, "StartPeriod", 0.0)
    start_interval = _seconds(value, "StartInterval", 5.0) if grace else None
    return Check(
        action=Command(argv=command),
        delay=start_interval or interval,  # Docker waits for it before the first try, too
        interval=interval,
        timeout=_seconds(value, "Timeout", 30.0),
        grace=grace,
        grace_interval=start_interval,
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
