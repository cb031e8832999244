"""People and containers: `run -d`, `run -it` on a real terminal, `attach` and `logs`."""

from __future__ import annotations

import signal

import pytest

from tests.end_to_end.conftest import Cli
from tests.end_to_end.person import DETACH, person

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

SHELL = ("sh", "-c", "PS1=; echo ready; exec sh -i")


def test_detached_it_runs_on_and_its_log_is_kept(cli: Cli, busybox: str) -> None:
    script = "echo out; echo err >&2; exit 4"
    done = cli("run", "-d", "--name", "detached", busybox, "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "detached\n", "")
    followed = cli("logs", "-f", "detached")
    assert (followed.stdout, followed.stderr) == ("out\n", "err\n")
    assert cli("logs", "--tail", "0", "detached").stdout == ""
    cli.wait_for_reapers()
    (listed,) = cli.containers()
    assert listed["state"] == "terminated"
    assert listed["termination"] == {"exit_status": {"code": 4, "signal": None}, "limitation": None}
    assert listed["created_at"] <= listed["started_at"] <= listed["finished_at"]  # type: ignore[operator]
    assert "has ended" in cli("attach", "detached").stderr
    assert cli("rm", "detached").returncode == 0


def test_detached_with_rm_nothing_is_left(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--rm", "-i", "--name", "gone", busybox, "cat")
    assert cli("attach", "gone", stdin="typed\n").stdout == "typed\n"
    cli.wait_for_reapers()
    assert cli.left() == []


@pytest.mark.anyone
def test_a_terminal_session(cli: Cli, busybox: str) -> None:
    with person(cli, "run", "--rm", "-it", busybox, *SHELL) as me:
        before = me.modes
        me.sees(b"ready")
        assert me.modes != before, "raw"
        me.types(b"tty; stty size; echo $TERM; [ -c /dev/console ] && echo con''sole\r")
        me.sees(b"/dev/pts/0\r\n24 80\r\nxterm\r\nconsole")
        me.resizes(50, 132)
        me.types(b"sleep 0.1; until [ \"$(stty size)\" = '50 132' ]; do sleep 0.1; done; echo re''sized\r")
        me.sees(b"resized")
        me.types(b"exit 42\r")
        assert me.sees_the_end() == 42
        assert me.modes == before


def test_ctrl_c_is_the_tasks(cli: Cli, busybox: str) -> None:
    script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do :; done"
    with person(cli, "run", "--rm", "-it", busybox, "sh", "-c", script) as me:
        me.sees(b"ready")
        me.types(b"\x03")
        me.sees(b"interrupted")
        assert me.sees_the_end() == 9


@pytest.mark.anyone
def test_detach_and_attach_again(cli: Cli, busybox: str) -> None:
    with person(cli, "run", "--rm", "-it", "--name", "left", busybox, *SHELL) as me:
        before = me.modes
        me.sees(b"ready")
        me.types(b"value=ke''pt; echo $value\r")
        me.sees(b"kept\r\n")
        me.types(DETACH)
        assert me.sees_the_end() == 0
        me.sees(b"containerizer attach left")
        assert me.modes == before
        assert cli("ps", "-q").stdout == "left\n"
        with person(cli, "attach", "left") as again:
            again.sees(b"kept\r\n")  # replayed
            again.types(b"echo $value again; exit 3\r")
            again.sees(b"kept again")
            assert again.sees_the_end() == 3
        cli.wait_for_reapers()


def test_other_detach_keys(cli: Cli, busybox: str) -> None:
    with person(cli, "run", "--rm", "-it", "--detach-keys", "ctrl-x,d", busybox, *SHELL) as me:
        me.sees(b"ready")
        me.types(b"echo \x18no\x18d")
        assert me.sees_the_end() == 0


@pytest.mark.parametrize("keys", ["ctrl-", "ctrl-pp", "p,,q", "shift-a"])
def test_detach_keys_that_nobody_can_type(cli: Cli, busybox: str, keys: str) -> None:
    done = cli("run", "--rm", "-it", "--detach-keys", keys, busybox, "true")
    assert done.returncode == 125
    assert "invalid detach key" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_goes_to_the_task_and_restores_the_terminal(
    cli: Cli, busybox: str, number: signal.Signals
) -> None:
    script = "trap 'exit 6' TERM HUP; echo ready; while :; do :; done"
    with person(cli, "run", "--rm", "-it", busybox, "sh", "-c", script) as me:
        before = me.modes
        me.sees(b"ready")
        me.process.send_signal(number)
        assert me.sees_the_end() == 6
        assert me.modes == before


def test_a_killed_command_leaves_the_container_to_its_supervisor(cli: Cli, busybox: str) -> None:
    with person(cli, "run", "--rm", "-it", "--name", "orphan", busybox, *SHELL) as me:
        me.sees(b"ready")
        me.process.kill()
        me.process.wait()
        with person(cli, "attach", "orphan") as again:
            again.sees(b"ready")
            again.types(b"exit 5\r")
            assert again.sees_the_end() == 5
        cli.wait_for_reapers()


def test_what_runs_in_the_foreground_has_no_log(cli: Cli, busybox: str) -> None:
    cli("run", "--name", "plain", busybox, "true")
    assert "went to the command that ran it" in cli("logs", "plain").stderr
    assert "goes to the command" in cli("attach", "plain").stderr
    cli("rm", "plain")


def test_logs_since_and_timestamps(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", "dated", busybox, "sh", "-c", "echo one; sleep 0.01; echo two; printf three")
    lines = cli("logs", "-f", "-t", "dated").stdout.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["one", "two", "three"]
    second = lines[1].split(" ")[0]
    assert cli("logs", "--since", second, "dated").stdout == "two\nthree"
    assert cli("logs", "--since", "1h", "--tail", "1", "dated").stdout == "three"
    assert cli("logs", "--since", "2038-01-01", "dated").stdout == ""
    assert "invalid time" in cli("logs", "--since", "noon", "dated").stderr
    cli.wait_for_reapers()
    cli("rm", "dated")


def test_a_user_other_than_root_may_open_its_stdout_again(cli: Cli, busybox: str) -> None:
    for options in (["-d"], ["-d", "-t"]):
        script = "echo again > /dev/stdout; echo error > /proc/self/fd/2"
        cli("run", *options, "--name", "user", "-u", "1000", busybox, "sh", "-c", script)
        done = cli("logs", "-f", "user")
        assert "again" in done.stdout
        assert "error" in done.stdout + done.stderr
        cli.wait_for_reapers()
        cli("rm", "user")
