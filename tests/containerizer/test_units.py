"""Quantities as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerizer.units import format_size, parse_cpus, parse_size
from launcher.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        (4096, 4096),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("2t", 2 << 40),
        (" 8k ", 8192),
        ("10b", 10),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "-1", -1, "1x", "1mm", "0x10", "1e3", "٣", "1 2", "9" * 400, "8388608t"]
)
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "cpus"), [("0.5", 0.5), (2, 2.0), ("16", 16.0), ("-1", -1.0)])
def test_cpus(text: str | float, cpus: float) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("text", ["", "0", "-2", "nan", "inf", "two"])
def test_what_is_no_number_of_cpus_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid number of CPUs"):
        parse_cpus(text)


@given(st.integers(min_value=0, max_value=1 << 60))
def test_a_formatted_size_is_near_the_size(size: int) -> None:
    number, unit = format_size(size).split()
    factor = 1 << 10 * ["B", "KiB", "MiB", "GiB", "TiB"].index(unit)
    assert abs(float(number) * factor - size) <= 0.05 * factor + 1
