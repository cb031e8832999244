"""Ports that are published: where they answer, who holds them, and that the host is no router by them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.network import holder
from tests.end_to_end.conftest import Cli
from tests.launcher.support import wait_for_end
from tests.support.netns import HostNetwork, host_network

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "nftables")

_SERVER = "exec nc -ll -p 80 -e hostname"
_ANSWERS = "until nc -w 5 127.0.0.1 80 </dev/null 2>/dev/null; do sleep 0.05; done"


@contextlib.contextmanager
def serving(here: Cli, image: str, name: str, *options: str) -> Iterator[None]:
    """A container on the default network, which answers with its name."""
    try:
        run = ["run", "-d", "--name", name, "--network", "bridge", *options, image, "sh", "-c", _SERVER]
        done = here(*run)
        assert done.returncode == 0, done.stderr
        assert here("exec", name, "sh", "-c", _ANSWERS).stdout == f"{name}\n"
        yield
    finally:
        assert here("rm", "-f", name).returncode == 0
        assert here("network", "rm", "bridge").returncode == 0


def datagrams_arrive(here: Cli, network: HostNetwork, address: str, port: int, inside: int) -> bool:
    """Whether what is sent to the one comes by the container's other, and the answer back."""
    (container,) = here.containers()
    echo = (
        "import socket; own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"own.bind(('', {inside})); print(flush=True); own.sendto(*own.recvfrom(9))"
    )
    ask = (
        "import socket; own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"own.settimeout(5); own.sendto(b'x', ('{address}', {port})); print(own.recv(9))"
    )
    within = ["nsenter", f"--net=/proc/{container['pid']}/ns/net", "/usr/bin/python3", "-c", echo]
    with subprocess.Popen(within, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            server.stdout.readline()
            return network.run("/usr/bin/python3", "-c", ask, check=False) == "b'x'\n"
        finally:
            server.kill()


def heard(network: HostNetwork, address: str, port: int) -> str:
    ask = f"echo | busybox nc -w 2 {address} {port}"
    return network.run("sh", "-c", ask, check=False).strip()


def test_each_form_answers_where_it_says(here: Cli, network: HostNetwork, busybox: str) -> None:
    forms = ["0.0.0.0:7000:80", "[::]:7001:80", "127.0.0.1:7002:80", "7003-7004:79-80", "7005:81/udp"]
    publish = [word for form in forms for word in ("-p", form)]
    network.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "outside")
    network.run("ip", "addr", "add", "192.0.2.1/24", "dev", "uplink")
    network.run("ip", "addr", "add", "2001:db8::1/64", "dev", "uplink", "nodad")
    network.run("ip", "link", "set", "uplink", "up")
    try:
        with serving(here, busybox, "web", *publish):
            loopback, ipv4, ipv6 = "127.0.0.1", "192.0.2.1", "2001:db8::1"
            answers = {
                port: [bool(heard(network, address, port)) for address in (loopback, ipv4, ipv6)]
                for port in (7000, 7001, 7002, 7003, 7004)
            }
            assert answers == {
                7000: [True, True, False],
                7001: [False, False, True],
                7002: [True, False, False],
                7003: [False, False, False],  # nobody listens there
                7004: [True, True, True],
            }
            assert datagrams_arrive(here, network, ipv4, 7005, 81)
            # By that nothing can be handed on: who comes to `localhost` by it goes on by 127.0.0.1 at once.
            refused = network.run("sh", "-c", "busybox nc -w 9 ::1 7004 2>&1 || true")
            assert "refused" in refused
    finally:
        network.run("ip", "link", "del", "uplink")


def test_a_published_port_is_held_on_the_host(
    here: Cli, network: HostNetwork, busybox: str, tmp_path: Path
) -> None:
    bind = "import socket, sys; socket.create_server(('0.0.0.0', int(sys.argv[1])))"
    with serving(here, busybox, "web", "-p", "7000:80", "-p", "7001:81/udp"):
        done = subprocess.run(
            [*network.within, "/usr/bin/python3", "-c", bind, "7000"], capture_output=True, text=True
        )
        assert "Address already in use" in done.stderr
        elsewhere = Cli(here.root, tmp_path / "other", within=network.within)
        for port in ("7000:80", "7001:80/udp"):
            refused = elsewhere("run", "--rm", "--network", "bridge", "-p", port, busybox, "true")
            assert refused.returncode == 125
            assert f"of the host is taken by container web of {here.state}" in refused.stderr
    with serving(here, busybox, "again", "-p", "7000:80"):  # at once
        pass


def test_ports_are_given_back_whoever_is_killed(here: Cli, network: HostNetwork, busybox: str) -> None:
    for victim in ("the task", "the holder"):
        with serving(here, busybox, "web", "-p", "7000:80"):
            (container,) = here.containers()
            pids = {"the task": int(str(container["pid"])), "the holder": holders(network)[0]}
            pidfd = os.pidfd_open(pids["the holder"])
            os.kill(pids[victim], signal.SIGKILL)
            wait_for_end(pidfd)
        assert holders(network) == []


def holders(network: HostNetwork) -> list[int]:
    own = os.stat(f"/proc/{network.pid}/ns/net").st_ino
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "comm").read_text().strip() == holder.NAME and (path / "ns/net").stat().st_ino == own:
                found.append(int(path.name))
    return found


@pytest.mark.requires("macvlan")
@pytest.mark.parametrize("meant", [False, True])
def test_the_host_becomes_no_router_for_others(
    here: Cli, network: HostNetwork, busybox: str, meant: bool
) -> None:
    """Two neighbours, and no way from one to the other by the host unless it is meant to forward."""
    with neighbour(network, 1) as one, neighbour(network, 2) as two:
        network.run("sh", "-c", f"echo {meant:d} > /proc/sys/net/ipv4/ip_forward")
        ping = ["busybox", "ping", "-c", "1", "-W", "1", "198.51.2.2"]
        with serving(here, busybox, "web", "-p", "7000:80"):
            assert ("1 packets received" in one.run(*ping, check=False)) is meant
            assert heard(one, "198.51.1.1", 7000) == "web"
            assert here("exec", "web", *ping[1:]).returncode == 0
        assert ("1 packets received" in one.run(*ping, check=False)) is meant  # and not later either
        assert two.devices()


@contextlib.contextmanager
def neighbour(network: HostNetwork, number: int) -> Iterator[HostNetwork]:
    """On a link of its own to the host, whose end is no cable of containers."""
    with host_network() as made:
        cable, device, subnet = f"cable{number}", f"lan{number}", f"198.51.{number}"
        link = f"ip link add {cable} type veth peer up0 netns {made.pid} && ip link set {cable} up"
        network.run("sh", "-c", f"{link} && ip link add {device} link {cable} type macvlan mode bridge")
        network.run("sh", "-c", f"ip addr add {subnet}.1/24 dev {device} && ip link set {device} up")
        made.run("sh", "-c", f"ip addr add {subnet}.2/24 dev up0 && ip link set up0 up")
        made.run("ip", "route", "add", "default", "via", f"{subnet}.1")
        try:
            yield made
        finally:
            network.run("ip", "link", "del", cable)
