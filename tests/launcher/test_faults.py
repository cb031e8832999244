"""Faults that a launcher survives: what is killed, stopped, full, exhausted or recycled around it.

Those of the fork server alone are in test_forkserver, those of one process of a launch in
test_lifetime and the launchers' suite.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import exit_record
from launcher.exit_status import ExitStatus
from launcher.launch_info import IdMapping
from launcher.stdio import Pipes
from tests.launcher.support import NO_PID_NAMESPACE, WAITS, Launches, drain, kill, wait_for_end

pytestmark = pytest.mark.requires("root")

ROOT = Path(__file__).parents[2]
MAPS = {"uid_map": (IdMapping(0, 100_000, 1000),), "gid_map": (IdMapping(0, 100_000, 1000),)}
TIMEOUT = 60  # seconds until a program counts as hung

# What every program below begins with: a launcher by name, and a task of it.
PROLOGUE = """
import os, signal, subprocess, sys
from launcher.launch_info import LaunchInfo
from launcher.base import LaunchRequest
from launcher.linux import LinuxLauncher
from launcher.posix import PosixLauncher
from launcher.stdio import Inherit

def launch(launcher, namespaces, status, command, reaper=()):
    info = LaunchInfo(argv=("/bin/sh", "-c", command), namespaces=namespaces)
    request = LaunchRequest(
        container_id="t", info=info, stdio=Inherit(0, 1, 2), exit_status_path=status, reaper=reaper
    )
    task = launcher.launch(request)
    task.release()
    return task

def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])

how, status, *arguments = sys.argv[1:]
launcher = PosixLauncher(in_process=True) if how == "posix" else LinuxLauncher(in_process=how == "in process")
namespaces = {} if how == "posix" else {"mnt": "new"}
"""


def run_program(code: str, how: str, directory: Path, *arguments: str, within: tuple[str, ...] = ()) -> str:
    """The output of a program that launches, in a process of its own."""
    command = [*within, sys.executable, "-c", PROLOGUE + code, how, str(directory / "status"), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# Killed -------------------------------------------------------------------------------------------

AGENT = """
server = lambda: launcher._server.pid if launcher._server else 0
task = launch(launcher, namespaces, status, "read line; exit 6", ("/bin/sh", "-c", arguments[0]))
print(task.pid, server(), flush=True)
signal.pause()
"""


@contextlib.contextmanager
def agent(how: str, directory: Path, reaped: Path) -> Iterator[subprocess.Popen[bytes]]:
    reaper = f"od -An -tu1 {directory}/status > {reaped}"
    command = [sys.executable, "-c", PROLOGUE + AGENT, how, str(directory / "status"), reaper]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("both", [False, True], ids=["agent", "agent and fork server"])
@pytest.mark.parametrize("how", ["fork server", "in process", "posix"])
def test_the_agent_killed(how: str, both: bool, tmp_path: Path) -> None:
    """The task runs on, and at its end the supervisor records the status and cleans up."""
    reaped = tmp_path / "reaped"
    os.mkfifo(reaped)
    with agent(how, tmp_path, reaped) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        pid, server = map(int, process.stdout.readline().split())
        if both and server:
            os.kill(server, signal.SIGSTOP)  # or it would end by itself when the agent has gone
        process.kill()
        process.wait()
        if both and server:
            kill(server)
        assert Path(f"/proc/{pid}").exists()
        process.stdin.close()  # and so the task ends
        record = bytes(map(int, reaped.read_text().split()))
        assert exit_record.unpack(record).status == ExitStatus(code=6)


# Stopped, and hidden ------------------------------------------------------------------------------


def test_a_stopped_task_is_destroyed(launches: Launches) -> None:
    launched = launches.start(*WAITS, namespaces=NO_PID_NAMESPACE)
    launched.line()
    ended = os.pidfd_open(launched.task.pid)
    os.kill(launched.task.pid, signal.SIGSTOP)
    launched.task.destroy()
    wait_for_end(ended)


HIDING = "(setsid sh -c 'echo $$; exec sleep 1000 <&- >&- 2>&-' &); exec <&- >&- 2>&-; sleep 1000"


def test_a_task_that_forks_twice_and_closes_its_stdio(launches: Launches) -> None:
    """That its output ends says nothing of its end; and none of it is left."""
    launched = launches.start("sh", "-c", HIDING, namespaces=NO_PID_NAMESPACE)
    hidden = os.pidfd_open(int(launched.line()))
    assert drain(launched.stdout) == ""
    assert Path(f"/proc/{launched.task.pid}").exists()
    launched.task.signal(signal.SIGTERM)
    assert launched.task.exit_status() == ExitStatus(signal=signal.SIGTERM)
    wait_for_end(hidden)


# Exhausted ----------------------------------------------------------------------------------------

MANY = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
for descriptor in [os.dup(2) for _ in range(2000)]:
    os.set_inheritable(descriptor, True)
show = "for n in $(seq 0 2100); do [ -e /proc/self/fd/$n ] && echo $n; done; ls /proc/$PPID/fd | wc -l"
task = launch(launcher, namespaces, status, show)
assert task.exit_status().code == 0
task.destroy()
launcher.close()
"""


@pytest.mark.parametrize("how", ["fork server", "in process", "posix"])
def test_two_thousand_descriptors_inherited_by_accident(how: str, tmp_path: Path) -> None:
    *tasks, supervisors = run_program(MANY, how, tmp_path).split()
    assert tasks == ["0", "1", "2"]
    assert int(supervisors) < 20


LIMITED = """
import resource
from launcher.errors import LaunchFailed
launch(launcher, namespaces, status, "exit").destroy()
sys.dont_write_bytecode = True  # or it would be cut off, too
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    launch(launcher, namespaces, status, "echo runs")
except LaunchFailed as error:
    print(f"{error}; {error.hint}")
launcher.close()
"""


@pytest.mark.parametrize("how", ["fork server", "in process"])
def test_no_room_for_the_launch_program(how: str, tmp_path: Path) -> None:
    """Half of it is not run: what is missing is zeros."""
    said = run_program(LIMITED, how, tmp_path)
    assert said.startswith("cannot write the launch program: files in memory: file too large")
    assert "ulimit -f unlimited" in said


# Recycled -----------------------------------------------------------------------------------------

RECYCLED = """
task = launch(launcher, namespaces, status, "exec sleep 1000")
os.kill(parent(task.pid), signal.SIGKILL)
if how == "posix":
    os.kill(task.pid, signal.SIGKILL)
while True:  # we are the init of this PID namespace: what lost its parent is ours to collect
    pid, _ = os.waitpid(-1, 0)
    if pid == task.pid:
        break
with open("/proc/sys/kernel/ns_last_pid", "w") as file:
    file.write(str(task.pid - 1))
bystander = subprocess.Popen(["sleep", "1000"])
assert bystander.pid == task.pid, (bystander.pid, task.pid)
task.signal(signal.SIGKILL)
task.destroy()
assert bystander.poll() is None
bystander.kill()
bystander.wait()
print("spared")
"""


@pytest.mark.parametrize("how", ["in process", "posix"])
def test_a_recycled_pid_is_nobodys_victim(how: str, tmp_path: Path) -> None:
    within = ("unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child")
    assert run_program(RECYCLED, how, tmp_path, within=within) == "spared\n"


# Full ---------------------------------------------------------------------------------------------

FULL = """
import errno
from launcher import exit_record
reader, writer = os.pipe()
os.dup2(reader, 0)
task = launch(launcher, namespaces, status, "read line; exit 9")
while not (os.path.exists(status + ".new") and os.path.getsize(status + ".new")):
    os.sched_yield()  # until the supervisor has reserved its room
with open(os.path.dirname(status) + "/filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC
os.close(writer)
os.close(0)
os.close(reader)
assert task.exit_status().code == 9
task.destroy()
print(exit_record.read(status).status.code)
"""


@pytest.mark.parametrize("how", ["in process", "posix"])
def test_a_full_disk_when_the_exit_status_is_recorded(how: str, tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=64k none {tmp_path} && exec "$@"'
    within = ("unshare", "--mount", "sh", "-c", mount, "sh")
    assert run_program(FULL, how, tmp_path, within=within) == "9\n"


# Refused ------------------------------------------------------------------------------------------


@pytest.mark.requires("cgroup1")
def test_no_process_is_left_for_a_supervisor_of_ours(tmp_path: Path) -> None:
    """The fork in process fails with EAGAIN; and once there is room again, it works."""
    cgroup = Path(f"/sys/fs/cgroup/pids/containerizer-test-fork-{os.getpid()}")
    cgroup.mkdir()
    try:
        output = run_program(REFUSED, "in process", tmp_path, str(cgroup))
        assert output.startswith("cannot fork the supervisor: [Errno 11]")
        assert output.endswith("again\n")
    finally:
        cgroup.rmdir()


REFUSED = """
from launcher.errors import LaunchFailed
cgroup = arguments[0]
def write(file, text):
    with open(f"{cgroup}/{file}", "w") as stream:
        stream.write(text)
write("cgroup.procs", str(os.getpid()))
write("pids.max", "1")
try:
    launch(launcher, namespaces, status, "echo never")
except LaunchFailed as error:
    print(error, flush=True)
write("pids.max", "max")
task = launch(launcher, namespaces, status, "echo again")
task.exit_status()
task.destroy()
with open(os.path.dirname(cgroup) + "/cgroup.procs", "w") as stream:
    stream.write(str(os.getpid()))
"""


# Ignored ------------------------------------------------------------------------------------------


@pytest.fixture
def children_ignored() -> Iterator[None]:
    """As a daemon may have it, and what it starts inherits: the kernel collects its children."""
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, former)


@pytest.mark.requires("userns")
def test_a_launcher_that_ignores_the_end_of_children(children_ignored: None, launches: Launches) -> None:
    own_users = {"namespaces": {"mnt": "new", "pid": "new", "user": "new"}, **MAPS}
    served = launches.serve("sh", "-c", "(exit 3); echo $?; exit 4", stdio=Pipes(), **own_users)
    assert served.task.exit_status() == ExitStatus(code=4)
    assert served.log[0][2] == "3"
