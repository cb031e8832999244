"""The machine, of each processor, as it is made: its instructions, its numbers, what shields it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from isolators.linux import syscalls
from launcher.errors import LaunchFailed
from launcher.program import listings, machine, numbers
from launcher.program.listings import LISTINGS
from tests.launcher.support import Launches

# Processor → the assembler, and how it is told to read the listing as it is.
ASSEMBLERS = {
    "x86_64": ("x86_64-linux-gnu-", ".intel_syntax noprefix"),
    "aarch64": ("aarch64-linux-gnu-", ""),
}

# Where Debian's linux-libc-dev, and those of its packages that are made for cross compilers, have them.
HEADERS = {
    "x86_64": "include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "include/asm-generic/unistd.h",
    "riscv64": "include/asm-generic/unistd.h",
    "ppc64le": "powerpc64le-linux-gnu/include/asm/unistd_64.h",
    "s390x": "s390x-linux-gnu/include/asm/unistd_64.h",
}


def assembled(directory: Path, name: str, listing: str) -> bytes:
    tools, dialect = ASSEMBLERS[name]
    if shutil.which(f"{tools}as") is None:
        pytest.skip(f"{tools}as is not installed (apt-get install binutils-{tools.strip('-')})")
    lines = [line[26:].partition(";")[0].strip() for line in listing.splitlines()]
    (directory / "m.s").write_text("\n".join([dialect, *lines, ""]))
    subprocess.run([f"{tools}as", "m.s", "-o", "m.o"], cwd=directory, check=True)
    subprocess.run([f"{tools}objcopy", "-O", "binary", "-j", ".text", "m.o", "m"], cwd=directory, check=True)
    return (directory / "m").read_bytes()


@pytest.mark.parametrize("name", sorted(LISTINGS))
def test_a_listing_is_what_an_assembler_makes_of_it(tmp_path: Path, name: str) -> None:
    listing = LISTINGS[name].machine
    assert assembled(tmp_path, name, listing) == listings.assemble(listing)


def test_the_machine_cannot_be_changed() -> None:
    descriptor = machine.make()
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 1)
    os.close(descriptor)


def test_nobody_can_make_it_impossible_to_execute() -> None:
    """Root in a container, say, that finds it as /proc/1/exe."""
    descriptor = machine.make()
    try:
        with pytest.raises(PermissionError):
            os.fchmod(descriptor, 0)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", HEADERS)
def test_the_numbers_are_the_headers(name: str) -> None:
    header = Path("/usr", HEADERS[name])
    if not header.exists():
        pytest.skip(f"{header} is not there (apt-get install linux-libc-dev, or that for a cross compiler)")
    defined = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    table = numbers.numbers(name)
    found = {call: int(number) for call, number in defined if call in table}
    assert found == table


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_the_numbers_are_those_that_filters_have(name: str) -> None:
    table = numbers.numbers(name)
    assert {call: syscalls.numbers(name)[call] for call in table} == table


def test_a_number_that_is_not_known() -> None:
    with pytest.raises(OSError, match=r"number on this machine is not known.*'read'"):
        numbers.numbers("pdp11")["read"]


def test_what_has_no_listing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "LISTINGS", {})
    assert machine.obstacle() == f"no machine code for {os.uname().machine}"


def test_here_it_can_be() -> None:
    assert machine.obstacle() is None


@pytest.mark.requires("root")
@pytest.mark.parametrize("way", ["command", "script"])
def test_a_task_cannot_become_the_hosts_interpreter(launches: Launches, tmp_path: Path, way: str) -> None:
    """/proc/self/exe as the command, or behind `#!`, would lead to the host's Python: root in the
    container, the file's owner, could then change its mode and its attributes (CVE-2019-5736).
    """
    command = "/proc/self/exe"
    if way == "script":
        (tmp_path / "script").write_text("#!/proc/self/exe -c pass\n")
        (tmp_path / "script").chmod(0o755)
        command = str(tmp_path / "script")
    try:
        done = launches.run(command, "-c", "import os; print(os.readlink('/proc/self/exe'))")
    except LaunchFailed:
        return  # not even that
    assert done.stdout == ""
    assert done.status is None or done.status.exit_code != 0
