"""What a task finds when it starts, and how its end is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.errors import InvalidRequest, LaunchFailed
from tests.launcher.support import ALL_NEW, WAITS, Launches

pytestmark = pytest.mark.requires("root")


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"user": "nobody-at-all"}, "cannot resolve the user: nobody-at-all: no such user in"),
        (
            {"working_directory": "/etc/passwd"},
            "cannot enter the working directory: /etc/passwd: not a directory",
        ),
        (
            {"interfaces_up": ("no-such0",)},
            "cannot bring up the network interfaces: no-such0: no such device",
        ),
        ({"hostname": "x" * 65}, "cannot set the hostname: sethostname xxxx"),
        ({"working_directory": "/null\0byte"}, "embedded null byte"),
    ],
)
def test_a_step_that_fails_is_named(in_process: Launches, info: dict[str, object], text: str) -> None:
    with pytest.raises(LaunchFailed) as raised:
        in_process.clone("true", **info).task.release()
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
