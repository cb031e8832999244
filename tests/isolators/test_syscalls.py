"""The table of system calls, against the headers of the kernel that this host may have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isolators.linux.syscalls import numbers

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "i386": Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
SHARED = 424  # from here on, a call has one number in every ABI


@pytest.mark.parametrize("abi", HEADERS)
def test_the_numbers_are_the_headers(abi: str) -> None:
    if not HEADERS[abi].exists():
        pytest.skip(f"{HEADERS[abi]} is not there (apt-get install linux-libc-dev)")
    defined = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", HEADERS[abi].read_text(), re.MULTILINE)
    table = numbers(abi)
    found = {name: int(number) for name, number in defined if name in table}
    assert len(found) > 300
    assert {name: table[name] for name in found} == found


@pytest.mark.parametrize("abi", HEADERS)
def test_each_number_has_one_name(abi: str) -> None:
    assert len(set(numbers(abi).values())) == len(numbers(abi))


def test_the_abis_agree_where_the_kernels_do() -> None:
    tables = [numbers(abi) for abi in HEADERS]
    late = {name for table in tables for name, number in table.items() if number >= SHARED}
    for name in late:
        assert len({table[name] for table in tables if name in table}) == 1, name


def test_well_known_ones() -> None:
    names = ("read", "execve", "exit_group", "fstat")
    assert [numbers("x86_64")[name] for name in names] == [0, 59, 231, 5]
    assert [numbers("i386")[name] for name in names] == [3, 11, 252, 108]
    assert [numbers("aarch64")[name] for name in names] == [63, 221, 94, 80]
