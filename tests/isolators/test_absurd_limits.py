"""Limits that no host can keep are refused by `check`, before anything is touched, and with their values."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from isolators import catalog
from isolators.isolator import Isolator, IsolatorFlags, IsolatorUnavailable
from isolators.resources import Resources
from launcher.errors import InvalidRequest

ABSURD = (-2, -(1 << 40), 1 << 64)
NAMES = {
    "hugetlb": "2MB",
    "net_priorities": "lo",
}  # of what there are several; a path where nothing else is said
BESIDE = {"memory_swap": {"memory": 1 << 30}}  # what it makes no sense without
IGNORED = {("posix/mem", "memory_reservation")}  # what it keeps is whatever the host has


def fields() -> Iterator[tuple[str, Any]]:
    for name, kind in typing.get_type_hints(Resources).items():
        kinds = typing.get_args(kind)
        for absurd in ABSURD:
            if int in kinds or float in kinds:
                yield name, absurd
            elif Mapping[str, int] in kinds:
                yield name, {NAMES.get(name, "/"): absurd}


def enforcing(field: str, flags: IsolatorFlags) -> Iterator[Isolator]:
    """Those that this host can have."""
    for description in catalog.describe():
        if field in description.enforces and (description.name, field) not in IGNORED:
            try:
                yield from catalog.load([description.name], flags, launched=True)
            except IsolatorUnavailable:
                continue


@pytest.mark.parametrize(("field", "absurd"), fields(), ids=str)
def test_what_no_host_can_keep_is_refused(tmp_path: Path, field: str, absurd: Any) -> None:
    flags = IsolatorFlags(own_state=str(tmp_path), state=str(tmp_path))
    (value,) = absurd.values() if isinstance(absurd, dict) else (absurd,)
    for isolator in enforcing(field, flags):
        with pytest.raises(InvalidRequest, match=str(value)):
            isolator.check(Resources(**{field: absurd}, **BESIDE.get(field, {})))
    assert list(tmp_path.iterdir()) == []
