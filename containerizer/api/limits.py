"""Limits, as the API carries them: amounts by the predecessor's names, ours by the fields of Resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer.api.proto import extensions_pb2 as extensions
from isolators.resources import Resources
from launcher.errors import InvalidRequest

MEBIBYTE = 1 << 20

AMOUNTS = frozenset({"cpus", "memory", "disk", "pids", "gpus"})  # fields that `amounts` tells
FURTHER = frozenset(extensions.Limits.DESCRIPTOR.fields_by_name)  # fields that Limits has
CARRIED = AMOUNTS | FURTHER


def amounts(asked: Resources) -> dict[str, float]:
    """Name of a resource → how much of it, at most. Raises InvalidRequest for GPUs by their names."""
    if asked.gpus is not None and not asked.gpus.isdecimal():
        hint = "ask for a number of them"
        raise InvalidRequest(f"the GPUs {asked.gpus!r} cannot be asked of an agent", hint=hint)
    told: Mapping[str, float | None] = {
        "cpus": asked.cpus,
        "mem": None if asked.memory is None else asked.memory / MEBIBYTE,
        "disk": None if asked.disk is None else asked.disk / MEBIBYTE,
        "pids": asked.pids,
        "gpus": None if asked.gpus is None else int(asked.gpus),
    }
    return {name: amount for name, amount in told.items() if amount is not None}


def further(asked: Resources) -> extensions.Limits:
    """Those that no resource's name stands for."""
    limits = {name: value for name, value in asked.limits().items() if name in FURTHER}
    return extensions.Limits(**limits)


def fields_of(message: extensions.Limits) -> dict[str, Any]:
    """The fields of Resources that the message has."""
    found = message.ListFields()
    return {f.name: value if f.message_type is None else dict(value) for f, value in found}  # or a map
