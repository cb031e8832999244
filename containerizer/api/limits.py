"""Limits, as the API carries them: amounts by the predecessor's names, ours by the fields of Resources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from containerizer.api.proto import extensions_pb2 as extensions
from isolators.resources import UNLIMITED, Resources
from launcher.errors import InvalidRequest

MEBIBYTE = 1 << 20

AMOUNTS = frozenset({"cpus", "memory", "disk", "pids", "gpus"})  # fields that `amounts` tells
FURTHER = frozenset(extensions.Limits.DESCRIPTOR.fields_by_name)  # fields that Limits has
CARRIED = AMOUNTS | FURTHER


def amounts(asked: Resources) -> dict[str, float]:
    """Name of a resource → how much of it, at most; infinitely much undoes a limit."""
    told: Mapping[str, tuple[float | None, int]] = {
        "cpus": (asked.cpus, 1),
        "mem": (asked.memory, MEBIBYTE),
        "disk": (asked.disk, MEBIBYTE),
        "pids": (asked.pids, 1),
        "gpus": (None if _by_name(asked) or asked.gpus is None else int(asked.gpus), 1),
    }
    return {
        name: math.inf if amount == UNLIMITED else amount / unit
        for name, (amount, unit) in told.items()
        if amount is not None
    }


def further(asked: Resources) -> extensions.Limits:
    """Those that no resource's name stands for. Raises InvalidRequest for a number that is too large, say."""
    limits = {name: value for name, value in asked.limits().items() if name in FURTHER}
    if not _by_name(asked):
        limits.pop("gpus", None)
    try:
        return extensions.Limits(**limits)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"a limit is no such number as it has to be: {error}") from None


def _by_name(asked: Resources) -> bool:
    """Whether certain GPUs are asked for, and no number of them."""
    return asked.gpus is not None and not asked.gpus.isdecimal()


def fields_of(message: extensions.Limits) -> dict[str, Any]:
    """The fields of Resources that the message has."""
    found = message.ListFields()
    return {f.name: value if f.message_type is None else dict(value) for f, value in found}  # or a map
