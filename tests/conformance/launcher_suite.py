"""What every launcher owes, whatever it isolates: a suite to derive a class from for each launcher.

class TestMine(LauncherSuite):
    exceptions = {"test_name": "why this launcher cannot"}

    def make(self, directory): return Launches(MyLauncher(), directory)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from launcher.errors import CommandNotExecutable, CommandNotFound, InvalidRequest, LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.process_attributes import Nice, Rlimit
from tests.launcher.support import WAITS, Launches, drain, kill, wait_for_end

root = pytest.mark.requires("root")

# Leaves two processes that are nobody's children: one in the task's session, and a daemon.
ORPHAN = "(sh -c 'echo $$; exec sleep 1000' &); read line"
DAEMON = "(setsid sh -c 'echo $$; exec sleep 1000' &); read line"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


class LauncherSuite:
    """The behaviours. What a launcher cannot do is in `exceptions`, by the name of the test."""

    exceptions: ClassVar[Mapping[str, str]] = {}

    def make(self, directory: Path) -> Launches:
        """The launcher to test, with the namespaces that its tasks get by default."""
        raise NotImplementedError

    @pytest.fixture
    def launches(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launches]:
        name = getattr(request.node, "originalname", "")
        if name in self.exceptions:
            pytest.skip(self.exceptions[name])
        launches = self.make(tmp_path)
        yield launches
        launches.close()

    @pytest.fixture
    def unusual(self, tmp_path: Path) -> Path:
        """A directory of files that are hard to execute."""
        (tmp_path / "plain").write_text("#!/bin/sh\n")
        (tmp_path / "no-shebang").write_text("echo no\n")
        (tmp_path / "no-interpreter").write_text("#!/no/such/interpreter\n")
        for name in ("no-shebang", "no-interpreter"):
            (tmp_path / name).chmod(0o755)
        return tmp_path

    # What a task finds ------------------------------------------------------------------------

    def test_the_working_directory(self, launches: Launches, tmp_path: Path) -> None:
        assert launches.run("pwd").stdout == "/\n"
        assert launches.run("pwd", working_directory=str(tmp_path)).stdout == f"{tmp_path}\n"

    def test_a_working_directory_that_is_none(self, launches: Launches) -> None:
        launched = launches.clone("true", working_directory="/etc/passwd")
        with pytest.raises(LaunchFailed, match="cannot enter the working directory: /etc/passwd"):
            launched.task.release()

    def test_the_environment_is_what_was_asked(self, launches: Launches) -> None:
        values = {"PATH": os.defpath, "A": "1 \n=", "EMPTY": ""}
        done = launches.run("env", "-0", environment=values)
        found = dict(item.split("=", 1) for item in done.stdout.rstrip("\0").split("\0"))
        assert found.pop("HOME")
        assert found == values

    def test_a_home_that_was_asked_for(self, launches: Launches) -> None:
        done = launches.run("sh", "-c", "echo $HOME", environment={"PATH": os.defpath, "HOME": "/mine"})
        assert done.stdout == "/mine\n"

    @root
    @pytest.mark.parametrize(
        ("user", "ids"), [("nobody", "65534 65534"), ("7:8", "7 8"), ("daemon:nogroup", "1 65534")]
    )
    def test_the_user(self, launches: Launches, user: str, ids: str) -> None:
        assert launches.run("sh", "-c", "echo $(id -u) $(id -g)", user=user).stdout == f"{ids}\n"

    def test_a_user_that_nobody_knows(self, launches: Launches) -> None:
        with pytest.raises(LaunchFailed, match="cannot resolve the user: nobody-at-all: no such user"):
            launches.clone("true", user="nobody-at-all").task.release()

    def test_limits_nice_value_and_umask(self, launches: Launches) -> None:
        limits = {"nofile": Rlimit(soft=20, hard=30), "core": Rlimit(soft=0, hard=0)}
        attributes = {"rlimits": limits, "nice": Nice(value=5), "umask": 0o027}
        show = "ulimit -Sn; ulimit -Hn; ulimit -c; nice; umask"
        assert launches.run("sh", "-c", show, **attributes).lines == ["20", "30", "0", "5", "0027"]
        assert launches.run("sh", "-c", "umask").stdout == "0022\n"

    def test_three_descriptors_are_open(self, launches: Launches) -> None:
        """Though the launcher has some that anybody would inherit."""
        inherited = [os.dup(2) for _ in range(20)]
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        try:
            show = "for number in $(seq 0 99); do [ -e /proc/self/fd/$number ] && echo $number; done"
            assert launches.run("sh", "-c", show).lines == ["0", "1", "2"]
        finally:
            for descriptor in inherited:
                os.close(descriptor)

    def test_no_signal_is_ignored_or_blocked(self, launches: Launches) -> None:
        done = launches.run("grep", "-E", "SigBlk|SigIgn", "/proc/self/status")
        known = sum(1 << (number - 1) for number in signal.valid_signals())  # but the two of glibc's own
        assert [int(line.split()[1], 16) & known for line in done.lines] == [0, 0]

    def test_the_task_leads_a_session_of_its_own(self, launches: Launches) -> None:
        launched = launches.start(*WAITS, namespaces=launches.no_pid_namespace)
        launched.line()
        assert os.getsid(launched.task.pid) == os.getpgid(launched.task.pid) == launched.task.pid

    # The end ----------------------------------------------------------------------------------

    def test_orphans_end_with_the_task(self, launches: Launches) -> None:
        launched = launches.start("sh", "-c", ORPHAN, namespaces=launches.no_pid_namespace)
        orphan = os.pidfd_open(int(launched.line()))
        launched.end_input()
        assert drain(launched.stdout) == "", "the orphan has the pipe open until it ends"
        assert launched.task.exit_status() == ExitStatus(code=1)
        wait_for_end(orphan)

    def test_daemons_end_with_the_task(self, launches: Launches) -> None:
        launched = launches.start("sh", "-c", DAEMON, namespaces=launches.no_pid_namespace)
        daemon = os.pidfd_open(int(launched.line()))
        launched.task.destroy()
        wait_for_end(daemon)

    def test_a_supervisor_killed_while_the_task_runs(self, launches: Launches) -> None:
        """The orphan, which nothing but the container ties to it, is left to `destroy`."""
        launched = launches.start("sh", "-c", ORPHAN)
        launched.line()
        ended = os.pidfd_open(launched.task.pid)
        kill(launched.supervisor)
        assert launched.task.exit_status() is None
        launched.task.destroy()
        wait_for_end(ended)
        assert drain(launched.stdout) == "", "all that had it open has ended"
        assert not launched.exit_status_path.exists()

    @pytest.mark.parametrize("held", [fcntl.LOCK_EX, fcntl.LOCK_SH, None])
    def test_who_holds_the_lock_spares_the_reaper(
        self, launches: Launches, tmp_path: Path, held: int | None
    ) -> None:
        """One that is shared is no caretaker's, and where there is no file there is none."""
        lock, reaped = tmp_path / "lock", tmp_path / "reaped"
        with contextlib.ExitStack() as stack:
            if held is not None:
                fcntl.flock(stack.enter_context(lock.open("w")), held)
            reaper = ("/bin/sh", "-c", f"touch {reaped}")
            launched = launches.start("cat", reaper=reaper, caretaker=str(lock))
            supervisor = os.pidfd_open(launched.supervisor)
            launched.task.abandon()
            launched.end_input()
            wait_for_end(supervisor)  # which becomes the reaper
        assert reaped.exists() == (held != fcntl.LOCK_EX)
        assert launched.recorded.status == ExitStatus(code=0)

    @pytest.mark.parametrize("code", [0, 3, 255])
    def test_the_exit_code_is_told_and_recorded(self, launches: Launches, code: int) -> None:
        started = time.time()
        launched = launches.start("sh", "-c", f"exit {code}")
        assert launched.task.exit_status() == ExitStatus(code=code)
        assert launched.task.exit_status() == ExitStatus(code=code), "asking twice changes nothing"
        recorded = launched.recorded
        assert recorded.status == ExitStatus(code=code)
        assert started <= recorded.finished_at <= time.time()

    def test_a_signal_is_told_and_recorded(self, launches: Launches) -> None:
        launched = launches.start("sh", "-c", "kill -SEGV $$", namespaces=launches.no_pid_namespace)
        assert launched.task.exit_status() == ExitStatus(signal=11)
        assert launched.recorded.status == ExitStatus(signal=11)

    @pytest.mark.parametrize("number", [2, 9, 15])
    def test_a_signal_of_ours_ends_the_task(self, launches: Launches, number: int) -> None:
        launched = launches.start(*WAITS, namespaces=launches.no_pid_namespace)
        launched.line()
        launched.task.signal(number)
        assert launched.task.exit_status() == ExitStatus(signal=number)

    @pytest.mark.parametrize("number", [0, -1, 65, 4096])
    def test_an_invalid_signal_harms_nobody(self, launches: Launches, number: int) -> None:
        launched = launches.start(*WAITS)
        with pytest.raises(InvalidRequest, match=f"invalid signal number {number}"):
            launched.task.signal(number)
        launched.end_input()
        assert launched.task.exit_status() == ExitStatus(code=1)

    def test_the_output_ends_with_the_task(self, launches: Launches) -> None:
        """While the launcher, the supervisor and the fork server live on."""
        launched = launches.start("echo", "hello")
        assert drain(launched.stdout) == "hello\n"
        assert drain(launched.stderr) == ""

    def test_the_task_reads_its_input(self, launches: Launches) -> None:
        launched = launches.start("cat")
        os.write(launched.stdin, b"in and out")
        launched.end_input()
        assert drain(launched.stdout) == "in and out"

    @pytest.mark.parametrize(
        ("command", "error", "text"),
        [
            (
                "no-such-command",
                CommandNotFound,
                "cannot execute 'no-such-command': no such file or directory",
            ),
            ("{}/nothing", CommandNotFound, "nothing': no such file or directory"),
            ("", CommandNotFound, "cannot execute '': no such file or directory"),
            (
                "{}/no-interpreter",
                CommandNotFound,
                "its interpreter or dynamic linker is missing in the image",
            ),
            ("{}/plain", CommandNotExecutable, "plain': permission denied"),
            ("{}/no-shebang", CommandNotExecutable, "no-shebang': exec format error"),
            ("{}", CommandNotExecutable, "permission denied"),
            ("{}/plain/below", CommandNotFound, "below': no such file or directory"),
        ],
    )
    def test_what_cannot_be_executed(
        self, launches: Launches, unusual: Path, command: str, error: type[LaunchFailed], text: str
    ) -> None:
        launched = launches.clone(command.format(unusual))
        with pytest.raises(error) as raised:
            launched.task.release()
        assert text in raised.value.message
        assert raised.value.hint
        launched.task.destroy()
        assert not launched.exit_status_path.exists(), "what never ran has no exit status"

    def test_a_large_environment_arrives(self, launches: Launches) -> None:
        values = {f"V{number}": "x" * 100_000 for number in range(12)}
        done = launches.run("sh", "-c", "echo ${#V0} ${#V11}", environment={"PATH": os.defpath, **values})
        assert done.lines == ["100000 100000"]

    def test_arguments_are_bytes(self, launches: Launches) -> None:
        argument = os.fsdecode(b"\xff\n \xf0\x9f\x90\x8b'\"")
        launched = launches.start("printf", "%s", argument)
        assert os.read(launched.stdout, 100) == os.fsencode(argument)

    def test_too_many_arguments_say_so(self, launches: Launches) -> None:
        launched = launches.clone("true", *["x" * 100_000] * 80)
        with pytest.raises(CommandNotExecutable, match=os.strerror(errno.E2BIG).lower()) as raised:
            launched.task.release()
        assert "128 KiB" in str(raised.value.hint)

    @pytest.mark.parametrize("own_pids", [True, False], ids=["pid", "no pid"])
    @pytest.mark.parametrize("stage", ["cloned", "running", "ended", "told", "failed"])
    def test_destroy_at_every_stage(self, launches: Launches, stage: str, own_pids: bool) -> None:
        namespaces = launches.namespaces if own_pids else launches.no_pid_namespace
        launched = launches.clone(*(("/no/such",) if stage == "failed" else WAITS), namespaces=namespaces)
        pid, supervisor = launched.task.pid, launched.supervisor
        ended = os.pidfd_open(supervisor)
        if stage == "failed":
            with pytest.raises(LaunchFailed):
                launched.task.release()
        elif stage != "cloned":
            launched.task.release()
            launched.line()
        if stage in ("ended", "told"):
            launched.end_input()
            drain(launched.stdout)
        if stage == "told":
            assert launched.task.exit_status() == ExitStatus(code=1)
        for _ in range(2):
            launched.task.destroy()
        assert not is_there(pid)
        wait_for_end(ended)

    def test_closing_without_release_ends_the_child(self, launches: Launches) -> None:
        launched = launches.clone("echo", "never")
        ended = os.pidfd_open(launched.task.pid)
        launched.task.abandon()
        wait_for_end(ended)
        assert drain(launched.stdout) == ""

    def test_a_supervisor_killed_before_the_release(self, launches: Launches) -> None:
        launched = launches.clone("true")
        ended = os.pidfd_open(launched.task.pid)
        kill(launched.supervisor)
        with pytest.raises(LaunchFailed, match="its supervisor was killed"):
            launched.task.release()
        wait_for_end(ended)

    def test_a_child_killed_before_the_release(self, launches: Launches) -> None:
        launched = launches.clone("true")
        ended = os.pidfd_open(launched.task.pid)
        os.kill(launched.task.pid, signal.SIGKILL)
        wait_for_end(ended)
        with pytest.raises(LaunchFailed, match="cannot prepare the task: the child was killed"):
            launched.task.release()
        assert launched.task.exit_status() is None
        assert not launched.exit_status_path.exists()

    def test_a_signal_that_crosses_the_end_does_not_hide_the_exit_status(self, launches: Launches) -> None:
        """The supervisor, stopped, finds both at once; what it does not read resets the channel."""
        launched = launches.start("sh", "-c", "echo runs; read line; exit 7")
        launched.line()
        supervisor = launched.supervisor
        ended = os.pidfd_open(launched.task.pid)
        os.kill(supervisor, signal.SIGSTOP)
        launched.end_input()
        wait_for_end(ended)
        launched.task.signal(signal.SIGTERM)
        launched.task.signal(signal.SIGKILL)
        os.kill(supervisor, signal.SIGCONT)
        gone = os.pidfd_open(supervisor)
        wait_for_end(gone)
        assert launched.task.exit_status() == ExitStatus(code=7)

    def test_a_release_that_was_interrupted(self, launches: Launches) -> None:
        """The task may be there or not when destroy() comes; the answer to the release was not read."""
        launched = launches.clone(*WAITS)
        launched.task._send_release()
        launched.line()
        launched.task.destroy()
        assert not is_there(launched.task.pid)

    def test_an_exit_status_that_cannot_be_written_is_told_all_the_same(self, launches: Launches) -> None:
        launched = launches.clone("sh", "-c", "exit 5")
        launched.exit_status_path.mkdir()  # which no file can replace
        launched.task.release()
        assert launched.task.exit_status() == ExitStatus(code=5)

    def test_fifty_launches_leak_nothing(self, launches: Launches) -> None:
        launches.run("true")
        before = descriptors()
        for _ in range(50):
            assert launches.run("true").status == ExitStatus(code=0)
        assert descriptors() == before
