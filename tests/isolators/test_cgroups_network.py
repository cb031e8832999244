"""cgroups/net_cls and cgroups/net_prio: nft(8) sees the class and the priority of what a container sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.cgroups.net_cls import CgroupsNetCls, NoFreeClass
from isolators.cgroups.net_prio import CgroupsNetPrio
from isolators.isolator import IsolatorFlags
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from tests.isolators.support import CONFIG, WEB
from tests.support import hierarchy
from tests.support.netns import host_network

pytestmark = pytest.mark.requires("root")

_SEND = """
import socket, sys
sys.stdin.readline()
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    sender.sendto(b"x", ("127.0.0.1", 9))
"""
_TABLE = f"containerizer_test_{os.getpid()}"


def flags(directory: Path, **more: object) -> IsolatorFlags:
    given = {"cgroups_root": f"containerizer-test-{os.getpid()}-net", "state": str(directory / "state")}
    return IsolatorFlags(**given, **more)  # type: ignore[arg-type]


def sent_from(cgroup: str, *within: str) -> None:
    """Have a task in the cgroup send three packets to this host itself."""
    with subprocess.Popen([*within, sys.executable, "-c", _SEND], stdin=subprocess.PIPE) as process:
        cgroups.attach(cgroup, process.pid)
        process.communicate(b"\n", timeout=30)


def counted(listing: str) -> dict[str, int]:
    """Packets by the names of nft's counters."""
    things = [thing["counter"] for thing in json.loads(listing)["nftables"] if "counter" in thing]
    return {counter["name"]: counter["packets"] for counter in things}


# net_cls -----------------------------------------------------------------------------------------


@pytest.fixture
def net_cls(tmp_path: Path) -> Iterator[CgroupsNetCls]:
    with hierarchy.v1("net_cls", tmp_path) as mountinfo:
        given = flags(tmp_path, net_cls_primary_handle=0x12, net_cls_secondary_handles=(5, 8))
        isolator = CgroupsNetCls(given, mountinfo)
        yield isolator
        isolator.cleanup(WEB)
    assert not (tmp_path / "state" / "net_cls").exists()


@pytest.mark.requires("nftables")
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_hosts_firewall_knows_a_containers_packets(net_cls: CgroupsNetCls, depth: int) -> None:
    container = WEB
    net_cls.prepare(container, CONFIG)
    for level in range(depth):
        container = ContainerId(f"level-{level}", container)
        net_cls.prepare(container, CONFIG)
    classid = net_cls.status(container)["net_cls_classid"]
    assert classid == 0x120005 + depth
    rules = f"""
        table inet t {{
            counter own {{}}
            counter total {{}}
            chain out {{
                type filter hook output priority 0
                meta cgroup {classid} counter name own
                counter name total
            }}
        }}"""
    with host_network() as network:
        network.run("nft", rules)
        sent_from(net_cls.cgroup(container), *network.within)
        sent_from(os.path.dirname(net_cls.cgroup(container)), *network.within)
        packets = counted(network.run("nft", "-j", "list", "counters"))
    assert packets["own"] == 3
    assert packets["total"] >= 6  # and what the kernel answers
    while container.parent:
        net_cls.cleanup(container)
        container = container.parent


def test_a_class_is_one_containers_until_its_end(net_cls: CgroupsNetCls) -> None:
    containers = [ContainerId(f"c{number}") for number in range(4)]
    for container in containers:
        net_cls.prepare(container, CONFIG)
        net_cls.prepare(container, CONFIG)
    given = [net_cls.status(container)["net_cls_classid"] for container in containers]
    assert given == [0x120005, 0x120006, 0x120007, 0x120008]
    with pytest.raises(NoFreeClass, match="all 4 network classes"):
        net_cls.prepare(WEB, CONFIG)
    net_cls.cleanup(containers[1])
    net_cls.prepare(WEB, CONFIG)
    assert net_cls.status(WEB)["net_cls_classid"] == 0x120006
    for container in containers:
        net_cls.cleanup(container)


def test_without_a_primary_handle_nobody_gets_a_class(tmp_path: Path) -> None:
    with hierarchy.v1("net_cls", tmp_path) as mountinfo:
        isolator = CgroupsNetCls(flags(tmp_path), mountinfo)
        isolator.prepare(WEB, CONFIG)
        assert "net_cls_classid" not in isolator.status(WEB)
        isolator.cleanup(WEB)


@pytest.mark.parametrize("handles", [(0, 5), (1, 0x10000), (1, 0)])
def test_handles_that_there_are_not(tmp_path: Path, handles: tuple[int, int]) -> None:
    given = flags(tmp_path, net_cls_primary_handle=1, net_cls_secondary_handles=handles)
    with hierarchy.v1("net_cls", tmp_path) as mountinfo, pytest.raises(InvalidRequest, match="handle"):
        CgroupsNetCls(given, mountinfo)


# net_prio ----------------------------------------------------------------------------------------


@pytest.fixture
def net_prio(tmp_path: Path) -> Iterator[CgroupsNetPrio]:
    with hierarchy.v1("net_prio", tmp_path) as mountinfo:
        isolator = CgroupsNetPrio(flags(tmp_path), mountinfo)
        yield isolator
        isolator.cleanup(WEB)


def nft(*words: str) -> str:
    return subprocess.run(["nft", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def by_priority() -> Iterator[None]:
    """Counters of packets that leave by the host's own loopback, for the kernel has only its devices here."""
    counters = "".join(f"counter p{priority} {{}}\n" for priority in (0, 3, 5))
    rules = "".join(f"meta priority 0:{priority} counter name p{priority}\n" for priority in (0, 3, 5))
    chain = 'chain out { type filter hook egress device "lo" priority 0; udp dport 9 jump counted; }'
    nft(f"table netdev {_TABLE} {{\n{counters}chain counted {{\n{rules}}}\n{chain}\n}}")
    yield
    nft("delete", "table", "netdev", _TABLE)


def packets() -> dict[str, int]:
    """Since the last time."""
    return counted(nft("-j", "reset", "counters", "table", "netdev", _TABLE))


@pytest.mark.requires("nftables")
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_packets_have_the_priority_of_their_container(
    net_prio: CgroupsNetPrio, by_priority: None, depth: int
) -> None:
    container = WEB
    net_prio.prepare(WEB, replace(CONFIG, resources=Resources(net_priorities={"lo": 3})))
    for level in range(depth):
        container = ContainerId(f"level-{level}", container)
        net_prio.prepare(container, replace(CONFIG, resources=Resources(net_priorities={"lo": 3})))
    sent_from(net_prio.cgroup(container))
    assert packets() == {"p0": 0, "p3": 3, "p5": 0}
    net_prio.update(container, Resources(net_priorities={"lo": 5}))
    sent_from(net_prio.cgroup(container))
    assert packets() == {"p0": 0, "p3": 0, "p5": 3}
    assert net_prio.status(container)["net_priorities"] == {"lo": 5}
    net_prio.update(container, Resources())
    sent_from(net_prio.cgroup(container))
    assert packets() == {"p0": 3, "p3": 0, "p5": 0}


@pytest.mark.parametrize(
    ("priorities", "message"),
    [({"no-such": 1}, "'no-such'"), ({"lo": -1}, "-1"), ({"lo": 1 << 32}, "4294967296"), ({"": 1}, "''")],
)
def test_priorities_that_make_no_sense(
    net_prio: CgroupsNetPrio, priorities: dict[str, int], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        net_prio.check(Resources(net_priorities=priorities))
    assert not os.path.exists(net_prio.cgroup(WEB))
