"""The engine: it does what the machine does, wherever that cannot be, and shields the host's interpreter."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.linux import LinuxLauncher
from launcher.program import engine, listings, machine, runner
from launcher.program.assembler import ANY, CHANNEL, Label, Program
from launcher.program.messages import PACKET, REPORT, tell
from launcher.program.start import Command
from tests.launcher.support import EngineLauncher, Launches

AT_FDCWD = -100
ROOT = Path(__file__).resolve().parents[2]

# Finds memory taken where the program belongs, the first time.
COLLIDES = """
import os, sys
sys.path.insert(0, sys.argv[1])
from launcher.program import engine
if "AGAIN" not in os.environ:
    os.environ["AGAIN"] = "1"
    engine._memory(engine.DATA + 65536, 65536)
engine.main()
"""

# As the first process of a PID namespace, which has its own setting.
FORBIDS = """
import sys
with open("/proc/sys/vm/memfd_noexec", "w") as file:
    file.write("2")
from launcher.program import machine, runner
from launcher.program.assembler import Program
from launcher.program.messages import REPORT, tell
print(machine.obstacle())
program = Program()
tell(program, REPORT, 7)
program.call("exit_group", 0)
print(runner.run(program).reports)
"""

# A task that has become its launcher's executable, and what it may do to it.
ATTACKS = """
import errno, json, os, stat
def attempt(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
exe, mode = "/proc/self/exe", stat.S_IMODE(os.stat("/proc/self/exe").st_mode)
tried = [
    attempt(os.chmod, exe, mode),
    attempt(os.chown, exe, 0, 0),
    attempt(os.utime, exe),
    attempt(os.setxattr, exe, "user.test", b""),
    attempt(os.truncate, exe, os.stat(exe).st_size),
]
print(json.dumps(tried))
"""


# The same as the machine ---------------------------------------------------------------------------

PATHS = (b"/", b"/proc/self", b"/no/such", b"/dev/null/x", b"/dev/null")
ERRORS = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.EINVAL, ANY)

_numbers = st.integers(-1, 12)  # some of them descriptors
_paths = st.sampled_from(PATHS)
_calls = st.one_of(
    st.tuples(st.just("openat"), st.just(AT_FDCWD), _paths, st.sampled_from((os.O_RDONLY, os.O_PATH))),
    st.tuples(st.just("faccessat"), st.just(AT_FDCWD), _paths, st.just(0)),
    st.tuples(st.just("chdir"), _paths),
    st.tuples(st.just("fchdir"), _numbers),
    st.tuples(st.just("umask"), st.integers(0, 0o777)),
    st.tuples(st.just("fcntl"), _numbers, st.just(1), st.just(0)),
    st.tuples(st.just("dup3"), _numbers, st.integers(8, 12), st.sampled_from((0, os.O_CLOEXEC, 1))),
)
_steps = st.tuples(
    _calls,
    st.lists(st.sampled_from(ERRORS), max_size=4),
    st.integers(0, 4),  # how many steps `then` skips, 0 for none,
    st.integers(0, 4),  # and `otherwise`
    st.booleans(),  # whether its argument is the last result
)


def written(steps: list[tuple[tuple[str | int | bytes, ...], list[int], int, int, bool]]) -> Program:
    """A program of these, each of which reports its result."""
    program = Program()
    labels = [Label() for _ in range(len(steps) + 5)]
    last = None
    for index, ((name, *arguments), tolerated, then, otherwise, from_slot) in enumerate(steps):
        assert isinstance(name, str)
        program.place(labels[index])
        if from_slot and last is not None and name in ("fchdir", "fcntl"):
            arguments[0] = last
        packet = program.buffer(PACKET.pack(REPORT, 0))
        last = program.call(
            name,
            *(argument for argument in arguments if not isinstance(argument, str)),
            on=index,
            store=packet + PACKET.size // 2,
            tolerate=tolerated,
            then=labels[index + then] if then else None,
            otherwise=labels[index + otherwise] if otherwise else None,
        )
        program.call("write", CHANNEL, packet, PACKET.size)
    for label in labels[len(steps) :]:
        program.place(label)
    tell(program, REPORT, 12345)
    program.call("exit_group", 0)
    return program


def outcome(program: Program, command: Command | None) -> object:
    try:
        return runner.run(program, command).reports
    except OSError as error:
        return error.errno, error.filename


@settings(max_examples=30, deadline=None)
@given(st.lists(_steps, min_size=1, max_size=12))
def test_it_does_what_the_machine_does(
    steps: list[tuple[tuple[str | int | bytes, ...], list[int], int, int, bool]],
) -> None:
    program = written(steps)
    assert outcome(program, runner.engine_command()) == outcome(program, None)


# Wherever the machine cannot be ------------------------------------------------------------------


def test_it_begins_again_where_it_finds_no_room() -> None:
    argv = (sys.executable, "-I", "-S", "-c", COLLIDES, str(ROOT))
    program = Program()
    tell(program, REPORT, 7)
    program.call("exit_group", 0)
    assert runner.run(program, Command(engine.EXECUTABLE, argv)).reports == [7]


def test_it_serves_where_there_is_no_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "LISTINGS", {})
    program = Program()
    tell(program, REPORT, 7)
    program.call("exit_group", 0)
    assert runner.run(program).reports == [7]


@pytest.mark.requires("root")
def test_tasks_are_launched_where_there_is_no_listing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By an ordinary fork: there is no code for the other one either."""
    monkeypatch.setattr(listings, "LISTINGS", {})
    launches = Launches(LinuxLauncher(in_process=True), tmp_path)
    try:
        assert launches.run("echo", "hello").stdout == "hello\n"
    finally:
        launches.close()


@pytest.mark.requires("root")
@pytest.mark.skipif(not Path("/proc/sys/vm/memfd_noexec").exists(), reason="vm.memfd_noexec needs Linux 6.3")
def test_it_serves_where_nothing_in_memory_may_be_executed() -> None:
    argv = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", FORBIDS]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["files in memory: permission denied", "[7]"], done.stderr


def test_here_the_machine_serves() -> None:
    assert machine.obstacle() is None


# What it shields ---------------------------------------------------------------------------------


@pytest.mark.requires("root")
@pytest.mark.parametrize("way", ["command", "script"])
def test_a_task_cannot_change_the_hosts_interpreter(tmp_path: Path, way: str) -> None:
    """It can become it, by /proc/self/exe: CVE-2019-5736. But nothing is writable by this mount."""
    attack = tmp_path / "attack"
    attack.write_text(ATTACKS)
    command = ["/proc/self/exe", str(attack)]
    if way == "script":
        script = tmp_path / "script"
        script.write_text(f"#!/proc/self/exe {attack}\n")
        script.chmod(0o755)
        command = [str(script)]
    launches = Launches(EngineLauncher(), tmp_path)
    try:
        done = launches.run(*command)
    finally:
        launches.close()
    assert json.loads(done.stdout) == ["EROFS"] * 5, done.stderr


@pytest.mark.requires("root")
def test_a_container_sees_none_of_the_hosts_paths(tmp_path: Path) -> None:
    launches = Launches(EngineLauncher(), tmp_path)
    try:
        done = launches.run("cat", "/proc/1/cmdline", init=True)
    finally:
        launches.close()
    assert done.stdout.rstrip("\0").split("\0") == ["containerizer", "init"]
