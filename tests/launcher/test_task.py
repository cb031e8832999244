"""What a task finds when it starts, and how its end is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from launcher.errors import CommandNotExecutable, CommandNotFound, InvalidRequest, LaunchFailed
from launcher.exit_status import ExitStatus
from tests.launcher.support import ALL_NEW, NO_PID_NAMESPACE, WAITS, Launches, drain

pytestmark = pytest.mark.requires("root")


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_told_and_recorded(launches: Launches, code: int) -> None:
    launched = launches.start("sh", "-c", f"exit {code}")
    assert launched.task.exit_status() == ExitStatus(code=code)
    assert launched.task.exit_status() == ExitStatus(code=code), "asking twice changes nothing"
    recorded = launched.recorded
    assert recorded.pop("finished_at") > 0
    assert recorded == {"version": 1, "code": code, "signal": None}


def test_a_signal_is_told_and_recorded(launches: Launches) -> None:
    launched = launches.start("sh", "-c", "kill -SEGV $$", namespaces=NO_PID_NAMESPACE)
    assert launched.task.exit_status() == ExitStatus(signal=11)
    assert launched.recorded["signal"] == 11


@pytest.mark.parametrize("number", [2, 9, 15])
def test_a_signal_of_ours_ends_the_task(launches: Launches, number: int) -> None:
    launched = launches.start(*WAITS, namespaces=NO_PID_NAMESPACE)
    launched.line()
    launched.task.signal(number)
    assert launched.task.exit_status() == ExitStatus(signal=number)


@pytest.mark.parametrize("number", [0, -1, 65, 4096])
def test_an_invalid_signal_harms_nobody(in_process: Launches, number: int) -> None:
    launched = in_process.start(*WAITS)
    with pytest.raises(InvalidRequest, match=f"invalid signal number {number}"):
        launched.task.signal(number)
    launched.end_input()
    assert launched.task.exit_status() == ExitStatus(code=1)


def test_the_output_ends_with_the_task(launches: Launches) -> None:
    """While the launcher, the supervisor and the fork server live on."""
    launched = launches.start("echo", "hello")
    assert drain(launched.stdout) == "hello\n"
    assert drain(launched.stderr) == ""


def test_the_task_reads_its_input(launches: Launches) -> None:
    launched = launches.start("cat")
    os.write(launched.stdin, b"in and out")
    launched.end_input()
    assert drain(launched.stdout) == "in and out"


@pytest.fixture
def unusual(tmp_path: Path) -> Path:
    """A directory of files that are hard to execute."""
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "no-shebang").write_text("echo no\n")
    (tmp_path / "no-interpreter").write_text("#!/no/such/interpreter\n")
    for name in ("no-shebang", "no-interpreter"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        ("no-such-command", CommandNotFound, "cannot execute 'no-such-command': no such file or directory"),
        ("{}/nothing", CommandNotFound, "nothing': no such file or directory"),
        ("", CommandNotFound, "cannot execute '': no such file or directory"),
        ("{}/no-interpreter", CommandNotFound, "its interpreter or dynamic linker is missing in the image"),
        ("{}/plain", CommandNotExecutable, "plain': permission denied"),
        ("{}/no-shebang", CommandNotExecutable, "no-shebang': exec format error"),
        ("{}", CommandNotExecutable, "permission denied"),
        ("{}/plain/below", CommandNotFound, "below': no such file or directory"),
    ],
)
def test_what_cannot_be_executed(
    launches: Launches, unusual: Path, command: str, error: type[LaunchFailed], text: str
) -> None:
    launched = launches.clone(command.format(unusual))
    with pytest.raises(error) as raised:
        launched.task.release()
    assert text in raised.value.message
    assert raised.value.hint
    launched.task.destroy()
    assert not launched.exit_status_path.exists(), "what never ran has no exit status"


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"user": "nobody-at-all"}, "cannot resolve the user: nobody-at-all: no such user in"),
        (
            {"working_directory": "/etc/passwd"},
            "cannot enter the working directory: /etc/passwd: not a directory",
        ),
        ({"interfaces_up": ("no-such0",)}, "cannot bring up the network interfaces: no such device"),
        ({"hostname": "x" * 65}, "cannot set the hostname: sethostname xxxx"),
        ({"environment": {"A": "null\0byte"}}, "ValueError: embedded null byte"),
    ],
)
def test_a_step_that_fails_is_named(in_process: Launches, info: dict[str, object], text: str) -> None:
    launched = in_process.clone("true", **info)
    with pytest.raises(LaunchFailed) as raised:
        launched.task.release()
    assert text in raised.value.message


def test_a_clone_that_fails_is_named(launches: Launches) -> None:
    with pytest.raises(LaunchFailed, match="cannot enter the namespaces: setns /proc/self/ns/net: invalid"):
        launches.clone("true", namespaces={"pid": "/proc/self/ns/net"})
    with pytest.raises(LaunchFailed, match="cannot open the namespaces: /no/such/net: no such file"):
        launches.clone("true", namespaces={"mnt": "new", "net": "/no/such/net"})


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"argv": ()}, "no command to execute"),
        ({"rootfs": "/", "namespaces": {}}, "rootfs would change the host's mnt namespace"),
        ({"readonly_rootfs": True, "namespaces": {}}, "readonly_rootfs would change"),
        (
            {"hostname": "mine", "namespaces": {"mnt": "new"}},
            "hostname would change the host's uts namespace",
        ),
        (
            {"interfaces_up": ("lo",), "namespaces": {"mnt": "new"}},
            "interfaces_up would change the host's net",
        ),
    ],
)
def test_what_would_change_the_host_is_refused(
    in_process: Launches, info: dict[str, object], text: str
) -> None:
    argv = info.pop("argv", ("true",))
    assert isinstance(argv, tuple)
    with pytest.raises(InvalidRequest, match=text):
        in_process.clone(*argv, **info)


def test_the_identity_of_the_namespaces(launches: Launches) -> None:
    links = [f"/proc/self/ns/{kind}" for kind in ALL_NEW]
    inside = launches.run("readlink", *links).lines
    assert len(inside) == len(ALL_NEW)
    assert not set(inside) & {os.readlink(link) for link in links}


def test_the_task_is_process_1_under_its_own_name(launches: Launches) -> None:
    done = launches.run("sh", "-c", "echo $$; hostname; ls -d /proc/[0-9]*", hostname="web")
    assert done.lines[:2] == ["1", "web"]
    assert done.lines[2] == "/proc/1"


@pytest.mark.parametrize(("up", "state"), [(("lo",), True), ((), False)])
def test_the_loopback_device(launches: Launches, up: tuple[str, ...], state: bool) -> None:
    sysfs = "/sys/class/net/lo/flags"
    mount = f"mount -t sysfs sysfs /sys && cat {sysfs}"
    flags = int(launches.run("sh", "-c", mount, interfaces_up=up).stdout, 16)
    assert bool(flags & 1) is state


def test_a_net_namespace_is_joined_by_path(launches: Launches) -> None:
    first = launches.start(*WAITS)
    first.line()
    path = f"/proc/{first.task.pid}/ns/net"
    done = launches.run("readlink", "/proc/self/ns/net", namespaces={**ALL_NEW, "net": path})
    assert done.lines == [os.readlink(path)]


def test_the_paths_of_namespaces_are_the_hosts(launches: Launches, tmp_path: Path) -> None:
    """Also those joined after a mount namespace, in which a hostile task has put something else."""
    (tmp_path / "ns").mkdir()
    first = launches.start("sh", "-c", f"mount -t tmpfs none {tmp_path}/ns; echo runs; read line")
    (tmp_path / "ns" / "net").symlink_to(f"/proc/{first.task.pid}/ns/net")
    first.line()
    namespaces = {
        **{kind: f"/proc/{first.task.pid}/ns/{kind}" for kind in ("mnt", "pid")},
        "net": f"{tmp_path}/ns/net",
    }
    done = launches.run("readlink", *(f"/proc/self/ns/{kind}" for kind in namespaces), namespaces=namespaces)
    assert done.lines == [os.readlink(f"/proc/{first.task.pid}/ns/{kind}") for kind in namespaces]


def test_our_own_pid_namespace_can_be_joined(launches: Launches) -> None:
    namespaces = {"mnt": "new", "pid": "/proc/self/ns/pid"}
    done = launches.run("readlink", "/proc/self/ns/pid", namespaces=namespaces)
    assert done.lines == [os.readlink("/proc/self/ns/pid")]


def test_a_large_environment_arrives(launches: Launches) -> None:
    values = {f"V{number}": "x" * 100_000 for number in range(12)}
    done = launches.run("sh", "-c", "echo ${#V0} ${#V11}", environment={"PATH": os.defpath, **values})
    assert done.lines == ["100000 100000"]


def test_arguments_are_bytes(launches: Launches) -> None:
    argument = os.fsdecode(b"\xff\n \xf0\x9f\x90\x8b'\"")
    launched = launches.start("printf", "%s", argument)
    assert os.read(launched.stdout, 100) == os.fsencode(argument)


def test_too_many_arguments_say_so(in_process: Launches) -> None:
    launched = in_process.clone("true", *["x" * 100_000] * 80)
    with pytest.raises(CommandNotExecutable, match=os.strerror(errno.E2BIG).lower()):
        launched.task.release()
