"""Containers in networks of Debian's CNI plug-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Cli, Configure
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cni")


def ipam(tmp_path: Path, subnet: str) -> dict[str, Any]:
    ranges = [[{"subnet": subnet}]]
    return {
        "type": "host-local",
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{tmp_path}/ipam",
    }


def test_bridge_gives_an_address_and_takes_it_back(
    here: Cli, busybox: str, configure: Configure, cni: list[str], network: HostNetwork, tmp_path: Path
) -> None:
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam(tmp_path, "10.7.0.0/24")}
    configure("lan", bridge)
    script = "ip -4 addr show eth0; ip route; cat /etc/hosts; ping -c 1 -W 5 10.7.0.1"
    done = here("run", "--rm", "--name", "web", "--network", "lan", *cni, busybox, "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "inet 10.7.0.2/24" in done.stdout
    assert "default via 10.7.0.1 dev eth0" in done.stdout
    assert "10.7.0.2\tweb" in done.stdout
    assert "1 packets received" in done.stdout
    assert network.devices() == {"cni0"}  # the plug-in's own, and no end of a cable
    assert not [path for path in (tmp_path / "ipam" / "lan").iterdir() if path.name.startswith("10.")]


def test_chain_with_portmap_tuning_firewall_and_bandwidth(
    here: Cli, busybox: str, configure: Configure, cni: list[str], network: HostNetwork, tmp_path: Path
) -> None:
    configure(
        "lan",
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": ipam(tmp_path, "10.7.0.0/24"),
            "capabilities": {"ips": True},
        },
        {"type": "tuning", "capabilities": {"mac": True}, "sysctl": {"net.core.somaxconn": "77"}},
        {"type": "firewall", "backend": "iptables"},
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
    )
    script = (
        "cat /proc/sys/net/core/somaxconn /sys/class/net/eth0/address; echo up; nc -l -p 80 -e echo hello"
    )
    options = [
        "-p",
        "8080:80",
        "--mac-address",
        "02:00:00:00:00:07",
        "--ip",
        "10.7.0.9",
        "--egress",
        "10mbit",
    ]
    with here.start(
        "run", "--rm", "--network", "lan", *options, *cni, busybox, "sh", "-c", script
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines == ["77\n", "02:00:00:00:00:07\n", "up\n"]
        assert "tbf" in network.run("tc", "qdisc")
        until = (
            "until busybox nc -w 5 127.0.0.1 8080 2>/dev/null; do sleep 0.05; done"  # it listens in a moment
        )
        assert network.run("sh", "-c", until) == "hello\n"
        assert process.wait(30) == 0
    assert "CNI-DN" not in network.run("iptables-save", "-t", "nat")
    assert network.devices() == {"cni0"}


def test_several_networks_and_other_plugins(
    here: Cli, busybox: str, configure: Configure, cni: list[str], network: HostNetwork, tmp_path: Path
) -> None:
    network.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "other")
    network.run("ip", "link", "set", "uplink", "up")
    configure("cable", {"type": "ptp", "ipam": ipam(tmp_path, "10.8.0.0/24")})
    configure(
        "wire",
        {
            "type": "macvlan",
            "master": "uplink",
            "ipam": {"type": "static", "addresses": [{"address": "10.9.0.5/24"}]},
        },
    )
    done = here("run", "--rm", "--network", "cable,wire", *cni, busybox, "ip", "-o", "-4", "addr")
    assert done.returncode == 0, done.stderr
    addresses = {line.split()[1]: line.split()[3] for line in done.stdout.splitlines()}
    assert addresses == {"lo": "127.0.0.1/8", "eth0": "10.8.0.2/24", "eth1": "10.9.0.5/24"}
    assert network.devices() == {"uplink", "other"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("macvlan", {}, marks=pytest.mark.requires("macvlan")),
        pytest.param("ipvlan", {}, marks=pytest.mark.requires("ipvlan")),
        pytest.param("vlan", {"vlanId": 7}, marks=pytest.mark.requires("vlan")),
    ],
)
def test_interfaces_of_the_hosts_own(
    here: Cli,
    busybox: str,
    configure: Configure,
    cni: list[str],
    network: HostNetwork,
    tmp_path: Path,
    kind: str,
    options: dict[str, Any],
) -> None:
    """A device of the host's is what they share; what is at its other end is reached, and answers."""
    neighbour = _wire(network, options.get("vlanId"))
    network.run("ip", "addr", "add", "10.9.0.1/24", "dev", neighbour)
    before = network.devices()
    own = {"type": kind, "master": "uplink", **options, "ipam": ipam(tmp_path, "10.9.0.0/24")}
    configure("wire", own, {"type": "tuning"})
    script = "ip -o -4 addr show eth0; ping -c 1 -W 5 10.9.0.1"
    done = here("run", "--rm", "--network", "wire", *cni, busybox, "sh", "-c", script)
    assert "10.9.0.2/24" in done.stdout, done.stderr
    assert "1 packets received" in done.stdout
    assert network.devices() == before
    assert not [path for path in (tmp_path / "ipam" / "wire").iterdir() if path.name.startswith("10.")]


def _wire(network: HostNetwork, vlan: int | None) -> str:
    """A cable between two devices of the host; the one, in this VLAN, that containers do not share."""
    network.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "other")
    for name in ("uplink", "other"):
        network.run("ip", "link", "set", name, "up")
    if vlan is None:
        return "other"
    network.run("ip", "link", "add", "link", "other", "name", "tagged", "type", "vlan", "id", str(vlan))
    network.run("ip", "link", "set", "tagged", "up")
    return "tagged"


def test_loopback_in_a_list(
    here: Cli, busybox: str, configure: Configure, cni: list[str], tmp_path: Path
) -> None:
    """It is brought up already; a list that does so again is fine."""
    configure("lan", {"type": "ptp", "ipam": ipam(tmp_path, "10.8.0.0/24")})
    configure("lo", {"type": "loopback"})
    done = here("run", "--rm", "--network", "lan,lo", *cni, busybox, "ip", "-o", "-4", "addr")
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1/8" in done.stdout


def test_a_network_is_left_when_its_container_is_killed_with_its_launcher(
    here: Cli, busybox: str, configure: Configure, cni: list[str], network: HostNetwork, tmp_path: Path
) -> None:
    configure("lan", {"type": "bridge", "bridge": "cni0", "ipam": ipam(tmp_path, "10.7.0.0/24")})
    options = ["run", "--rm", "--name", "web", "--network", "lan", *cni, busybox]
    with here.start(*options, "sh", "-c", "echo up; exec sleep 1000") as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.kill()
        process.wait()
        here.kill_containers()
    assert network.devices() == {"cni0"}
