"""Relays: killed, and adopted from; too many tasks for one; a defect in one; what one must not hold."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.exit_status import ExitStatus
from launcher.io.relays import Relays
from launcher.kernel.pidfd import descriptor_of
from launcher.linux import LinuxLauncher
from launcher.stdio import Pipes, Terminal
from tests.launcher.support import TIMEOUT, Launches, Reader, Served, kill, parent, wait_for_end

pytestmark = pytest.mark.requires("root")

# Tells each line that comes in by a fifo, until one that says "end"; a fifo of its own never ends.
COUNTS = (
    'exec 3<>fifo; echo ready; while read line <&3; do [ "$line" = end ] && exit 7; echo "got $line"; done'
)

LINK = 6  # of a supervisor: launcher.supervisor


def relays_of(launches: Launches) -> list[int]:
    """The pids of those that serve this test."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{launches.directory}/relays/".encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def kill_the_relay(launches: Launches) -> None:
    (relay,) = relays_of(launches)
    kill(relay)


@contextlib.contextmanager
def attached(served: Served) -> Iterator[Reader]:
    with served.connect() as attachment:
        attachment.attach()
        yield Reader(attachment)


class Counting:
    """A task that writes a line whenever it is told to."""

    def __init__(self, launches: Launches, name: str, stdio: Pipes | Terminal) -> None:
        directory = launches.directory / name
        directory.mkdir()
        os.mkfifo(directory / "fifo")
        self._fifo = directory / "fifo"
        self.served = launches.serve("sh", "-c", COUNTS, stdio=stdio, working_directory=str(directory))

    def tell(self, line: str) -> None:
        self._fifo.write_text(f"{line}\n")

    @property
    def logged(self) -> list[str]:
        return [content.rstrip("\r") for _, _, content in self.served.log]


def revive(launches: Launches) -> None:
    Relays(str(launches.directory / "relays")).revive(wait=True)


def test_a_killed_relay_costs_no_task_its_stdio(launches: Launches) -> None:
    stdios = {"typed": Pipes(stdin=True), "pipes": Pipes(), "terminal": Terminal()}
    tasks = [Counting(launches, name, stdio) for name, stdio in stdios.items()]
    for task in tasks:
        with attached(task.served) as reader:
            reader.until("ready")
    for number in range(2):
        kill_the_relay(launches)
        for task in tasks:
            task.tell(f"{number} alone")
        if number:
            assert launches.serve("echo", "new", stdio=Pipes()).task.exit_status() == ExitStatus(code=0)
        revive(launches)
        for task in tasks:
            with attached(task.served) as reader:
                reader.until(f"got {number} alone")
                task.tell(f"{number} watched")
                reader.until(f"got {number} watched")
    for task in tasks:
        with attached(task.served) as reader:
            task.tell("end")
            assert reader.to_the_end().status == ExitStatus(code=7)
        assert task.served.task.exit_status() == ExitStatus(code=7)
        assert task.logged == ["ready", *(f"got {n} {how}" for n in (0, 1) for how in ("alone", "watched"))]
        assert not os.path.exists(task.served.service.socket)
    assert_all_over(launches)


def assert_all_over(launches: Launches) -> None:
    """The last relay goes, and leaves nothing."""
    pidfds = [os.pidfd_open(relay) for relay in relays_of(launches)]
    launches.launcher.close()
    for pidfd in pidfds:
        wait_for_end(pidfd)
    assert [path.name for path in (launches.directory / "relays").iterdir() if path.name != "errors"] == [
        "lock"
    ]
    assert (launches.directory / "relays" / "errors").read_text() == ""


def test_a_terminal_can_be_typed_at_after_its_relay_was_killed(in_process: Launches) -> None:
    served = in_process.serve("sh", "-c", "stty -echo; echo ready; read x; echo got $x", stdio=Terminal())
    with attached(served) as reader:
        reader.until("ready")
    kill_the_relay(in_process)
    revive(in_process)
    with attached(served) as reader:
        reader.attachment.resize(10, 20)
        reader.attachment.write(b"typed\r")
        assert reader.to_the_end().stdout == "got typed\n"
        assert reader.status == ExitStatus(code=0)


def test_an_adopted_task_can_be_signalled(in_process: Launches) -> None:
    served = in_process.serve("sleep", "1000", stdio=Pipes())
    kill_the_relay(in_process)
    revive(in_process)
    with attached(served) as reader:
        reader.attachment.signal(9)
        assert reader.to_the_end().status == ExitStatus(signal=9)


def test_a_task_that_ends_without_a_relay(in_process: Launches) -> None:
    task = Counting(in_process, "alone", Pipes())
    with attached(task.served) as reader:
        reader.until("ready")
    kill_the_relay(in_process)
    task.tell("end")
    assert task.served.task.exit_status() == ExitStatus(code=7)
    task.served.task.destroy()  # so that its supervisor is gone
    revive(in_process)
    assert not os.path.exists(task.served.service.socket)
    assert_all_over(in_process)


def test_killed_while_it_waits_for_a_reader_at_the_end(in_process: Launches) -> None:
    served = in_process.served("head", "-c", "200000", "/dev/zero", stdio=Pipes())
    with served.connect() as attachment:
        attachment.attach(paced=True)
        served.task.release()
        Reader(attachment).until("\0")
        kill_the_relay(in_process)
    revive(in_process)
    with contextlib.suppress(Exception), attached(served) as reader:
        reader.to_the_end()
    assert served.task.exit_status() == ExitStatus(code=0)


def test_a_defect_costs_no_task_its_stdio(in_process: Launches) -> None:
    """What no supervisor says stands for a defect of ours."""
    hit, other = (Counting(in_process, name, Pipes()) for name in ("hit", "other"))
    for task in hit, other:
        with attached(task.served) as reader:
            reader.until("ready")
    pidfd = os.pidfd_open(parent(hit.served.task.pid))
    link = socket.socket(fileno=descriptor_of(pidfd, LINK))
    os.close(pidfd)
    with attached(other.served) as undisturbed:
        with attached(hit.served) as reader, link:
            link.send(b"junk")
            assert reader.to_the_end().status is None
        revive(in_process)  # answered when it has taken the task up again
        for task in hit, other:
            with attached(task.served) as reader:
                task.tell("on")
                reader.until("got on")
                task.tell("end")
                assert reader.to_the_end().status == ExitStatus(code=7)
        assert undisturbed.to_the_end().stdout == "ready\ngot on\n"
    assert "the relay has failed" in hit.logged[1]
    assert "struct.error" in (in_process.directory / "relays" / "errors").read_text()


def test_a_note_that_makes_no_sense_costs_no_other_task_its_stdio(in_process: Launches) -> None:
    task = Counting(in_process, "sensible", Pipes())
    with attached(task.served) as reader:
        reader.until("ready")
    kill_the_relay(in_process)
    notes = in_process.directory / "relays" / "0"
    (note,) = notes.iterdir()
    wrong = json.loads(note.read_text()) | {"stdio": {"mode": "telepathy"}, "supervisor": 1}
    (notes / "1.json").write_text(json.dumps(wrong))
    (notes / "2.json").write_text("{")
    revive(in_process)
    assert list(notes.iterdir()) == [note]
    with attached(task.served) as reader:
        task.tell("on")
        reader.until("got on")


def test_more_tasks_than_a_relay_serves(tmp_path: Path) -> None:
    launches = Launches(LinuxLauncher(in_process=True, tasks_a_relay=2), tmp_path)
    with contextlib.closing(launches):
        tasks = [Counting(launches, str(number), Pipes()) for number in range(5)]
        assert len(relays_of(launches)) == 3
        for relay in relays_of(launches):
            kill(relay)
        revive(launches)
        assert len(relays_of(launches)) == 3
        for task in tasks:
            task.tell("end")
            assert task.served.task.exit_status() == ExitStatus(code=7)
        assert_all_over(launches)


def test_it_holds_nothing_of_its_launcher(in_process: Launches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the launcher")
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    os.set_inheritable(writer, True)
    in_process.serve("sleep", "1000", stdio=Pipes(stdin=True))
    (relay,) = relays_of(in_process)
    process = Path(f"/proc/{relay}")
    os.close(writer)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    assert poll.poll(TIMEOUT * 1000), "somebody still has the other end"
    os.close(reader)
    names = [os.readlink(path) for path in (process / "fd").iterdir()]
    errors = str(in_process.directory / "relays" / "errors")
    assert [name for name in names if name.startswith("/")] == ["/dev/null", "/dev/null", errors]
    # Two pipes to read and one to write; it listens twice, and has a launcher and a supervisor.
    kinds = [name.partition(":")[0] for name in names if "[" in name]
    assert kinds.count("pipe") == 3, "two to read and one to write"
    # It listens twice, and has a link, and a launcher or two connections of it.
    assert kinds.count("socket") in (4, 5)
    assert len(kinds) - kinds.count("socket") == 4, "and the task's pidfd"
    assert os.readlink(process / "cwd") == "/"
    assert b"SECRET" not in (process / "environ").read_bytes()
    assert os.getsid(relay) not in (0, os.getsid(0))
