"""--image_gc_config: JSON, as the predecessor has it, or the path of a file of it.

An interval is written as flags have them ("10mins") or as the predecessor's messages do, in nanoseconds.
An image is a name, or a message with one.
"""

from __future__ import annotations

import json
from typing import Any

from containerizer.agent.durations import parse_duration
from containerizer.agent.settings import ImageGc
from launcher.errors import InvalidRequest
from provisioner.reference import ImageReference

_HEADROOM, _INTERVAL, _EXCLUDED = "image_disk_headroom", "image_disk_watch_interval", "excluded_images"
_NANOSECONDS = 1e9


def parse(text: str) -> ImageGc:
    """Raises InvalidRequest."""
    value = _read(text)
    unknown = value.keys() - {_HEADROOM, _INTERVAL, _EXCLUDED}
    if unknown:
        raise InvalidRequest(f"unknown key {min(unknown)!r}")
    headroom = value.get(_HEADROOM, 0.1)
    if isinstance(headroom, bool) or not isinstance(headroom, int | float) or not 0 <= headroom <= 1:
        raise InvalidRequest(f"{_HEADROOM} is {headroom!r}, not between 0 and 1")
    excluded = value.get(_EXCLUDED, [])
    if not isinstance(excluded, list):
        raise InvalidRequest(f"{_EXCLUDED} is no list")
    interval = _seconds(value.get(_INTERVAL, "1hrs"))
    return ImageGc(headroom=float(headroom), interval=interval, excluded=tuple(map(_name, excluded)))


def _read(text: str) -> dict[str, Any]:
    if not text.lstrip().startswith("{"):
        try:
            with open(text.removeprefix("file://"), encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"cannot read {text}: {error}") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("it is no object")
    return value


def _seconds(value: Any) -> float:
    seconds: float
    if isinstance(value, dict) and isinstance(value.get("nanoseconds"), int):
        seconds = float(value["nanoseconds"]) / _NANOSECONDS
    elif isinstance(value, str):
        seconds = parse_duration(value)
    else:
        raise InvalidRequest(f"{_INTERVAL} is {value!r}")
    if not seconds > 0:
        raise InvalidRequest(f"{_INTERVAL} is {seconds:g} s")
    return seconds


def _name(value: Any) -> str:
    name = value.get("docker", {}).get("name") if isinstance(value, dict) else value
    if not isinstance(name, str):
        raise InvalidRequest(f"{_EXCLUDED} has {value!r}, which is no image")
    ImageReference.parse(name)
    return name
