"""A task with a terminal: whose it is, its size, its end of file, and what it does to the task."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.kernel import terminal
from launcher.launch_info import Mount
from launcher.stdio import Terminal
from tests.launcher.support import NO_PID_NAMESPACE, Launches, Reader, Served

pytestmark = pytest.mark.requires("root")


@contextlib.contextmanager
def session(served: Served) -> Iterator[Reader]:
    with served.connect() as attachment:
        attachment.attach(paced=True)
        yield Reader(attachment)


def test_it_is_the_controlling_terminal_of_a_session(launches: Launches) -> None:
    script = "tty; stty size; cut -d ' ' -f 1,6,7 /proc/$$/stat; echo to-tty > /dev/tty; echo $TERM"
    served = launches.served("sh", "-c", script, stdio=Terminal(rows=33, columns=101))
    with session(served) as reader:
        served.task.release()
        tty, size, process, to_tty, term = reader.to_the_end().stdout.splitlines()
    assert tty.startswith("/dev/pts/")
    assert size == "33 101"
    number = os.makedev(136, int(tty.removeprefix("/dev/pts/")))  # devices.txt: the slaves of terminals
    assert process.split() == ["1", "1", str(number)], "its pid, its session, the session's terminal"
    assert (to_tty, term) == ("to-tty", "xterm")


def test_a_resize_reaches_the_task(in_process: Launches) -> None:
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do :; done"
    served = in_process.serve("sh", "-c", script, stdio=Terminal(rows=24, columns=80))
    with session(served) as reader:
        reader.until("ready")
        reader.attachment.resize(50, 132)
        assert "50 132\n" in reader.to_the_end().stdout


def test_keys_make_signals(in_process: Launches) -> None:
    script = "trap 'echo interrupted; exit 8' INT; echo ready; while :; do :; done"
    served = in_process.serve("sh", "-c", script, stdio=Terminal())
    with session(served) as reader:
        reader.until("ready")
        reader.attachment.write(b"\x03")
        assert reader.to_the_end().status == ExitStatus(code=8)
        assert "interrupted" in reader.stdout


@pytest.mark.parametrize("typed", [b"", b"line\r", b"in the middle"])
def test_the_end_of_the_input_is_typed(in_process: Launches, typed: bytes) -> None:
    served = in_process.serve("sh", "-c", "stty -echo; echo ready; cat; echo over", stdio=Terminal())
    with session(served) as reader:
        reader.until("ready")
        reader.attachment.write(typed)
        reader.attachment.end_input()
        assert reader.to_the_end().stdout == f"ready\n{typed.decode()}over\n".replace("\r", "\n")


def test_all_output_arrives_though_the_task_ends_at_once(in_process: Launches) -> None:
    served = in_process.served("seq", "200000", stdio=Terminal())
    with session(served) as reader:
        served.task.release()
        assert reader.to_the_end().stdout.endswith("\n199999\n200000\n")
    assert served.log[-1][2] == "200000"


def test_output_by_a_descriptor_that_is_opened_later(in_process: Launches) -> None:
    """All are closed for a while: a terminal that is hung up by that would not come back."""
    os.mkfifo(in_process.directory / "fifo")
    script = "t=$(tty); exec <&- >&- 2>&-; read x < fifo; echo back > $t"
    served = in_process.serve(
        "sh", "-c", script, stdio=Terminal(), working_directory=str(in_process.directory)
    )
    with session(served) as reader:
        (in_process.directory / "fifo").write_text("go\n")
        assert reader.to_the_end().stdout == "back\n"


def test_a_supervisor_that_is_killed_takes_the_task_along(in_process: Launches) -> None:
    served = in_process.serve("sh", "-c", "echo ready; sleep 1000", stdio=Terminal())
    with session(served) as reader:
        reader.until("ready")
        status = Path(f"/proc/{served.task.pid}/status").read_text()
        supervisor = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid"))
        os.kill(supervisor, signal.SIGKILL)
        assert reader.to_the_end().status is None
    assert served.task.exit_status() is None


def test_what_is_no_terminal_multiplexer_is_refused(in_process: Launches) -> None:
    """A hostile image may have anything at /dev/ptmx: it is opened without waiting, and asked."""
    os.mkfifo(in_process.directory / "ptmx")
    bind = Mount(target="/dev/ptmx", fstype="bind", source=str(in_process.directory / "ptmx"))
    served = in_process.served("true", stdio=Terminal(), namespaces=NO_PID_NAMESPACE, mounts=(bind,))
    with pytest.raises(LaunchFailed, match="open the terminal"):
        served.task.release()


def test_the_size_of_a_pair() -> None:
    master, slave = os.openpty()
    try:
        terminal.set_size(master, 7, 9)
        assert terminal.size(slave) == (7, 9)
        before = terminal.end_of_file(slave)
        with terminal.raw(slave):
            assert terminal.end_of_file(slave) == b""
        assert terminal.end_of_file(slave) == before == b"\x04"
    finally:
        os.close(master)
        os.close(slave)
