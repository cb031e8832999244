"""The driver of networks of our own, in a network namespace that stands for the host's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import HostNetwork, host_network

pytestmark = pytest.mark.requires("root", "nftables")

# The words of a call, as the driver of CNI has them; the answer, or what failed.
_CALL = """
import json, sys
from isolators.network.bridge import driver
from isolators.network.places import Places
from isolators.network.plugin import Call, PluginFailed
command, root, state, config, netns, name = sys.argv[1:]
asked = Call(command=command, container_id=f"{name}-0a1b{name:.4}", netns=netns, interface="eth0")
try:
    driver.call(asked, json.loads(config), Places(root, state))
except PluginFailed as error:
    sys.exit(f"{error}")
"""


@pytest.fixture
def host() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


@pytest.fixture
def container() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


def call(
    command: str, host: HostNetwork, container: HostNetwork, state: Path, name: str = "web", **config: Any
) -> subprocess.CompletedProcess[str]:
    given = {"cniVersion": "1.1.0", "name": "net", "type": "containerizer-bridge", "bridge": "ctz0"} | config
    subnets = [{"subnet": each} for each in given.pop("subnets", ["10.99.0.0/24", "fd00:99::/64"])]
    words = (str(state), str(state), json.dumps({"dns": False, **given, "subnets": subnets}))
    words = (command, *words, f"/proc/{container.pid}/ns/net", name)
    return subprocess.run(
        [*host.within, sys.executable, "-c", _CALL, *words], capture_output=True, text=True, timeout=60
    )


def setting(host: HostNetwork, device: str, name: str) -> str:
    return host.run("cat", f"/proc/sys/net/ipv6/conf/{device}/{name}").strip()


@pytest.mark.parametrize(
    ("config", "disabled"),
    [({}, "0"), ({"internal": True}, "0"), ({"subnets": ["10.99.0.0/24"]}, "1")],
)
def test_a_container_is_no_router_for_the_host(
    host: HostNetwork, container: HostNetwork, tmp_path: Path, config: dict[str, Any], disabled: str
) -> None:
    host.run("ip", "link", "add", "uplink", "type", "bridge")
    assert setting(host, "uplink", "accept_ra") == "1"
    added = call("ADD", host, container, tmp_path, **config)
    assert added.returncode == 0, added.stderr
    assert setting(host, "ctz0", "accept_ra") == "0"
    assert setting(host, "ctz0", "disable_ipv6") == disabled
    assert setting(host, "uplink", "accept_ra") == ("1" if config else "2")  # it may have its route by one
    assert call("DEL", host, container, tmp_path, **config).returncode == 0
    assert host.devices() == {"uplink"}


def test_a_network_of_another_state_directory_is_left_alone(
    host: HostNetwork, container: HostNetwork, tmp_path: Path
) -> None:
    mine, other = tmp_path / "a", tmp_path / "b"
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    publish = {"runtimeConfig": {"portMappings": ports}}
    assert call("ADD", host, container, mine, **publish).returncode == 0
    before = host.devices(), host.rules()
    with host_network() as late:
        refused = call("ADD", host, late, other, name="db", **publish)
        assert "the device ctz0 is there already" in refused.stderr
        assert call("DEL", host, late, other, name="db", **publish).returncode == 0
        refused = call("ADD", host, late, other, name="db", bridge="ctz1", subnets=["10.99.0.128/25"])
        assert "the device ctz0, which is of another network, has 10.99.0.0/24" in refused.stderr
        assert call("DEL", host, late, other, name="db", bridge="ctz1").returncode == 0
    assert (host.devices(), host.rules()) == before
    assert call("DEL", host, container, mine, **publish).returncode == 0
    assert host.devices() == set()
    assert host.rules() == ""


def test_what_a_killed_launcher_has_left_is_gone_on_with(
    host: HostNetwork, container: HostNetwork, tmp_path: Path
) -> None:
    assert call("ADD", host, container, tmp_path).returncode == 0
    before = host.devices()
    shutil.rmtree(tmp_path / "of" / "net" / "names")
    assert call("ADD", host, container, tmp_path).returncode == 0
    assert host.devices() == before
    assert call("DEL", host, container, tmp_path).returncode == 0
    assert host.devices() == set()
