"""An agent's containers in networks: asked for by the API, told by it, and found again by the next agent."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isolators import catalog
from tests.api.http import Client
from tests.end_to_end.conftest import Cli
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "nftables")


@contextlib.contextmanager
def agent(here: Cli) -> Iterator[Path]:
    """Its socket, once it has recovered."""
    isolation = ",".join((*catalog.DEFAULT, "network/cni"))
    argv = [*here.argv, "agent", "--isolation", isolation, "--launches", "1"]
    path = here.state.with_name("notify")  # an abstract one would be of another network
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(path))
        ready.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": str(path)}
        with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                assert b"READY=1" in ready.recv(4096)
                yield here.state / "agent.sock"
            finally:
                process.terminate()
                process.wait(60)


def _status(address: Path) -> dict[str, Any]:
    call = {"type": "GET_CONTAINERS", "get_containers": {"show_standalone": True}}
    (container,) = Client(str(address)).answer(call)["get_containers"]["containers"]
    found: dict[str, Any] = container
    return found


def test_networks_by_the_api(here: Cli, busybox: str, network: HostNetwork) -> None:
    run = ["run", "-d", "--name", "web", "--network", "bridge", "-p", "8080:80", "--pull", "never", busybox]
    with agent(here) as address:
        remote = [*here.argv, "--agent", f"unix://{address}"]
        done = subprocess.run([*remote, *run, "sleep", "1000"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        (info,) = _status(address)["container_status"]["network_infos"]
    with agent(here) as address:
        container = _status(address)
        assert container["container_status"]["network_infos"] == [info]
        assert info["name"] == "bridge"
        assert [each["protocol"] for each in info["ip_addresses"]] == ["IPv4", "IPv6"]
        assert info["port_mappings"] == [{"host_port": 8080, "container_port": 80, "protocol": "tcp"}]
        assert int(container["resource_statistics"]["net_rx_packets"]) >= 0
        done = subprocess.run([*here.argv, "--agent", f"unix://{address}", "rm", "-f", "web"], timeout=60)
        assert done.returncode == 0
    assert here("network", "rm", "bridge").returncode == 0
    assert network.devices() == set()
