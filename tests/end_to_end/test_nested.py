"""`exec` and containers in containers: they see what their container sees, and end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from launcher.container_id import MAX_DEPTH
from launcher.namespaces import KINDS
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

VIEW = (
    f"for kind in {' '.join(KINDS)}; do readlink /proc/self/ns/$kind; done; cat /proc/self/cgroup; id;"
    " hostname; grep -E 'Cap|NoNewPrivs|Uid|Gid|Groups' /proc/self/status; echo $COLOUR; pwd; ls /"
)
WAITS = ("sh", "-c", f"{VIEW}; echo end; read line")


def until_end(process: subprocess.Popen[str]) -> list[str]:
    """The lines up to the one that says `end`."""
    assert process.stdout is not None
    return list(iter(lambda: process.stdout.readline().rstrip("\n") if process.stdout else "", "end"))


@pytest.mark.parametrize(
    "options", [(), ("--userns", "auto"), ("-u", "1000:1000"), ("--cap-drop", "ALL", "--init")]
)
def test_a_command_sees_what_the_container_does(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    same = ("-e", "COLOUR=red", "-w", "/srv", "-m", "64m")
    with cli.start("run", "-i", "--rm", "--name", "seen", *options, *same, busybox, *WAITS) as process:
        seen = until_end(process)
        done = cli("exec", "seen", "sh", "-c", VIEW)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == seen
        process.communicate("\n")


@pytest.mark.anyone
def test_options_input_and_exit_code(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "opt", busybox, *WAITS) as process:
        until_end(process)
        script = "echo $COLOUR; pwd; id -u; cat; exit 7"
        options = ("-i", "-e", "COLOUR=blue", "-w", "/tmp", "-u", "7")
        done = cli("exec", *options, "opt", "sh", "-c", script, stdin="given")
        assert (done.returncode, done.stdout) == (7, "blue\n/tmp\n7\ngiven")
        assert cli("exec", "opt", "no-such-command").returncode == 127
        process.communicate("\n")


def test_nothing_of_the_host_comes_along(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "tight", busybox, *WAITS) as process:
        until_end(process)
        assert cli("exec", "tight", "ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3"]
        assert "unreachable" not in cli("exec", "tight", "readlink", "/proc/self/cwd").stdout
        process.communicate("\n")


def test_in_a_container_whose_task_is_stopped(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "still", busybox, *WAITS) as process:
        until_end(process)
        (pid,) = (int(str(c["pid"])) for c in cli.containers() if c["id"] == "still")
        os.kill(pid, signal.SIGSTOP)
        assert cli("exec", "still", "echo", "goes").stdout == "goes\n"
        os.kill(pid, signal.SIGCONT)
        process.communicate("\n")


def test_a_container_that_has_ended_or_never_was(cli: Cli, busybox: str) -> None:
    cli("run", "--name", "over", busybox, "true")
    done = cli("exec", "over", "true")
    assert (done.returncode, "container over is not running" in done.stderr) == (125, True)
    nested = cli("run", "--name", "over.nested", busybox, "true")
    assert (nested.returncode, "container over is not running" in nested.stderr) == (125, True)
    cli("rm", "over")
    assert "no container never" in cli("exec", "never", "true").stderr


def test_a_detached_command_ends_with_the_container(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "host", busybox, *WAITS) as process:
        until_end(process)
        name = cli("exec", "-d", "host", "sleep", "1000").stdout.strip()
        assert name.startswith("host.exec-")
        assert "sleep 1000" in cli("exec", "host", "ps").stdout
        process.communicate("\n")
        assert process.returncode == 0


def test_a_nested_container_shares_and_has_its_own(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "pod", "-m", "64m", busybox, *WAITS) as process:
        outer = dict(line.split(":", 1) for line in until_end(process) if "[" in line)
        with cli.start("run", "-i", "--rm", "--name", "pod.db", busybox, *WAITS) as nested:
            lines = until_end(nested)
            inner = dict(line.split(":", 1) for line in lines if "[" in line)
            assert {kind for kind in outer if outer[kind] == inner[kind]} == {
                "net",
                "ipc",
                "uts",
                "user",
                "time",
            }
            assert "pod" in lines, "the host name is the parent's"
            assert cli("exec", "pod.db", "sh", "-c", "echo $PPID").stdout == "0\n"
            assert "read line" in cli("exec", "pod", "ps").stdout, "the parent sees its processes"
            nested.communicate("\n")
        process.communicate("\n")


@pytest.mark.requires("userns")
def test_nested_in_a_user_namespace(cli: Cli, busybox: str) -> None:
    with cli.start(
        "run", "-i", "--rm", "--userns", "300000:1000", "--name", "users", busybox, *WAITS
    ) as process:
        until_end(process)
        script = "cat /proc/self/uid_map; touch /new; stat -c %u /new"
        done = cli("run", "--rm", "--name", "users.in", busybox, "sh", "-c", script)
        assert done.stderr == ""
        assert done.stdout.split() == ["0", "300000", "1000", "0"]
        process.communicate("\n")


@pytest.mark.anyone
def test_the_end_of_the_parent_is_the_nested_ones(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "top", busybox, *WAITS) as process:
        until_end(process)
        with cli.start("run", "-i", "--rm", "--name", "top.down", busybox, *WAITS) as nested:
            until_end(nested)
            process.communicate("\n")
            nested.communicate()
            assert nested.returncode != 0


def test_too_deep(fresh: Cli) -> None:
    name = ".".join(f"c{level}" for level in range(MAX_DEPTH + 1))
    done = fresh("run", "--rm", "--name", name, "host", "true")
    assert (done.returncode, "nested deeper than 32 levels" in done.stderr) == (125, True)
    assert not Path(fresh.state).exists()


def test_ps_lists_what_is_inside_and_beginnings_name_it(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "outer", busybox, *WAITS) as process:
        until_end(process)
        cli("run", "-d", "--rm", "--name", "outer.inner", busybox, "sleep", *["1"] * 30)
        assert cli("ps", "-q").stdout.split() == ["outer", "outer.inner"]
        assert cli("exec", "out.in", "hostname").stdout == "outer\n"
        assert cli("logs", "o.i").returncode == 0
        long = "sleep" + " 1" * 30
        assert long not in cli("ps").stdout
        assert long in cli("ps", "--no-trunc").stdout
        assert cli("ps", "--format", "json").stdout == cli("ps", "--json").stdout
        assert cli("kill", "o.i").returncode == 0
        process.communicate("\n")


def test_a_plan_takes_the_parent_into_account(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "around", busybox, *WAITS) as process:
        until_end(process)
        planned = cli("plan", "--json", "--name", "around.within", busybox, "true")
        plan = json.loads(planned.stdout)
        assert plan["owners"]["namespaces[net]"] == "parent"
        assert "hostname" not in plan["launch_info"], "it is the parent's"
        process.communicate("\n")
    assert "no container around" in cli("plan", "--name", "around.within", busybox, "true").stderr


def test_a_nested_container_can_be_among_its_parents_processes(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "around", busybox, *WAITS) as process:
        until_end(process)
        within = ("run", "--rm", "--name", "around.within", "--pid", "container:around", busybox)
        done = cli(*within, "sh", "-c", "ps -o pid,args | grep -c '[r]ead line'; readlink /proc/self/ns/pid")
        seen = cli("exec", "around", "readlink", "/proc/self/ns/pid").stdout
        assert (done.stdout, done.stderr) == (f"1\n{seen}", "")
        process.communicate("\n")


def test_one_may_have_namespaces_of_its_own(cli: Cli, busybox: str) -> None:
    """Of networks, IPC and host names, each by itself; and what is in it, and its commands, have them too."""
    kinds = ("net", "ipc", "uts")
    script = (
        f"for kind in {' '.join(kinds)}; do readlink /proc/self/ns/$kind; done; hostname; ip -o link | wc -l"
    )

    def told(*argv: str) -> list[str]:
        done = cli(*argv, "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    with cli.start("run", "-i", "--rm", "--name", "out", "--userns", "auto", busybox, *WAITS) as process:
        until_end(process)
        around = told("exec", "out")
        for kind in kinds:
            seen = told("run", "--rm", "--name", "out.in", "--ns", f"{kind}=new", busybox)
            own = {each for each, mine, theirs in zip(kinds, seen, around, strict=False) if mine != theirs}
            assert own == {kind}
            assert seen[3:] == ["in" if kind == "uts" else "out", "1"]
        private = ("--ns", "net=new", "--ns", "ipc=new", "--ns", "uts=new", "--hostname", "own")
        with cli.start("run", "-i", "--rm", "--name", "out.in", *private, busybox, *WAITS) as inner:
            until_end(inner)
            seen = told("exec", "out.in")
            assert not set(seen[:3]) & set(around[:3])
            assert seen[3:] == ["own", "1"]
            assert told("run", "--rm", "--name", "out.in.most", busybox) == seen
            inner.communicate("\n")
        process.communicate("\n")
