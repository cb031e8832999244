"""Pods in networks that are named: others find them there by their names."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Cli, Write
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "nftables")

_READY = "until nc -w 5 127.0.0.1 80 </dev/null 2>/dev/null; do sleep 0.05; done"


def test_a_pod_in_a_network_is_found_by_its_name(
    here: Cli, busybox: str, network: HostNetwork, manifest: Write
) -> None:
    assert here("network", "create", "lan").returncode == 0
    file = manifest({"name": "web", "script": "exec nc -ll -p 80 -e hostname"})
    try:
        assert here("pod", "run", "-d", "--network", "lan", file).returncode == 0
        assert here("exec", "pod.web", "sh", "-c", _READY).returncode == 0
        ask = ["sh", "-c", "nc -w 5 pod 80 </dev/null"]
        assert here("run", "--rm", "--network", "lan", busybox, *ask).stdout == "pod\n"
    finally:
        assert here("pod", "rm", "-f", "pod").returncode == 0
        assert here("network", "rm", "lan").returncode == 0


def test_what_makes_no_sense_is_refused(here: Cli, manifest: Write) -> None:
    for network, told, spec in (
        ("host", "a pod cannot have the network host", {}),
        ("lan", "a pod with hostNetwork: true joins no networks", {"hostNetwork": True}),
        ("none", "need a network to be in", {}),
    ):
        ports = [] if spec else [{"containerPort": 80, "hostPort": 8080}]
        file = manifest({"name": "web", "script": "true", "ports": ports}, **spec)
        done = here("pod", "run", "--network", network, file)
        assert (done.returncode, told in done.stderr) == (125, True), done.stderr
