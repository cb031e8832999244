"""The network of an ordinary user: out by slirp4netns or pasta, in by published ports, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import parent
from tests.end_to_end.ordinary_user import User, ordinary_user, task_of
from tests.launcher.support import wait_for_end
from tests.support.netns import HostNetwork, host_network

pytestmark = pytest.mark.requires(
    "root", "userns", "uidmap", "overlay", "busybox", "nftables", "tun", "slirp4netns", "pasta"
)

HOST, FAR = "198.51.100.7", "198.51.100.1"
GATEWAY, RESOLVER = "10.0.2.2", "10.0.2.3"

PROGRAMS = pytest.mark.parametrize("program", ["slirp4netns", "pasta"])


@pytest.fixture
def far() -> Iterator[HostNetwork]:
    """Another host."""
    with host_network() as made:
        yield made


@pytest.fixture
def host(far: HostNetwork) -> Iterator[HostNetwork]:
    """What stands for the user's host, whose default route is by the other one."""
    with host_network() as made:
        made.run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", str(far.pid))
        made.run("ip", "addr", "add", f"{HOST}/24", "dev", "near0")
        made.run("ip", "link", "set", "near0", "up")
        far.run("ip", "addr", "add", f"{FAR}/24", "dev", "far0")
        far.run("ip", "link", "set", "far0", "up")
        made.run("ip", "route", "add", "default", "via", FAR)
        yield made


@pytest.fixture
def user(host: HostNetwork) -> Iterator[User]:
    with ordinary_user(within=host.within, tun=True) as made:
        yield made


@contextlib.contextmanager
def serving(network: HostNetwork, port: int, said: str, address: str = "0.0.0.0") -> Iterator[None]:
    """A service there: each connection is told the same. It listens by the time it is named."""
    script = (
        "import socket, sys\n"
        "listening = socket.create_server((sys.argv[1], int(sys.argv[2])))\n"
        "print(flush=True)\n"
        "while True:\n"
        "    connection = listening.accept()[0]\n"
        "    connection.sendall(sys.argv[3].encode())\n"
        "    connection.close()\n"
    )
    argv = [*network.within, "/usr/bin/python3", "-c", script, address, str(port), said]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def heard(network: HostNetwork, address: str, port: int) -> str:
    """What the service there says; "" where there is none."""
    return network.run("busybox", "nc", "-w", "2", address, str(port), check=False)


def record(user: User, name: str) -> dict[str, object]:
    path = user.home / f"run/containerizer/networks/usermode/{name}/record.json"
    found: dict[str, object] = json.loads(path.read_text())
    return found


def keeper_and_program(user: User, name: str) -> tuple[int, int, int]:
    """The keeper's pid; and pidfds of both."""
    keeper = record(user, name)["keeper"]
    assert isinstance(keeper, dict)
    pid = int(keeper["pid"])
    (program,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pid, os.pidfd_open(pid), os.pidfd_open(int(program))


@PROGRAMS
def test_a_container_gets_out_but_not_to_the_hosts_loopback(
    user: User, host: HostNetwork, far: HostNetwork, program: str
) -> None:
    places = (f"{FAR} 9000", f"{HOST} 9001", f"{GATEWAY} 9001", "127.0.0.1 9001")
    script = "".join(f"timeout 2 nc {place} 2>&-; " for place in places) + "cat /etc/hosts"
    with serving(far, 9000, "far,"), serving(host, 9001, "host,"):
        done = user("run", "--rm", "--network", program, "--hostname", "me", user.image, "sh", "-c", script)
    assert done.stdout.splitlines()[0] == "far,host,127.0.0.1\tlocalhost"
    assert "10.0.2.100\tme" in done.stdout


def test_it_is_the_default_and_can_be_left_out(user: User) -> None:
    assert user.run(user.image, "ls", "/sys/class/net").split() == ["eth0", "lo"]
    assert user.run("--network", "none", user.image, "ls", "/sys/class/net").split() == ["lo"]


@PROGRAMS
def test_published_ports(user: User, host: HostNetwork, program: str) -> None:
    serve = ["sh", "-c", "echo one | nc -l -p 80; echo two | nc -l -p 80; sleep 1000"]
    ports = ["-p", "8080:80", "-p", f"{HOST}:8081:81/udp", "-p", "82"]
    done = user("run", "-d", "--name", "web", "--network", program, *ports, user.image, *serve)
    assert (done.returncode, done.stderr) == (0, "")
    assert heard(host, "127.0.0.1", 8080) == "one\n"
    assert heard(host, HOST, 8080) == "two\n"
    listens = host.run("ss", "-Hlnut")
    assert f"{HOST}:8081" in listens
    assert len([line for line in listens.splitlines() if line.startswith("tcp")]) == 2
    taken = user("run", "--rm", "--network", program, "-p", "8080:80", user.image, "true")
    assert (taken.returncode, "port 8080/tcp of the host is taken" in taken.stderr) == (125, True)
    shares = ["run", "--rm", "--network", "container:web", user.image, "sh", "-c", "ls /sys/class/net"]
    assert user(*shares).stdout == "eth0\nlo\n"
    assert user("rm", "-f", "web").returncode == 0
    assert host.run("ss", "-Hlnut") == ""


@PROGRAMS
def test_the_program_ends_with_the_container_whoever_is_killed(user: User, program: str) -> None:
    for victim in ("the task", "its supervisor", "its keeper"):
        done = user("run", "-d", "--name", "box", "--network", program, user.image, "sleep", "1000")
        assert done.returncode == 0
        keeper, *pidfds = keeper_and_program(user, "box")
        task = task_of(user, "box")
        pid = {"the task": task, "its supervisor": parent(task), "its keeper": keeper}[victim]
        os.kill(pid, signal.SIGKILL)
        for pidfd in pidfds:
            wait_for_end(pidfd)
        assert user("rm", "-f", "box").returncode == 0
        assert not (user.home / "run/containerizer/networks/usermode/box").exists()


def test_a_launch_that_fails_leaves_nothing(user: User, host: HostNetwork) -> None:
    done = user("run", "--rm", "--name", "box", "-p", "8080:80", user.image, "/nowhere")
    assert done.returncode == 127
    assert host.run("ss", "-Hlnut") == ""
    assert os.listdir(user.home / "run/containerizer/networks/usermode") == []


def test_what_it_cannot_do_is_refused(user: User) -> None:
    for options, told in (
        (["--network", "slirp4netns,pasta"], "a container in network slirp4netns can be in no other"),
        (["--ip", "10.0.2.7"], "network slirp4netns has no addresses to choose"),
        (["-p", "80:80/sctp"], "network slirp4netns cannot publish 80:80/sctp"),
        (["-p", "[::1]:80:80"], "network slirp4netns cannot publish [::1]:80:80/tcp"),
        (["-p", "80:80"], "port 80 of the host is for root"),
    ):
        done = user("run", "--rm", *options, user.image, "true")
        assert (done.returncode, told in done.stderr) == (125, True), done.stderr


@PROGRAMS
def test_a_name_server_on_the_hosts_loopback_answers(user: User, host: HostNetwork, program: str) -> None:
    (user.home.parent / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    answer = (
        "import socket\n"
        "asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "asked.bind(('127.0.0.53', 53))\n"
        "print(flush=True)\n"
        "question, who = asked.recvfrom(512)\n"
        "head = question[:2] + bytes.fromhex('818000010001000000000000')[:10]\n"
        "asked.sendto(head + question[12:] + bytes.fromhex('c00c000100010000003c0004c0000207'), who)\n"
    )
    with subprocess.Popen([*host.within, "/usr/bin/python3", "-c", answer], stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        try:
            script = "cat /etc/resolv.conf; nslookup -type=a who.example"
            done = user("run", "--rm", "--network", program, user.image, "sh", "-c", script)
        finally:
            server.kill()
    assert f"nameserver {RESOLVER}\n" in done.stdout
    assert "192.0.2.7" in done.stdout
