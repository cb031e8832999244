"""What a task does not get from its launcher: descriptors, signals, a terminal, privileges."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import exit_record
from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.kernel import capabilities
from launcher.launch_info import Capabilities
from tests.launcher.support import ALL_NEW, WAITS, Launches, status_of

pytestmark = pytest.mark.requires("root")

ROOT = Path(__file__).parents[2]
FEW = ("CAP_CHOWN", "CAP_NET_BIND_SERVICE")


@pytest.fixture
def many_open() -> Iterator[list[int]]:
    """200 descriptors that execve(2) does not close."""
    descriptors = [os.dup(0) for _ in range(200)]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.usefixtures("many_open")
def test_no_descriptor_but_the_stdio(launches: Launches) -> None:
    done = launches.run("ls", "/proc/self/fd")
    assert done.lines == ["0", "1", "2", "3"], "3 is what ls(1) reads the directory from"


@pytest.mark.usefixtures("many_open")
def test_the_supervisor_holds_few(launches: Launches) -> None:
    launched = launches.start(*WAITS)
    launched.line()
    directory = Path(f"/proc/{launched.supervisor}/fd")
    held = [os.readlink(descriptor).partition(":")[0] for descriptor in directory.iterdir()]
    assert set(held) == {"/dev/null", "socket", exit_record.being_written(str(launched.exit_status_path))}
    assert len(held) < 10


def test_signals_are_as_from_init(launches: Launches) -> None:
    """Python ignores SIGPIPE, whoever came by posix_spawn(3) signal 32, and this process does two more."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        status = status_of(launches.run("cat", "/proc/self/status").stdout)
    finally:
        signal.signal(signal.SIGUSR2, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert {status[field] for field in ("SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


@pytest.mark.parametrize(("asked", "seen"), [(True, "1"), (None, "0")])
def test_no_new_privileges_and_umask(launches: Launches, asked: bool | None, seen: str) -> None:
    umask = os.umask(0o077)
    try:
        status = status_of(launches.run("cat", "/proc/self/status", no_new_privileges=asked).stdout)
    finally:
        os.umask(umask)
    assert (status["NoNewPrivs"], status["Umask"]) == (seen, "0022")


def test_a_session_without_a_terminal(launches: Launches) -> None:
    pid, _, _, _, group, session, terminal, *_ = (
        launches.run("cat", "/proc/self/stat").stdout.replace("(cat)", "cat").split()
    )
    assert (pid, group, session, terminal) == ("1", "1", "1", "0")


ON_A_TERMINAL = """
import os, sys
from launcher.launch_info import LaunchInfo
from launcher.base import LaunchRequest
from launcher.linux import LinuxLauncher
from launcher.stdio import Inherit
script = "(: </dev/tty) 2>/dev/null && echo terminal || echo none"
info = LaunchInfo(argv=("/bin/sh", "-c", script), namespaces={"mnt": "new"})
request = LaunchRequest(container_id="t", info=info, stdio=Inherit(0), exit_status_path=sys.argv[2])
launcher = LinuxLauncher(in_process=sys.argv[1] == "in process")
task = launcher.launch(request)
task.release()
task.exit_status()
task.destroy()
launcher.close()
"""


@pytest.mark.parametrize("how", ["in process", "fork server"])
def test_a_task_on_the_launchers_terminal_does_not_control_it(how: str, tmp_path: Path) -> None:
    """Its stdio may be the terminal, but it cannot push input into it (TIOCSTI) or be signalled by it."""
    master, terminal = pty.openpty()
    argv = ["setsid", "--ctty", sys.executable, "-c", ON_A_TERMINAL, how, str(tmp_path / "status")]
    done = subprocess.run(argv, stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT)
    assert (done.returncode, os.read(master, 100)) == (0, b"none\r\n")
    os.close(terminal)
    os.close(master)


@pytest.mark.parametrize("how", ["in process", "fork server"])
def test_a_launcher_without_stdio(how: str, tmp_path: Path) -> None:
    """A daemon may have closed 0, 1 and 2: then sockets get these numbers."""
    script = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from launcher.launch_info import LaunchInfo
from launcher.base import LaunchRequest
from launcher.linux import LinuxLauncher
from launcher.stdio import Inherit
out = os.open("out", os.O_RDWR | os.O_CREAT)
os.dup2(out, 9)
os.closerange(0, 3)
info = LaunchInfo(argv=("/bin/echo", "hello"), namespaces={{"mnt": "new", "pid": "new"}})
path = os.getcwd() + "/status"
request = LaunchRequest(container_id="t", info=info, stdio=Inherit(9, 9, 9), exit_status_path=path)
launcher = LinuxLauncher(in_process={how == "in process"})
for _ in range(2):
    task = launcher.launch(request)
    task.release()
    assert task.exit_status().code == 0
    task.destroy()
launcher.close()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path)
    assert (done.returncode, (tmp_path / "out").read_text()) == (0, "hello\nhello\n")


def sets_of(status: dict[str, str]) -> dict[str, tuple[str, ...]]:
    names = {"CapBnd": "bounding", "CapEff": "effective", "CapPrm": "permitted", "CapInh": "inheritable"}
    names["CapAmb"] = "ambient"
    return {
        name: tuple(cap for n, cap in enumerate(capabilities.NAMES) if int(status[field], 16) >> n & 1)
        for field, name in names.items()
    }


SAME = Capabilities(bounding=FEW, effective=FEW, permitted=FEW)
WITH_INHERITABLE = Capabilities(bounding=FEW, effective=FEW, permitted=FEW, inheritable=FEW)
WITH_AMBIENT = Capabilities(bounding=FEW, effective=FEW, permitted=FEW, inheritable=FEW, ambient=FEW[1:])


@pytest.mark.parametrize(
    ("user", "asked", "expected"),
    [
        ("0", SAME, {"bounding": FEW, "effective": FEW, "permitted": FEW}),
        ("0", Capabilities(), {}),
        ("0", WITH_INHERITABLE, dict.fromkeys(("bounding", "effective", "permitted", "inheritable"), FEW)),
        ("1000", SAME, {"bounding": FEW}),
        ("1000", Capabilities(), {}),
        ("1000", WITH_INHERITABLE, {"bounding": FEW, "inheritable": FEW}),
        (
            "1000",
            WITH_AMBIENT,
            {
                "bounding": FEW,
                "inheritable": FEW,
                **dict.fromkeys(("effective", "permitted", "ambient"), FEW[1:]),
            },
        ),
    ],
)
def test_capabilities_are_those_asked_for(
    launches: Launches, user: str, asked: Capabilities, expected: dict[str, tuple[str, ...]]
) -> None:
    done = launches.run("cat", "/proc/self/status", user=user, capabilities=asked)
    assert done.status == ExitStatus(code=0), done.stderr
    found = sets_of(status_of(done.stdout))
    assert {name: caps for name, caps in found.items() if caps} == expected


def test_the_child_cannot_be_traced_before_it_is_the_task(launches: Launches) -> None:
    """Not even by root of a PID namespace that it joins: its memory is the launcher's still."""
    first = launches.start(*WAITS)
    first.line()
    kinds = {kind: f"/proc/{first.task.pid}/ns/{kind}" for kind in ("mnt", "pid")}
    script = "echo runs; read pid; readlink /proc/$pid/exe || echo refused"
    limited = launches.start("sh", "-c", script, namespaces=kinds, capabilities=SAME)
    limited.line()
    blocked = launches.clone("true", namespaces=kinds)
    nspid = status_of(Path(f"/proc/{blocked.task.pid}/status").read_text())["NSpid"].split()[-1]
    os.write(limited.stdin, f"{nspid}\n".encode())
    assert limited.line() == "refused"


@pytest.mark.parametrize("asked", [{}, {"HOME": "/elsewhere"}])
def test_home_is_the_users_unless_given(launches: Launches, asked: dict[str, str]) -> None:
    environment = {"PATH": os.defpath, **asked}
    done = launches.run("sh", "-c", "id -u; echo $HOME", user="daemon", environment=environment)
    assert done.lines == ["1", asked.get("HOME", "/usr/sbin")]


def test_the_groups_are_the_requested_ones(launches: Launches) -> None:
    done = launches.run("sh", "-c", "id -u; id -g; id -G", user="1234:4321")
    assert done.lines == ["1234", "4321", "4321"]


def test_the_working_directory_is_made(launches: Launches, tmp_path: Path) -> None:
    deep = tmp_path / "made" / "for" / "it"
    assert launches.run("pwd", working_directory=str(deep)).lines == [str(deep)]
    assert deep.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9, 10, 64])
def test_no_working_directory_by_a_leaked_descriptor(in_process: Launches, number: int) -> None:
    """CVE-2024-21626: a descriptor of the host's /sys/fs/cgroup that was still open at this moment."""
    launched = in_process.clone("pwd", working_directory=f"/proc/self/fd/{number}", namespaces=ALL_NEW)
    with pytest.raises(LaunchFailed, match=f"cannot enter the working directory: .*/{number}"):
        launched.task.release()
