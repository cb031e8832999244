"""What the processes of a container without cgroups use: trees of real ones, and what leaves them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.posix.cpu import PosixCpu
from isolators.posix.mem import PosixMem
from isolators.posix.process_tree import Notes
from isolators.resources import Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from tests.isolators.support import WEB

MEBIBYTE = 1 << 20
TIMEOUT = 60  # seconds

# Each says "ready" when it is as the test wants it, and then waits for its input to end.
BURN = """
import os, sys, time
def burn(seconds):
    while sum(os.times()[:2]) < seconds: pass
"""
READY = "print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def flags(tmp_path: Path) -> Iterator[IsolatorFlags]:
    yield IsolatorFlags(own_state=str(tmp_path))
    assert os.listdir(tmp_path) == []


@contextmanager
def session(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A task as the posix launcher has it, which is ready."""
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            os.killpg(process.pid, 9)


@contextmanager
def measured(flags: IsolatorFlags, process: subprocess.Popen[bytes]) -> Iterator[Callable[[], Usage]]:
    """What posix/cpu says of it."""
    isolator = PosixCpu(flags)
    isolator.isolate(WEB, process.pid)
    yield lambda: PosixCpu(flags).usage(WEB)  # anybody's
    isolator.cleanup(WEB)


def seconds(usage: Usage) -> float:
    assert usage.cpu_user_seconds is not None
    assert usage.cpu_system_seconds is not None
    return usage.cpu_user_seconds + usage.cpu_system_seconds


def test_time_is_that_of_the_task_its_children_and_those_that_have_ended(flags: IsolatorFlags) -> None:
    program = f"""{BURN}
if (child := os.fork()) == 0:
    burn(0.3); os._exit(0)
os.waitpid(child, 0)
readable, writable = os.pipe()
if os.fork() == 0:
    burn(0.3); os.write(writable, b'x'); time.sleep(1000)
os.read(readable, 1)
burn(0.3)
{READY}"""
    with session(program) as process, measured(flags, process) as usage:
        told = usage()
        assert seconds(told) >= 0.85  # counted in ticks of 0.01, of each process
        assert (told.processes, told.threads) == (2, 2)


def test_children_of_threads_and_threads_are_counted(flags: IsolatorFlags) -> None:
    program = f"""{BURN}
import threading, subprocess
readable, writable = os.pipe()
def beget():
    script = f'echo >&{{writable}}; exec sleep 1000'
    with subprocess.Popen(['sh', '-c', script], pass_fds=[writable]): pass
threading.Thread(target=beget, daemon=True).start()
os.read(readable, 1)
{READY}"""
    with session(program) as process, measured(flags, process) as usage:
        told = usage()
        assert (told.processes, told.threads) == (2, 3)


def test_an_orphan_in_the_session_is_counted_and_a_daemon_is_not(flags: IsolatorFlags) -> None:
    program = f"""{BURN}
readable, writable = os.pipe()
for daemon in (False, True):
    if (child := os.fork()) == 0:
        if os.fork() == 0:
            if daemon: os.setsid()
            os.write(writable, b'%d\\n' % os.getpid()); os.close(writable); time.sleep(1000)
        os._exit(0)
    os.waitpid(child, 0)
lines = b''
while lines.count(b'\\n') < 2: lines += os.read(readable, 100)
{READY}"""
    with session(program) as process, measured(flags, process) as usage:
        try:
            assert usage().processes == 2
        finally:
            for name in os.listdir("/proc"):  # the daemon
                if name.isdecimal() and _is_sibling(int(name), process):
                    os.kill(int(name), 9)


def _is_sibling(pid: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether it runs the same program in another session."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return command == Path(f"/proc/{process.pid}/cmdline").read_bytes() and os.getsid(pid) != process.pid
    except OSError:
        return False


def test_memory_is_that_of_all_and_the_soft_limit_is_told_once(flags: IsolatorFlags) -> None:
    program = f"""{BURN}
readable, writable = os.pipe()
if os.fork() == 0:
    held = bytearray(os.urandom(1)) * (40 << 20); os.write(writable, b'x'); time.sleep(1000)
os.read(readable, 1)
held = bytearray(os.urandom(1)) * (20 << 20)
{READY}"""
    isolator = PosixMem(flags)
    asked = Resources(memory_reservation=32 * MEBIBYTE)
    isolator.check(asked)
    isolator.prepare(WEB, ContainerConfig(resources=asked))
    with session(program) as process:
        isolator.isolate(WEB, process.pid)
        usage = PosixMem(flags).usage(WEB)
        assert usage.memory_anon_bytes is not None
        assert usage.memory_bytes is not None
        assert 60 * MEBIBYTE <= usage.memory_anon_bytes <= usage.memory_bytes <= 110 * MEBIBYTE
        assert usage.memory_soft_limit_bytes == 32 * MEBIBYTE
        watch = isolator.watch(WEB)
        assert select.select([watch], [], [], TIMEOUT)[0]
        limitation = watch.check()
        assert limitation
        assert (limitation.fatal, limitation.resource, limitation.limit) == (False, "memory", 32 * MEBIBYTE)
        assert "requested 32.0 MiB" in limitation.message
        assert watch.check() is None
        assert not select.select([watch], [], [], 0)[0]
        watch.close()
        watch.close()
        isolator.update(WEB, Resources(memory_reservation=512 * MEBIBYTE))
        assert isolator.reached(WEB) == ()
        isolator.update(WEB, Resources(memory_reservation=-1))
        assert (isolator.reached(WEB), isolator.usage(WEB).memory_soft_limit_bytes) == ((), None)
    assert isolator.usage(WEB) == Usage()
    isolator.cleanup(WEB)


def test_one_that_has_not_passed_its_soft_limit_is_looked_at_again(flags: IsolatorFlags) -> None:
    isolator = PosixMem(flags)
    isolator.prepare(WEB, ContainerConfig(resources=Resources(memory_reservation=1 << 40)))
    with session(f"import sys\n{READY}") as process:
        isolator.isolate(WEB, process.pid)
        watch = isolator.watch(WEB)
        for _ in range(2):
            assert select.select([watch], [], [], TIMEOUT)[0]
            assert watch.check() is None
        watch.close()
    isolator.cleanup(WEB)


def test_a_process_that_has_the_pid_of_one_that_ended_is_not_measured(flags: IsolatorFlags) -> None:
    notes = Notes(os.path.join(flags.own_state, "posix-cpu"))
    notes.write(WEB, pid=os.getpid(), started=1)
    assert PosixCpu(flags).usage(WEB) == Usage()
    assert PosixCpu(flags).usage(ContainerId("unknown")) == Usage()
    notes.forget(WEB)


def test_a_negative_request_is_refused(flags: IsolatorFlags) -> None:
    with pytest.raises(InvalidRequest, match="invalid memory reservation of -2 bytes"):
        PosixMem(flags).check(Resources(memory_reservation=-2))
