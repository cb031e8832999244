"""Networks of our own: addresses, names, published ports, and who reaches whom."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Cli
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "nftables")

Create = Callable[..., None]
Serve = Callable[..., contextlib.AbstractContextManager[None]]

_SERVER = "exec nc -ll -p 80 -e hostname"
_ANSWERS = "until nc -w 5 127.0.0.1 80 </dev/null 2>/dev/null; do sleep 0.05; done"


@pytest.fixture
def create(here: Cli, network: HostNetwork) -> Iterator[Create]:
    """Makes a network; all are gone at the end, with all that they had of the host."""
    made = ["bridge"]

    def make(name: str, *options: str) -> None:
        done = here("network", "create", *options, name)
        assert (done.returncode, done.stdout) == (0, f"{name}\n"), done.stderr
        made.append(name)

    yield make
    for name in made:
        here("network", "rm", name)
    assert network.devices() == set()
    assert network.rules() == ""
    networks = here.root / "networks"
    assert [path.name for path in networks.glob("*.conflist")] == []


@pytest.fixture
def serve(here: Cli, busybox: str, create: Create) -> Serve:
    """Within it a container runs in the background, and answers at its port 80 with its name."""

    @contextlib.contextmanager
    def within(name: str, *options: str, script: str = _SERVER) -> Iterator[None]:
        done = here("run", "-d", "--name", name, *options, busybox, "sh", "-c", script)
        try:
            assert done.returncode == 0, done.stderr
            if script == _SERVER:
                assert here("exec", name, "sh", "-c", _ANSWERS).stdout == f"{name}\n"
            yield
        finally:
            assert here("rm", "-f", name).returncode == 0

    return within


def ask(here: Cli, container: str, *command: str) -> str:
    done = here("exec", container, *command)
    return done.stdout


def reaches(here: Cli, container: str, host: str, port: int = 80) -> str:
    """What answers there; "" where nothing does within two seconds."""
    return here("exec", container, "sh", "-c", f"nc -w 2 {host} {port} </dev/null").stdout.strip()


def from_host(network: HostNetwork, host: str, port: int) -> str:
    return network.run("sh", "-c", f"busybox nc -w 2 {host} {port} </dev/null", check=False).strip()


def interface(here: Cli, name: str, container: str) -> dict[str, Any]:
    (described,) = json.loads(here("network", "inspect", name).stdout)
    found: dict[str, Any] = described["containers"][container]
    return found


def addresses(here: Cli, name: str, container: str) -> list[str]:
    return [address.partition("/")[0] for address in interface(here, name, container)["addresses"]]


def test_default_network_needs_nothing(here: Cli, network: HostNetwork, serve: Serve) -> None:
    with serve("web", "--network", "bridge", "--network-alias", "www"), serve("db", "--network", "bridge"):
        ipv4, ipv6 = addresses(here, "bridge", "web")
        assert [reaches(here, "db", host) for host in ("web", "www", "web.bridge", ipv4)] == ["web"] * 4
        assert "bytes from" in ask(here, "db", "ping", "-c", "1", "-W", "5", ipv6)
        assert reaches(here, "web", "db") == "db"
        gateway = interface(here, "bridge", "web")["gateways"][0]
        assert "bytes from" in ask(here, "web", "ping", "-c", "1", "-W", "5", gateway)
        assert "can't" in here("exec", "web", "nslookup", "nobody.invalid").stdout


def test_published_ports_answer_the_host_the_container_and_others(
    here: Cli, network: HostNetwork, serve: Serve
) -> None:
    network.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "outside")
    try:
        network.run("ip", "addr", "add", "192.0.2.1/24", "dev", "uplink")
        network.run("ip", "link", "set", "uplink", "up")
        publish = ["-p", "8080:80", "-p", "127.0.0.1:9000-9001:80-81", "-p", "192.0.2.1:7000:80"]
        with serve("web", "--network", "bridge", *publish), serve("other", "--network", "bridge"):
            assert from_host(network, "127.0.0.1", 8080) == "web"
            assert ask(here, "web", "sh", "-c", "echo $HOST_IP") == "192.0.2.1\n"
            assert from_host(network, "192.0.2.1", 8080) == "web"
            assert from_host(network, "127.0.0.1", 9000) == "web"
            assert from_host(network, "192.0.2.1", 7000) == "web"
            assert from_host(network, "192.0.2.1", 9000) == ""
            assert from_host(network, "127.0.0.1", 7000) == ""
            assert reaches(here, "other", "192.0.2.1", 8080) == "web"
            assert reaches(here, "web", "192.0.2.1", 8080) == "web"  # by way of the host to itself
        assert from_host(network, "127.0.0.1", 8080) == ""
    finally:
        network.run("ip", "link", "del", "uplink")


def test_others_reach_what_is_published_and_no_more(here: Cli, network: HostNetwork, serve: Serve) -> None:
    """A neighbour of the host has a route to the containers by the host, which forwards."""
    with outside(network) as neighbour, serve("web", "--network", "bridge", "-p", "8080:80"):
        (ipv4, _) = addresses(here, "bridge", "web")
        assert from_host(neighbour, "192.0.2.1", 8080) == "web"
        assert from_host(neighbour, ipv4, 80) == ""
        script = "busybox nc -ll -p 70 -e echo outside"
        with subprocess.Popen([*neighbour.within, "sh", "-c", f"exec {script}"]) as server:
            until = "until nc -w 5 192.0.2.2 70 </dev/null; do sleep 0.05; done"
            assert ask(here, "web", "sh", "-c", until) == "outside\n"
            server.kill()


@contextlib.contextmanager
def outside(network: HostNetwork) -> Iterator[HostNetwork]:
    """Another host, beside this one."""
    from tests.support.netns import host_network

    with host_network() as neighbour:
        network.run(
            "ip", "link", "add", "uplink", "type", "veth", "peer", "outside", "netns", str(neighbour.pid)
        )
        network.run("ip", "addr", "add", "192.0.2.1/24", "dev", "uplink")
        network.run("ip", "link", "set", "uplink", "up")
        neighbour.run("ip", "addr", "add", "192.0.2.2/24", "dev", "outside")
        neighbour.run("ip", "link", "set", "outside", "up")
        neighbour.run("ip", "route", "add", "default", "via", "192.0.2.1")
        try:
            yield neighbour
        finally:
            network.run("ip", "link", "del", "uplink")


def test_networks_do_not_reach_each_other_unless_they_say_so(here: Cli, create: Create, serve: Serve) -> None:
    create("blue", "--subnet", "10.91.1.0/24")
    create("red", "--subnet", "10.91.2.0/24", "--gateway", "10.91.2.9")
    create("open", "--subnet", "10.91.3.0/24", "--no-isolate")
    create("wide", "--subnet", "10.91.4.0/24", "--no-isolate")
    with contextlib.ExitStack() as stack:
        for name in ("blue", "red", "open", "wide"):
            stack.enter_context(serve(f"in-{name}", "--network", name))
        assert interface(here, "red", "in-red")["gateways"] == ["10.91.2.9"]
        (red,), (wide,) = addresses(here, "red", "in-red"), addresses(here, "wide", "in-wide")
        assert reaches(here, "in-blue", red) == ""
        assert reaches(here, "in-open", red) == ""
        assert reaches(here, "in-blue", wide) == ""
        assert reaches(here, "in-open", wide) == "in-wide"
        assert reaches(here, "in-blue", "in-red") == ""  # nor do they know the name


def test_internal_network_has_no_way_out(
    here: Cli, network: HostNetwork, create: Create, serve: Serve
) -> None:
    create("inside", "--internal")
    options = ["--network", "inside", "--cap-add", "NET_ADMIN"]
    both = serve("web", *options), serve("db", *options)
    with outside(network), both[0], both[1]:
        assert reaches(here, "db", "web") == "web"
        assert "default" not in ask(here, "web", "ip", "route")
        assert "REFUSED" in here("exec", "web", "nslookup", "example.invalid").stdout
        gateway = interface(here, "inside", "web")["gateways"][0]
        assert here("exec", "web", "ip", "route", "add", "default", "via", gateway).returncode == 0
        assert "0 packets received" in ask(here, "web", "ping", "-c", "1", "-W", "1", "192.0.2.2")


def test_a_container_in_two_networks_knows_the_names_of_both(here: Cli, create: Create, serve: Serve) -> None:
    create("front")
    create("back")
    with (
        serve("web", "--network", "front"),
        serve("db", "--network", "back"),
        serve("app", "--network", "front,back"),
    ):
        assert (reaches(here, "app", "web"), reaches(here, "app", "db")) == ("web", "db")
        assert reaches(here, "web", "db") == ""
        links = ask(here, "app", "ip", "-o", "-4", "addr")
        assert "eth0" in links and "eth1" in links
        assert addresses(here, "front", "app") != addresses(here, "back", "app")


def test_address_and_hardware_address_can_be_chosen(
    here: Cli, create: Create, serve: Serve, busybox: str
) -> None:
    create("lan", "--subnet", "10.91.1.0/29")
    options = ["--network", "lan", "--ip", "10.91.1.6", "--mac-address", "02:00:00:00:00:09"]
    with serve("web", *options):
        assert addresses(here, "lan", "web") == ["10.91.1.6"]
        assert "02:00:00:00:00:09" in ask(here, "web", "ip", "link", "show", "eth0")
        for address, message in (
            ("10.91.1.6", "is web-"),
            ("10.91.2.1", "is no address of network lan"),
            ("10.91.1.1", "is no container's to have"),
        ):
            done = here("run", "--rm", "--network", "lan", "--ip", address, busybox, "true")
            assert (done.returncode, message in done.stderr) == (125, True), done.stderr


def test_a_network_that_is_full_says_so(here: Cli, create: Create, serve: Serve, busybox: str) -> None:
    create("small", "--subnet", "10.91.1.0/30")
    with serve("web", "--network", "small"):
        done = here("run", "--rm", "--network", "small", busybox, "true")
        assert (done.returncode, "has no address left in 10.91.1.0/30" in done.stderr) == (125, True)


def test_rates_are_kept(here: Cli, network: HostNetwork, serve: Serve) -> None:
    with serve("web", "--network", "bridge", "--ingress", "8mbit", "--egress", "16mbit"):
        assert "rate 8Mbit" in network.run("tc", "qdisc")
        (container,) = here.containers()
        inside = ["nsenter", f"--net=/proc/{container['pid']}/ns/net", "tc", "qdisc"]
        assert "rate 16Mbit" in subprocess.run(inside, capture_output=True, text=True).stdout


def test_what_is_lost_is_found(here: Cli, network: HostNetwork, serve: Serve) -> None:
    with serve("web", "--network", "bridge"), serve("quiet"):
        assert here("network", "check", "web").returncode == 0
        assert here("network", "status", "bridge").returncode == 0
        assert "is in no network" in here("network", "check", "quiet").stderr
        (veth,) = (name for name in network.devices() if name.startswith("ctv"))
        network.run("ip", "link", "del", veth)
        done = here("network", "check", "web")
        assert (done.returncode, f"network bridge lacks the device {veth}" in done.stderr) == (125, True)


def test_who_shares_a_network_has_its_names(here: Cli, serve: Serve, busybox: str) -> None:
    with serve("web", "--network", "bridge"), serve("db", "--network", "bridge"):
        show = [busybox, "sh", "-c", "cat /etc/hosts; nc -w 2 db 80 </dev/null"]
        (ipv4, _) = addresses(here, "bridge", "web")
        for options in (
            ["--name", "web.inner"],
            ["--network", "container:web"],
            ["--ns", "net=container:web"],
        ):
            done = here("run", "--rm", *options, *show)
            assert f"{ipv4}\tweb" in done.stdout, done.stderr
            assert done.stdout.endswith("db\n")
        assert f"{ipv4}\tweb" in here("exec", "web", "cat", "/etc/hosts").stdout


def test_who_is_in_the_hosts_network_has_its_name_servers(here: Cli, busybox: str) -> None:
    done = here("run", "--rm", "--network", "host", busybox, "cat", "/etc/resolv.conf")
    assert done.stdout == Path("/etc/resolv.conf").read_text()


def test_a_readonly_root_and_users_of_its_own(here: Cli, serve: Serve) -> None:
    options = ["--read-only", "--userns", "auto", "--network", "bridge", "-u", "1000"]
    with serve("web", *options, script="echo up; exec sleep 1000"), serve("db", "--network", "bridge"):
        assert reaches(here, "web", "db") == "db"


def test_traffic_is_counted(here: Cli, serve: Serve, busybox: str) -> None:
    with serve("web", "--network", "bridge"), serve("quiet"):
        (ipv4, _) = addresses(here, "bridge", "web")
        assert here("run", "--rm", "--network", "bridge", busybox, "ping", "-c", "3", ipv4).returncode == 0
        looked = json.loads(here("stats", "--no-stream", "--interval", "0.05", "--json").stdout)
        usage = {each["container"]: each for each in looked}
        assert usage["web"]["network_rx_packets"] >= 3
        assert usage["web"]["network_tx_bytes"] >= 3 * 64
        assert usage["quiet"]["network_rx_bytes"] is None
        assert " / " in here("stats", "--no-stream", "--interval", "0.05", "web").stdout


def test_other_names_are_asked_of_the_servers_that_were_named(
    here: Cli, network: HostNetwork, serve: Serve
) -> None:
    with (
        outside(network) as neighbour,
        name_server(neighbour),
        serve("web", "--network", "bridge", "--dns", "192.0.2.2"),
    ):
        assert "203.0.113.7" in ask(
            here,
            "web",
            "nslookup",
            "elsewhere.example",
        )
        assert "nameserver 192.0.2.2" not in ask(here, "web", "cat", "/etc/resolv.conf")


_NAME_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("192.0.2.2", 53))
print("up", flush=True)
while True:
    query, client = server.recvfrom(512)
    question = query[12:query.index(b"\\0", 12) + 5]
    is_a = question.endswith(b"\\0\\1\\0\\1")
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + bytes([203, 0, 113, 7]) if is_a else b""
    server.sendto(query[:2] + b"\\x81\\x80\\0\\1\\0" + bytes([is_a]) + bytes(4) + question + answer, client)
"""


@contextlib.contextmanager
def name_server(where: HostNetwork) -> Iterator[None]:
    """It knows one address."""
    command = [*where.within, sys.executable, "-c", _NAME_SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield
        finally:
            process.kill()


# Making and removing them ------------------------------------------------------------------------------


def test_networks_are_listed_inspected_and_removed(here: Cli, create: Create, serve: Serve) -> None:
    create("lan", "--label", "tier=one", "--mtu", "1400", "--no-ipv6")
    (described,) = json.loads(here("network", "inspect", "lan").stdout)
    (plugin,) = described["config"]["plugins"]
    assert (plugin["mtu"], plugin["labels"], len(plugin["subnets"])) == (1400, {"tier": "one"}, 1)
    with serve("web", "--network", "lan"):
        assert "mtu 1400" in ask(here, "web", "ip", "link", "show", "eth0")
        line = next(line for line in here("network", "ls").stdout.splitlines() if line.startswith("lan"))
        assert line.split()[1] == "bridge"
        assert line.split()[-1] == "1"
        done = here("network", "rm", "lan")
        assert (done.returncode, "in use by 1 containers" in done.stderr) == (125, True)
    assert here("network", "rm", "lan").returncode == 0
    assert "unknown network 'lan'" in here("network", "inspect", "lan").stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["lan"], "network lan is there already"),
        (["host"], "no name for a network"),
        (["a/b"], "invalid name of a network"),
        (["--subnet", "10.91.0.0/16", "other"], "10.91.0.0/16 overlaps with network lan's 10.91.1.0/24"),
        (["--subnet", "10.91.2.0/31", "other"], "has no room for containers"),
        (["--subnet", "10.91.2.1/24", "other"], "invalid subnet"),
        (["--subnet", "10.91.2.0/24", "--subnet", "10.91.3.0/24", "other"], "one of IPv4 and one of IPv6"),
        (["--subnet", "10.91.2.0/24", "--gateway", "10.91.3.1", "other"], "is not in 10.91.2.0/24"),
        (["--gateway", "10.91.3.1", "other"], "is in no --subnet"),
        (["--mtu", "100", "other"], "invalid MTU 100"),
    ],
)
def test_networks_that_make_no_sense_are_refused(
    here: Cli, create: Create, options: list[str], message: str
) -> None:
    create("lan", "--subnet", "10.91.1.0/24")
    done = here("network", "create", *options)
    assert (done.returncode, message in done.stderr) == (125, True), done.stderr


def test_subnets_of_the_host_are_left_alone(here: Cli, network: HostNetwork, create: Create) -> None:
    network.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "outside")
    network.run("ip", "addr", "add", "10.90.0.77/23", "dev", "uplink")
    network.run("ip", "link", "set", "uplink", "up")
    create("lan")
    (described,) = json.loads(here("network", "inspect", "lan").stdout)
    assert described["subnets"][0] == "10.90.2.0/24"
    network.run("ip", "link", "del", "uplink")


def test_a_device_of_somebody_else_is_not_taken(
    here: Cli, network: HostNetwork, create: Create, busybox: str
) -> None:
    create("lan")
    (described,) = json.loads(here("network", "inspect", "lan").stdout)
    device = described["config"]["plugins"][0]["bridge"]
    network.run("ip", "link", "add", device, "type", "bridge")
    done = here("run", "--rm", "--network", "lan", busybox, "true")
    assert (done.returncode, "is there already, and not of this network" in done.stderr) == (125, True)
    network.run("ip", "link", "del", device)


def test_plan_makes_no_network(here: Cli, busybox: str, create: Create, directories: Path) -> None:
    done = here("plan", "--network", "bridge", busybox, "true")
    assert done.returncode == 0, done.stderr
    assert not (directories / "root" / "networks" / "bridge.conflist").exists()
