"""The pods' network: each has an address, and ports of the host lead to it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.cri.client import Client
from tests.cri.conftest import Pods
from tests.support import recording_plugin

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")


def address_of(cri: Client, pod: str) -> str:
    return str(cri.PodSandboxStatus(pod_sandbox_id=pod).status.network.ip)


SERVER = ["sh", "-c", "mkdir /www; echo hello > /www/x; exec httpd -f -p 8080 -h /www"]


def fetched(pods: Pods, container: str, address: str) -> str:
    """Once somebody listens there."""
    script = f"until wget -qO- http://{address}:8080/x; do sleep 0.1; done"
    return pods.sh(container, script)


def test_containers_of_a_pod_share_its_address_and_loopback(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    pods.start(pod, SERVER, name="server")
    client = pods.start(pod, name="client")
    assert address_of(cri, pod) in pods.sh(client, "ip -4 addr show eth0")
    assert fetched(pods, client, "127.0.0.1") == "hello\n"


def test_pods_reach_each_other(pods: Pods, cri: Client) -> None:
    one, two = pods.run("one"), pods.run("two")
    assert address_of(cri, one) != address_of(cri, two)
    pods.start(one, SERVER)
    assert fetched(pods, pods.start(two), address_of(cri, one)) == "hello\n"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


def test_a_port_of_the_host_leads_into_the_pod(pods: Pods, cri: Client, port: int) -> None:
    mapping = {"host_port": port, "container_port": 8080, "host_ip": "0.0.0.0", "protocol": "TCP"}
    pod = pods.run(port_mappings=[mapping, {"container_port": 9000}])
    server = pods.start(pod, SERVER)
    fetched(pods, server, "127.0.0.1")
    gateway = pods.sh(server, "ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'").strip()
    other = pods.start(pods.run("other"))
    assert pods.sh(other, f"wget -qO- http://{gateway}:{port}/x") == "hello\n"


def test_addresses_are_given_back(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    first = address_of(cri, pod)
    cri.StopPodSandbox(pod_sandbox_id=pod)
    addresses = pods.node.directory / "addresses/cri-test"
    assert first not in {path.name for path in addresses.iterdir()}


def test_plug_ins_are_told_which_pod_it_is(pods: Pods, cri: Client, tmp_path: Path) -> None:
    log, place = tmp_path / "log", pods.node.networks / "00-first.conflist"
    recording_plugin.install(pods.node.plugins, "recorder")
    result = {"cniVersion": "1.0.0", "ips": [{"address": "10.232.0.9/24"}], "interfaces": []}
    plugin = {"type": "recorder", "log": str(log), "results": {"ADD": result}}
    place.write_text(json.dumps({"cniVersion": "1.0.0", "name": "told", "plugins": [plugin]}))
    try:
        metadata = {"name": "web", "namespace": "shop", "uid": "u-1"}
        pod = pods.run(metadata=metadata)
        cri.RemovePodSandbox(pod_sandbox_id=pod)
    finally:
        place.unlink()
    calls = {call["command"]: call["environment"]["CNI_ARGS"] for call in recording_plugin.calls(log)}
    wanted = {"IgnoreUnknown=1", "K8S_POD_NAMESPACE=shop", "K8S_POD_NAME=web", "K8S_POD_UID=u-1"}
    assert {*wanted, f"K8S_POD_INFRA_CONTAINER_ID={pod}"} == set(calls["ADD"].split(";"))
    assert calls["DEL"] == calls["ADD"]
