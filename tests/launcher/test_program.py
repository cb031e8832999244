"""Launch programs: what is written is what the machine does, and what it says of a failure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import LaunchFailed
from launcher.program import machine, runner
from launcher.program.assembler import ANY, MAX_DATA, Label, Program, TooLarge
from launcher.program.messages import REPORT, tell
from tests.launcher.support import Launches

AT_FDCWD = -100


def ended(program: Program) -> runner.Sent:
    program.call("exit_group", 0)
    return runner.run(program)


def reports(program: Program) -> list[int]:
    return ended(program).reports


def test_results_are_arguments_of_later_calls(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    program = Program()
    source = program.call("openat", AT_FDCWD, os.fsencode(tmp_path / "file"), os.O_RDONLY)
    memory = program.buffer(bytes(100))
    size = program.call("read", source, memory, 100)
    flags = os.O_WRONLY | os.O_CREAT
    target = program.call("openat", AT_FDCWD, os.fsencode(tmp_path / "copy"), flags, 0o600)
    program.call("write", target, memory, size)
    ended(program)
    assert (tmp_path / "copy").read_text() == "content"


def test_a_result_is_stored_where_it_is_wanted(tmp_path: Path) -> None:
    program = Program()
    place = program.slot()
    program.call("getpid", store=place)
    file = program.call("openat", AT_FDCWD, os.fsencode(tmp_path / "pid"), os.O_WRONLY | os.O_CREAT, 0o600)
    program.call("write", file, int(place), 4)
    ended(program)
    assert int.from_bytes((tmp_path / "pid").read_bytes(), sys.byteorder) > 1


@pytest.mark.parametrize(("flags", "told"), [(os.O_RDONLY, [1, 3]), (os.O_WRONLY | os.O_CREAT, [2, 3])])
def test_a_program_goes_on_where_a_result_tells_it_to(tmp_path: Path, flags: int, told: list[int]) -> None:
    program, there, missing, done = Program(), Label(), Label(), Label()
    path = os.fsencode(tmp_path / "file")
    program.call("openat", AT_FDCWD, path, flags, 0o600, then=there, tolerate=(2,), otherwise=missing)
    program.place(missing)
    tell(program, REPORT, 1)
    program.jump(done)
    program.place(there)
    tell(program, REPORT, 2)
    program.place(done)
    tell(program, REPORT, 3)
    assert reports(program) == told


def test_zero_is_not_positive() -> None:
    program, elsewhere = Program(), Label()
    program.call("umask", 0)
    program.call("umask", 0, then=elsewhere)
    tell(program, REPORT, 7)
    program.place(elsewhere)
    assert reports(program) == [7]


@pytest.mark.parametrize("tolerated", [(13, 2), (1, 13, 20, 2), (ANY,)])
def test_an_error_that_is_tolerated_is_none(tolerated: tuple[int, ...]) -> None:
    program = Program()
    program.call("openat", AT_FDCWD, b"/no/such/file", os.O_RDONLY, tolerate=tolerated)
    tell(program, REPORT, 1)
    assert reports(program) == [1]


@pytest.mark.parametrize("tolerated", [(), (13,), (1, 13, 20, 22)])
def test_an_error_that_is_not_ends_the_program_by_name(tolerated: tuple[int, ...]) -> None:
    program = Program()
    program.stage = "look for it"
    program.call("openat", AT_FDCWD, b"/", os.O_RDONLY)
    program.call("openat", AT_FDCWD, b"/no/such", os.O_RDONLY, on="/no/such", tolerate=tolerated)
    with pytest.raises(FileNotFoundError, match="'/no/such'"):
        ended(program)


def test_what_is_written_aside_comes_last() -> None:
    program, aside, back = Program(), Label(), Label()

    def write() -> None:
        tell(program, REPORT, 2)
        program.jump(back)

    program.aside(aside, write)
    tell(program, REPORT, 1)
    program.jump(aside)
    program.place(back)
    tell(program, REPORT, 3)
    assert reports(program) == [1, 2, 3]


def test_strings_are_kept_once_and_buffers_are_not() -> None:
    program = Program()
    assert program.string(b"/proc") == program.string(b"/proc")
    assert program.constant(bytes(32)) == program.constant(bytes(32))
    assert program.buffer(bytes(8)) != program.buffer(bytes(8))
    assert program.constant(b"12345678") % 8 == 0


def test_what_does_not_fit_is_refused() -> None:
    program = Program()
    with pytest.raises(OSError, match="embedded null byte"):
        program.string(b"a\0b")
    program.buffer(bytes(MAX_DATA))
    with pytest.raises(TooLarge):
        program.assemble()


def test_a_program_of_the_largest_size_runs() -> None:
    program = Program()
    program.buffer(bytes(MAX_DATA - 4096))
    last = program.buffer(b"\x2a\0\0\0")
    for _ in range(10_000):
        program.call("getpid")
    done = Label()
    program.call("umask", 0)
    program.call("umask", 0o777, then=done)
    program.place(done)
    tell(program, REPORT, last & 0xFF)
    assert reports(program) == [last & 0xFF]


def test_the_machine_cannot_be_changed() -> None:
    descriptor = machine.make()
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 1)
    os.close(descriptor)


@pytest.mark.parametrize("name", sorted(machine._LISTINGS))
def test_the_listing_is_what_an_assembler_makes_of_it(tmp_path: Path, name: str) -> None:
    assembler = {"x86_64": "as", "aarch64": "aarch64-linux-gnu-as"}[name]
    if shutil.which(assembler) is None:
        pytest.skip(f"{assembler} is not installed (apt-get install binutils)")
    _, listing = machine._LISTINGS[name]
    lines = [line[26:].partition(";")[0].strip() for line in listing.splitlines()]
    if name == "x86_64":  # as(1) has its own words for these
        lines = [re.sub(r"\bword \[", "word ptr [", line).replace("jrcxz", "jrcxz") for line in lines]
        lines = [re.sub(r"movsxd rax, \[", "movsxd rax, dword ptr [", line) for line in lines]
        lines.insert(0, ".intel_syntax noprefix")
    (tmp_path / "m.s").write_text("\n".join([*lines, ""]))
    subprocess.run([assembler, "m.s", "-o", "m.o"], cwd=tmp_path, check=True)
    objcopy = assembler.removesuffix("as") + "objcopy"
    subprocess.run([objcopy, "-O", "binary", "-j", ".text", "m.o", "m"], cwd=tmp_path, check=True)
    assert (tmp_path / "m").read_bytes() == machine._assemble(listing)


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
