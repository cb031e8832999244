"""Attaching to a task: readers at their own pace, writers, replay, and the end."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import attach_protocol as wire
from launcher.attach import Attachment, Hello, NotServed
from launcher.exit_status import ExitStatus
from launcher.linux import LinuxLauncher
from launcher.stdio import Pipes, Terminal
from tests.launcher.support import Launches, Reader, Served

pytestmark = pytest.mark.requires("root")

ECHO = ("sh", "-c", 'echo ready; while read line; do echo "got $line"; done; echo end; exit 5')


@contextlib.contextmanager
def attached(served: Served, *, replay: bool = True, paced: bool = False) -> Iterator[Reader]:
    with served.connect() as attachment:
        attachment.attach(replay=replay, paced=paced)
        yield Reader(attachment)


def test_both_streams_and_the_exit_status(launches: Launches) -> None:
    served = launches.serve("sh", "-c", "read x; echo out $x; echo err >&2; exit 3", stdio=Pipes(stdin=True))
    with attached(served) as reader:
        reader.attachment.write(b"typed\n")
        reader.to_the_end()
        assert (reader.stdout, reader.stderr, reader.status) == ("out typed\n", "err\n", ExitStatus(code=3))
    assert served.task.exit_status() == ExitStatus(code=3)
    assert served.log == [("stdout", "F", "out typed"), ("stderr", "F", "err")]


def test_who_connects_before_the_task_runs_misses_nothing(launches: Launches) -> None:
    served = launches.served("echo", "at once", stdio=Pipes())
    with attached(served) as reader:
        served.task.release()
        served.task.exit_status()
        reader.to_the_end()
    assert (reader.stdout, reader.status) == ("at once\n", ExitStatus(code=0))


def test_killed_tells_the_signal(in_process: Launches) -> None:
    served = in_process.serve(*ECHO, stdio=Pipes(stdin=True))
    with attached(served) as reader:
        reader.until("ready")
        reader.attachment.signal(signal.SIGKILL)
        assert reader.to_the_end().status == ExitStatus(signal=signal.SIGKILL)


def test_several_readers_and_two_writers(in_process: Launches) -> None:
    served = in_process.serve(*ECHO, stdio=Pipes(stdin=True))
    with attached(served) as one, attached(served) as two, attached(served) as three:
        one.attachment.write(b"one\n")
        for reader in (one, two, three):
            reader.until("got one")
        two.attachment.write(b"two\n")
        one.until("got two")
        two.attachment.end_input()
        for reader in (one, two, three):
            reader.to_the_end()
            assert reader.stdout == "ready\ngot one\ngot two\nend\n"
            assert reader.status == ExitStatus(code=5)


def test_who_leaves_changes_nothing_and_may_come_back(in_process: Launches) -> None:
    served = in_process.serve(*ECHO, stdio=Pipes(stdin=True))
    with attached(served) as reader:
        reader.until("ready")
    with attached(served) as again:
        assert again.until("ready") == "ready\n", "replayed"
        again.attachment.write(b"again\n")
        again.until("got again")
    with attached(served, replay=False) as late:
        late.attachment.write(b"late\n")
        assert late.until("got late") == "got late\n", "nothing of before"
        late.attachment.end_input()
        assert late.to_the_end().status == ExitStatus(code=5)


def test_what_is_typed_after_the_end_of_input_is_dropped(in_process: Launches) -> None:
    served = in_process.serve("sh", "-c", "cat; read x; echo over", stdio=Pipes(stdin=True))
    with attached(served) as reader:
        reader.attachment.write(b"a\n")
        reader.attachment.end_input()
        reader.attachment.write(b"b\n")
        assert reader.to_the_end().stdout == "a\nover\n"


@pytest.mark.parametrize("replayed", [False, True])
def test_who_types_and_leaves_at_once_is_heard(in_process: Launches, replayed: bool) -> None:
    """Though our frames to it, unread, reset the connection."""
    script = "echo ready; read x < fifo; cat; exit 6"
    served = in_process.serve("sh", "-c", script, stdio=Pipes(stdin=True), **_fifo(in_process))
    with attached(served) as reader:
        reader.until("ready")
        with served.connect() as hasty:
            if replayed:
                hasty.attach()
            for number in range(3):
                hasty.write(b"%d\n" % number)
            hasty.end_input()
        (in_process.directory / "fifo").write_text("go\n")
        assert reader.to_the_end().stdout == "ready\n0\n1\n2\n"
        assert reader.status == ExitStatus(code=6)


def test_hello_tells_what_the_task_has(in_process: Launches) -> None:
    for stdio, expected in (
        (Pipes(), Hello(False, False)),
        (Pipes(stdin=True), Hello(False, True)),
        (Terminal(), Hello(True, True)),
    ):
        served = in_process.serve("sleep", "1000", stdio=stdio)
        with served.connect() as attachment:
            assert attachment.receive() == expected


def test_the_replay_is_the_last_64_kib(in_process: Launches) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo ready; read x"
    served = in_process.serve("sh", "-c", script, stdio=Pipes(stdin=True))
    with attached(served) as watching:
        watching.until("ready")
    with attached(served) as reader:
        reader.until("ready")
        assert len(reader.stdout) == 64 * 1024
        assert reader.skipped == 0


def test_a_reader_that_never_reads_does_not_hold_up_the_task(in_process: Launches) -> None:
    served = in_process.served("head", "-c", str(50 << 20), "/dev/zero", stdio=Pipes())
    with attached(served) as stuck:
        served.task.release()
        assert served.task.exit_status() == ExitStatus(code=0)
        stuck.to_the_end()
        assert stuck.skipped + len(stuck.output[wire.STDOUT]) == 50 << 20
        assert stuck.skipped > 40 << 20


def test_a_paced_reader_that_never_reads_holds_it_up_for_a_moment_only(in_process: Launches) -> None:
    served = in_process.served("head", "-c", str(50 << 20), "/dev/zero", stdio=Pipes())
    with attached(served, paced=True) as stuck:
        served.task.release()
        assert served.task.exit_status() == ExitStatus(code=0)
        stuck.to_the_end()
        assert stuck.skipped + len(stuck.output[wire.STDOUT]) == 50 << 20


@pytest.mark.parametrize("stdio", [Pipes(), Terminal()])
def test_a_paced_reader_loses_nothing(in_process: Launches, stdio: Pipes | Terminal) -> None:
    served = in_process.served("seq", "500000", stdio=stdio)
    with attached(served, paced=True) as reader:
        served.task.release()
        reader.to_the_end()
        assert reader.skipped == 0
        assert reader.stdout == "".join(f"{i}\n" for i in range(1, 500_001))


def test_a_task_that_does_not_read_costs_no_memory(in_process: Launches) -> None:
    """The writer is told to wait, and what it could send arrives when the task reads."""
    served = in_process.serve(
        "sh", "-c", "read go < fifo; wc -c", stdio=Pipes(stdin=True), **_fifo(in_process)
    )
    with attached(served) as reader:
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < 64 << 20:
                reader.attachment.write(bytes(wire.CHUNK))
                sent += wire.CHUNK
        (in_process.directory / "fifo").write_text("go\n")
        while True:
            with contextlib.suppress(BlockingIOError):
                reader.attachment.end_input()
                break
            os.sched_yield()
        assert int(reader.to_the_end().stdout) == sent


def _fifo(launches: Launches) -> dict[str, str]:
    os.mkfifo(launches.directory / "fifo")
    return {"working_directory": str(launches.directory)}


@pytest.mark.parametrize(
    "frame", [b"\xff", b"\x04", b"\x07\x00", b"\x08junk!", b"\x08\xff\xff\xff\xff", bytes(wire.CHUNK + 2)]
)
def test_who_sends_nonsense_is_disconnected_alone(in_process: Launches, frame: bytes) -> None:
    served = in_process.serve(*ECHO, stdio=Pipes(stdin=True))
    with attached(served) as reader, served.connect() as hostile:
        hostile._connection.send(frame)
        assert isinstance(hostile.receive(), Hello)
        assert hostile.receive() is None
        reader.attachment.write(b"on\n")
        reader.until("got on")


def test_a_signal_that_there_is_not_harms_nobody(in_process: Launches) -> None:
    served = in_process.serve(*ECHO, stdio=Pipes(stdin=True))
    with attached(served) as reader:
        for number in (0, 65, 255):
            reader.attachment.signal(number)
        reader.attachment.resize(65535, 65535)
        reader.attachment.write(b"on\n")
        reader.until("got on")


def test_the_socket_is_for_its_owner_and_gone_at_the_end(in_process: Launches) -> None:
    served = in_process.serve(*ECHO, stdio=Pipes(stdin=True))
    assert stat.S_IMODE(os.stat(served.service.socket).st_mode) == 0o600
    with attached(served) as reader:
        served.task.destroy()
        reader.to_the_end()
    assert not os.path.exists(served.service.socket)
    with pytest.raises(NotServed, match="nobody serves"):
        served.connect()


def test_a_path_that_is_too_long_for_an_address(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    launches = Launches(LinuxLauncher(in_process=True), directory)
    with contextlib.closing(launches):
        served = launches.serve("echo", "far", stdio=Pipes())
        with contextlib.suppress(NotServed), attached(served) as reader:
            assert reader.to_the_end().stdout == "far\n"
        assert served.task.exit_status() == ExitStatus(code=0)


def test_a_daemonised_grandchild_that_holds_the_pipe_is_ended_too(in_process: Launches) -> None:
    """In no PID namespace, so that it outlives its parents; then nobody holds the pipe any more."""
    script = "(setsid sleep 1000 &) ; echo started"
    served = in_process.serve("sh", "-c", script, stdio=Pipes(), namespaces={"mnt": "new"})
    with attached(served) as reader:
        assert reader.to_the_end().status == ExitStatus(code=0)
    assert served.log == [("stdout", "F", "started")]


def test_a_task_that_double_forks_and_closes_its_stdio_lives_on(in_process: Launches) -> None:
    script = "exec <&- >&- 2>&-; (sleep 1000 &); read x < fifo; exit 4"
    served = in_process.serve("sh", "-c", script, stdio=Pipes(stdin=True), **_fifo(in_process))
    with attached(served) as reader:
        (in_process.directory / "fifo").write_text("go\n")
        assert reader.to_the_end().status == ExitStatus(code=4)


def test_two_thousand_descriptors_inherited_by_accident(in_process: Launches) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    extra = [os.dup(0) for _ in range(2000)]
    try:
        for descriptor in extra:
            os.set_inheritable(descriptor, True)
        served = in_process.served("sh", "-c", "echo /proc/self/fd/*", stdio=Pipes())
        with attached(served) as reader:
            served.task.release()
            seen = reader.to_the_end().stdout.split()
        assert len(seen) <= 4
    finally:
        for descriptor in extra:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nobody_attaches_to_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotServed):
        Attachment.connect(str(tmp_path / "none"))
