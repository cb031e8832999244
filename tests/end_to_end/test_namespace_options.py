"""`run --userns`, `--time-offset` and `--init`: from the command line to the task."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.namespaces import KINDS
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

MAP = "cat /proc/self/uid_map; read line"
ALLOCATED = Path("/run/containerizer/users")


@pytest.mark.requires("userns")
def test_root_is_somebody_else_outside(cli: Cli, busybox: str) -> None:
    script = "id -u; cat /proc/self/uid_map /proc/self/gid_map; touch /new && stat -c %u /new /bin/sh"
    done = cli("run", "--rm", "--userns", "300000:1000", busybox, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [["0"], ["0", "300000", "1000"], ["0", "300000", "1000"], ["0"], ["0"]]


@pytest.mark.requires("userns")
def test_a_range_is_picked_by_the_name(cli: Cli, busybox: str) -> None:
    options = ("--rm", "--userns", "auto", busybox, "cat", "/proc/self/uid_map")
    one, again, other = (cli("run", "--name", name, *options).stdout.split() for name in ("a", "a", "b"))
    assert one == again
    assert int(one[1]) != int(other[1])
    assert one[2] == other[2] == "65536"


@pytest.mark.requires("userns")
def test_the_range_is_held_while_the_container_is_there(cli: Cli, busybox: str) -> None:
    """By all containers of the host, whatever their directories; the same name picks the same range."""
    other = Cli(cli.root, cli.state.with_name("other-state"))
    options = ("run", "-i", "--rm", "--userns", "auto")
    with cli.start(*options, "--name", "held", busybox, "sh", "-c", MAP) as process:
        assert process.stdout is not None
        held = process.stdout.readline().split()[1]
        (link,) = (path for path in ALLOCATED.iterdir() if os.readlink(path).endswith("/held"))
        process.communicate("\n")
        assert not link.is_symlink()
    assert other("run", "--rm", "--userns", "subuid:nobody-has-this", busybox, "true").returncode == 125
    again = other(*options, "--name", "held", busybox, "sh", "-c", MAP, stdin="\n").stdout.split()[1]
    assert again == held


@pytest.mark.parametrize("asked", ["0:65536", "300000:5", "300000:x", "-5", "4294967000:65536", "some"])
def test_an_impossible_range(cli: Cli, busybox: str, asked: str) -> None:
    done = cli("run", "--rm", f"--userns={asked}", busybox, "true")
    assert done.returncode == 125
    assert "invalid range of users" in done.stderr


def test_without_the_isolator_it_is_refused(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", "--isolation", "filesystem/linux", "--userns", "auto", busybox, "true")
    assert done.returncode == 125
    assert "no loaded isolator enforces userns; add namespaces/user to --isolation" in done.stderr


def test_shifted_clocks(cli: Cli, busybox: str) -> None:
    days = 40 * 24 * 3600
    done = cli("run", "--rm", "--time-offset", f"boottime={days}", busybox, "cat", "/proc/uptime")
    assert float(done.stdout.split()[0]) > days
    assert (
        "unknown clock 'realtime'"
        in cli("run", "--rm", "--time-offset", "realtime=1", busybox, "true").stderr
    )


def test_init(cli: Cli, busybox: str) -> None:
    done = cli(
        "run",
        "--rm",
        "--init",
        busybox,
        "sh",
        "-c",
        "cat /proc/1/comm; tr '\\0' '\\n' < /proc/1/cmdline; exit 3",
    )
    assert done.returncode == 3
    assert done.stdout.split("\0")[0].split("\n")[:3] == ["ctz:init", "containerizer", "init"]


@pytest.mark.requires("userns")
def test_init_in_a_user_namespace_as_a_user(cli: Cli, busybox: str) -> None:
    options = ("--init", "--userns", "auto", "-u", "1000")
    done = cli("run", "--rm", *options, busybox, "sh", "-c", "id -u; kill -9 $$")
    assert (done.returncode, done.stdout) == (137, "1000\n")


# Whose namespace ---------------------------------------------------------------------------------


def of_host(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def seen(cli: Cli, kind: str, which: str, image: str, *options: str) -> str:
    """The namespace of this kind that a task sees itself in, or why there is none."""
    done = cli("run", "--rm", "--ns", f"{kind}={which}", *options, image, "readlink", f"/proc/self/ns/{kind}")
    return done.stdout.strip() if done.returncode == 0 else done.stderr


@contextlib.contextmanager
def other(cli: Cli, image: str) -> Iterator[int]:
    """A container `other`, with namespaces of its own of every kind; the pid of its first process."""
    options = ("--userns", "300000:65536", "--time-offset", "boottime=1")
    with cli.start(
        "run", "-i", "--rm", "--name", "other", *options, image, "sh", "-c", "echo; read l"
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (pid,) = (int(str(c["pid"])) for c in cli.containers() if c["id"] == "other")
        yield pid
        process.communicate("\n")


@pytest.mark.requires("userns")
@pytest.mark.parametrize("kind", KINDS)
def test_whose_namespace(cli: Cli, busybox: str, kind: str) -> None:
    """Every kind: of its own, of another container by name and by path, and of the host.

    Without a mount namespace of its own it has no image, nor a PID namespace of its own.
    """
    image, pids = (busybox, "pid=new") if kind != "mnt" else ("host", "pid=container:other")
    options = ("--ns", pids) if kind == "mnt" else ()
    with other(cli, busybox) as pid:
        theirs = os.readlink(f"/proc/{pid}/ns/{kind}")
        assert theirs != of_host(kind)
        assert seen(cli, kind, "container:other", image, *options) == theirs
        assert seen(cli, kind, "container:oth", image, *options) == theirs
        assert seen(cli, kind, f"/proc/{pid}/ns/{kind}", image, *options) == theirs
        assert seen(cli, kind, "new", busybox).startswith(f"{kind}:[")
        assert seen(cli, kind, "new", busybox) not in (theirs, of_host(kind))
    options = ("--ns", "pid=host") if kind == "mnt" else ()
    assert seen(cli, kind, "host", image, *options) == of_host(kind)
    assert seen(cli, kind, f"/proc/self/ns/{kind}", image, *options) == of_host(kind)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ns", "disk=new"), "unknown kind of namespace 'disk'"),
        (("--ns", "net"), "invalid namespace 'net'"),
        (("--ns", "net=other"), "invalid net namespace 'other'"),
        (("--ns", "net=container:nobody"), "no container nobody"),
        (
            ("--ns", "net=/proc/self/ns/uts"),
            "cannot join the net namespace /proc/self/ns/uts: it is a uts names",
        ),
        (("--ns", "net=/dev/null"), "it is no namespace"),
        (("--ns", "net=/nonexistent"), "/nonexistent: No such file"),
        (("--ns", "mnt=host"), "an image needs a mount namespace of the container's own"),
        (("--ns", "uts=host", "--hostname", "mine"), "in another UTS namespace cannot have a host name"),
        (("--ns", "time=host", "--time-offset", "boottime=1"), "in another time namespace cannot shift"),
        (("--ns", "user=host", "--userns", "auto"), "cannot have its own users in another user namespace"),
        (("--ns", "pid=host", "--userns", "auto"), "cannot mount others' /proc"),
        (
            ("--ns", "net=host", "--sysctl", "net.core.somaxconn=64"),
            "would change a net namespace that is not",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    cli: Cli, busybox: str, options: tuple[str, ...], message: str
) -> None:
    done = cli("run", "--rm", *options, busybox, "true")
    assert (done.returncode, message in done.stderr) == (125, True), done.stderr


def test_a_pid_namespace_of_its_own_needs_a_proc(cli: Cli) -> None:
    done = cli("run", "--rm", "--ns", "mnt=host", "host", "true")
    assert "a PID namespace of its own needs a mount namespace of its own" in done.stderr


def test_a_nested_container_has_its_parents(cli: Cli, busybox: str) -> None:
    with cli.start("run", "-i", "--rm", "--name", "outer", busybox, "sh", "-c", "echo; read l") as process:
        assert process.stdout is not None
        process.stdout.readline()
        done = cli("run", "--rm", "--name", "outer.in", "--ns", "net=host", busybox, "true")
        assert "a nested container has its parent's namespaces" in done.stderr
        process.communicate("\n")


def test_what_comes_with_the_hosts(cli: Cli, busybox: str) -> None:
    """Its host name and network devices, and its processes."""
    script = "hostname; cat /etc/hostname; ls /sys/class/net | tr '\n' ' '; [ -d /proc/$PPID ] && echo seen"
    options = ("--ns", "uts=host", "--ns", "net=host", "--ns", "pid=host", "--ns", "ipc=host")
    done = cli("run", "--rm", *options, busybox, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    hostname = os.uname().nodename
    devices = " ".join(sorted(os.listdir("/sys/class/net")))
    assert done.stdout.splitlines() == [hostname, hostname, f"{devices} seen"]


@pytest.mark.requires("userns")
def test_files_in_the_user_namespace_of_another(cli: Cli, busybox: str) -> None:
    with other(cli, busybox):
        script = "id -u; touch /new && stat -c %u /new /bin/sh; cat /proc/self/uid_map"
        done = cli("run", "--rm", "--ns", "user=container:other", busybox, "sh", "-c", script)
        assert done.stdout.split() == ["0", "0", "0", "0", "300000", "65536"]


def test_it_ends_with_those_whose_processes_it_joined(cli: Cli, busybox: str) -> None:
    with other(cli, busybox):
        options = ("run", "-i", "--rm", "--name", "guest", "--ns", "pid=container:other")
        with cli.start(*options, busybox, "sh", "-c", "echo; read l") as guest:
            assert guest.stdout is not None
            guest.stdout.readline()
            assert cli("kill", "other").returncode == 0
            guest.communicate(timeout=30)
            assert guest.returncode == 137


def test_what_it_leaves_among_them_is_ended(cli: Cli, busybox: str) -> None:
    """A daemon's new parent is the other container's first process, but it is in the own cgroups."""
    with other(cli, busybox):
        daemon = "setsid sh -c 'echo > /began; exec sleep 1234' </dev/null >/dev/null 2>&1"
        script = f"mkfifo /began; ({daemon} &); read line < /began; ps"
        done = cli("run", "--rm", "--ns", "pid=container:other", busybox, "sh", "-c", script)
        assert "read l" in done.stdout, "it sees the other's processes"
        assert "sleep 1234" in done.stdout
        assert "sleep 1234" not in cli("exec", "other", "ps").stdout


def test_a_command_has_what_its_container_joined(cli: Cli, busybox: str) -> None:
    script = f"for kind in {' '.join(KINDS)}; do readlink /proc/self/ns/$kind; done"
    shared = ("--ns", "ipc=host", "--ns", "user=container:other", "--ns", "uts=container:other")
    with other(cli, busybox):
        options = ("run", "-i", "--rm", "--name", "guest", *shared)
        with cli.start(*options, busybox, "sh", "-c", f"{script}; read l") as guest:
            assert guest.stdout is not None
            seen_by_task = [guest.stdout.readline().strip() for _ in KINDS]
            assert cli("exec", "guest", "sh", "-c", script).stdout.split() == seen_by_task
            guest.communicate("\n")


@pytest.mark.parametrize(
    ("option", "kind"), [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("cgroupns", "cgroup")]
)
def test_in_the_words_of_docker(cli: Cli, busybox: str, option: str, kind: str) -> None:
    for which, is_own in (("host", False), (f"ns:/proc/self/ns/{kind}", False), ("private", True)):
        done = cli("run", "--rm", f"--{option}", which, busybox, "readlink", f"/proc/self/ns/{kind}")
        assert (done.stdout.strip() != of_host(kind)) is is_own, done.stderr
    assert "no container nobody" in cli("run", "--rm", f"--{option}=container:nobody", busybox, "true").stderr
