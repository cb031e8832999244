"""Launch programs: what is written is what the machine does, and what it says of a failure.

Each by the machine, by the engine, and by the machine of another processor, under QEMU.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from fcntl import F_GETFD
from pathlib import Path

import pytest

from launcher import init, protocol
from launcher.program import assembler, listings, machine, numbers, runner
from launcher.program.assembler import ANY, MAX_DATA, ROOT, Label, Program, TooLarge
from launcher.program.messages import OPENED, REPORT, message_with_descriptor, tell
from launcher.program.start import Command
from tests.launcher.support import TIMEOUT

AT_FDCWD = -100
QEMU = "qemu-aarch64-static"
PR_GET_DUMPABLE = 3

Run = Callable[[Program], runner.Sent]
Reports = Callable[[Program], list[int]]


def emulated(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    qemu = shutil.which(QEMU)
    if qemu is None:
        pytest.skip(f"{QEMU} is not installed (apt-get install qemu-user-static)")
    monkeypatch.setattr(assembler, "NUMBERS", numbers.numbers("aarch64"))
    # QEMU 7.2 has no PR_SET_CHILD_SUBREAPER.
    monkeypatch.setattr(init, "_PR_SET_CHILD_SUBREAPER", PR_GET_DUMPABLE)
    executable = directory / "machine"
    executable.write_bytes(machine.elf(listings.LISTINGS["aarch64"]))
    executable.chmod(0o755)
    return Command(qemu, (QEMU, str(executable)))


@pytest.fixture(params=["machine", "engine", "aarch64"])
def command(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command | None:
    """What runs programs; None is what is chosen here."""
    if request.param == "aarch64":
        return emulated(tmp_path, monkeypatch)
    return runner.engine_command() if request.param == "engine" else None


@pytest.fixture
def ended(command: Command | None) -> Run:
    def run(program: Program) -> runner.Sent:
        program.call("exit_group", 0)
        return runner.run(program, command)

    return run


@pytest.fixture
def reports(ended: Run) -> Reports:
    return lambda program: ended(program).reports


def test_results_are_arguments_of_later_calls(tmp_path: Path, ended: Run) -> None:
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


def test_a_result_is_stored_where_it_is_wanted(tmp_path: Path, ended: Run) -> None:
    program = Program()
    place = program.slot()
    program.call("getpid", store=place)
    file = program.call("openat", AT_FDCWD, os.fsencode(tmp_path / "pid"), os.O_WRONLY | os.O_CREAT, 0o600)
    program.call("write", file, int(place), 4)
    ended(program)
    assert int.from_bytes((tmp_path / "pid").read_bytes(), sys.byteorder) > 1


@pytest.mark.parametrize(("flags", "told"), [(os.O_RDONLY, [1, 3]), (os.O_WRONLY | os.O_CREAT, [2, 3])])
def test_a_program_goes_on_where_a_result_tells_it_to(
    tmp_path: Path, reports: Reports, flags: int, told: list[int]
) -> None:
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


def test_programs_that_begin_with_the_same_routine(ended: Run) -> None:
    """It runs where each of them says, with what each has put in its place; without that not at all."""
    made: list[str] = []

    def routine(program: Program) -> None:
        made.append(program.stage)
        tell(program, REPORT, 2)
        program.call("close", ROOT)

    beginning = Program.beginning_with("the routine", routine)
    for expected in ([1, 2, 3], [1, 2, 3], [1, 3]):
        program = beginning.copy()
        program.call("openat", AT_FDCWD, b"/", os.O_RDONLY, store=ROOT)
        tell(program, REPORT, 1)
        if 2 in expected:
            program.run_routine()
        tell(program, REPORT, 3)
        assert ended(program).reports == expected
    assert made == ["the routine"]


def test_the_failure_of_a_routine_names_its_call(ended: Run) -> None:
    program = Program.beginning_with("the routine", write_nowhere).copy()
    program.run_routine()
    with pytest.raises(OSError, match="nowhere") as caught:
        ended(program)
    assert caught.value.errno == errno.ENOENT


def write_nowhere(program: Program) -> None:
    program.call("openat", AT_FDCWD, b"/nowhere", os.O_WRONLY, on="/nowhere")


def test_zero_is_not_positive(reports: Reports) -> None:
    program, elsewhere = Program(), Label()
    program.call("umask", 0)
    program.call("umask", 0, then=elsewhere)
    tell(program, REPORT, 7)
    program.place(elsewhere)
    assert reports(program) == [7]


@pytest.mark.parametrize(("expected", "told"), [(0o27, [1]), (0o22, [2, 1]), (0, [2, 1])])
def test_a_program_goes_on_elsewhere_after_the_number_that_it_expects(
    reports: Reports, expected: int, told: list[int]
) -> None:
    program, there = Program(), Label()
    number = program.buffer(expected.to_bytes(4, sys.byteorder), 4)
    program.call("umask", 0o27)
    program.call("umask", 0, then=there, equals=number)
    tell(program, REPORT, 2)
    program.place(there)
    tell(program, REPORT, 1)
    assert reports(program) == told


def test_zero_can_be_expected(reports: Reports) -> None:
    program, there = Program(), Label()
    program.call("umask", 0)
    program.call("umask", 0, then=there, equals=program.buffer(bytes(4), 4))
    tell(program, REPORT, 2)
    program.place(there)
    tell(program, REPORT, 1)
    assert reports(program) == [1]


@pytest.mark.parametrize("tolerated", [(13, 2), (1, 13, 20, 2), (ANY,)])
def test_an_error_that_is_tolerated_is_none(reports: Reports, tolerated: tuple[int, ...]) -> None:
    program = Program()
    program.call("openat", AT_FDCWD, b"/no/such/file", os.O_RDONLY, tolerate=tolerated)
    tell(program, REPORT, 1)
    assert reports(program) == [1]


@pytest.mark.parametrize("tolerated", [(), (13,), (1, 13, 20, 22)])
def test_an_error_that_is_not_ends_the_program_by_name(ended: Run, tolerated: tuple[int, ...]) -> None:
    program = Program()
    program.stage = "look for it"
    program.call("openat", AT_FDCWD, b"/", os.O_RDONLY)
    program.call("openat", AT_FDCWD, b"/no/such", os.O_RDONLY, on="/no/such", tolerate=tolerated)
    with pytest.raises(FileNotFoundError, match="'/no/such'"):
        ended(program)


def test_what_is_written_aside_comes_last(reports: Reports) -> None:
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


def test_a_program_of_the_largest_size_runs(reports: Reports) -> None:
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


def test_a_slot_is_a_signed_number(reports: Reports) -> None:
    """AT_FDCWD, say."""
    program = Program()
    here = program.buffer(AT_FDCWD.to_bytes(4, sys.byteorder, signed=True), 4)
    program.call("faccessat", assembler.Slot(here), b".", 0)
    tell(program, REPORT, 1)
    assert reports(program) == [1]


def test_descriptors_are_sent(ended: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    program = Program()
    message = message_with_descriptor(program, OPENED)
    path = os.fsencode(tmp_path / "file")
    program.call("openat", AT_FDCWD, path, os.O_RDONLY, store=message.descriptor)
    program.call("sendmsg", assembler.CHANNEL, message.header, 0)
    (descriptor,) = ended(program).descriptors
    with open(descriptor) as file:
        assert file.read() == "content"


def test_nothing_else_is_open() -> None:
    """What was needed to put descriptors in their places is not."""
    program = Program()
    with open(os.devnull) as file:
        passed = program.pass_descriptor(file.fileno())
        for number in set(range(passed + 1, 64)) - inheritable():
            closed = Label()
            program.call("fcntl", number, F_GETFD, 0, tolerate=(errno.EBADF,), otherwise=closed)
            tell(program, REPORT, number)
            program.place(closed)
        program.call("exit_group", 0)
        assert runner.run(program).reports == []


def inheritable() -> set[int]:
    """The descriptors of this process that every program it starts has."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the directory itself
            if os.get_inheritable(int(name)):
                found.add(int(name))
    return found


def test_descriptors_are_passed(ended: Run) -> None:
    reader, writer = os.pipe()
    program = Program()
    passed = program.pass_descriptor(writer)
    program.call("write", passed, b"through", 7)
    ended(program)
    os.close(writer)
    with open(reader) as file:
        assert file.read() == "through"


def test_a_failure_ends_the_process_with_127(command: Command | None) -> None:
    program = Program()
    program.call("chdir", b"/no/such")
    assert os.waitstatus_to_exitcode(status_of(program, command)) == 127


# PID 1 -------------------------------------------------------------------------------------------


def status_of(program: Program, command: Command | None) -> int:
    """As waitpid(2) tells, of a program that waits for nobody."""
    own_end, child_end = protocol.channel()
    with own_end:
        with child_end:
            pid = start(program, child_end, command)
        return collect(pid)


def collect(pid: int) -> int:
    """Its status as waitpid(2) tells; it is killed if it does not end."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(TIMEOUT * 1000):
        os.kill(pid, signal.SIGKILL)
    os.close(pidfd)
    return os.waitpid(pid, 0)[1]


def start(program: Program, channel: socket.socket, command: Command | None) -> int:
    return runner.start_program(program, channel, command)


def task_of(*argv: str) -> Program:
    """A program that stays as the init of a command."""
    program = Program()
    init.split(program)
    execute(program, *argv)
    return program


def execute(program: Program, *argv: str) -> None:
    arguments = program.pointers(map(os.fsencode, argv))
    program.call("execve", os.fsencode(argv[0]), arguments, program.pointers(()))


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_init_ends_as_its_task_does(command: Command | None, script: str, code: int) -> None:
    status = status_of(task_of("/bin/sh", "-c", script), command)
    assert os.waitstatus_to_exitcode(status) == code


def test_init_collects_what_others_leave(command: Command | None) -> None:
    if command and command.argv[0] == QEMU:
        pytest.skip("QEMU has no subreapers, which others' orphans would go to")
    orphan = "pid=$(/bin/sh -c '/bin/true >/dev/null & echo $!')"
    wait = "for i in $(/usr/bin/seq 500); do [ -d /proc/$pid ] || exit 3; /bin/sleep 0.01; done; exit 1"
    status = status_of(task_of("/bin/sh", "-c", f"{orphan}; {wait}"), command)
    assert os.waitstatus_to_exitcode(status) == 3


def test_init_hands_signals_on(command: Command | None) -> None:
    reader, writer = os.pipe()
    program = Program()
    program.call("dup3", program.pass_descriptor(writer), 2, 0)  # what stays open in the task
    init.split(program)
    execute(program, "/bin/sh", "-c", "trap 'exit 9' USR1; echo runs >&2; while :; do /bin/sleep 0.01; done")
    own_end, child_end = protocol.channel()
    with own_end, open(reader, "rb", buffering=0) as output:
        with child_end:
            pid = start(program, child_end, command)
        os.close(writer)
        assert output.read(5) == b"runs\n"
        os.kill(pid, signal.SIGUSR1)
        status = collect(pid)
    assert os.waitstatus_to_exitcode(status) == 9
