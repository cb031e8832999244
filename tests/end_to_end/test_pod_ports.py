"""Ports of the host that lead into a pod."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Cli, Write
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "nftables")


def test_the_host_answers_for_a_pod(here: Cli, network: HostNetwork, manifest: Write) -> None:
    """Its containers are in one network, whose files have the pod's aliases of hosts."""
    ports = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 81, "hostPort": 8081, "hostIP": "127.0.0.1"},
    ]
    server = {"name": "server", "script": "nc -ll -p 81 -e echo other & exec nc -ll -p 80 -e hostname"}
    aliases = [{"ip": "192.0.2.7", "hostnames": ["seven"]}]
    path = manifest(
        {**server, "ports": ports},
        {"name": "reader", "script": "exec sleep 1000"},
        hostAliases=aliases,
        terminationGracePeriodSeconds=0,
    )
    done = here("pod", "run", "-d", path)
    try:
        assert done.returncode == 0, done.stderr

        def asked(host: str, port: int) -> str:
            """By the host; what is not there yet is asked for again."""
            script = f"until busybox nc -w 5 {host} {port} </dev/null 2>/dev/null; do sleep 0.05; done"
            return network.run("timeout", "60", "sh", "-c", script).strip()

        assert asked("127.0.0.1", 8080) == "pod"
        assert asked("127.0.0.1", 8081) == "other"
        within = (
            "until nc -w 5 127.0.0.1 80 </dev/null 2>/dev/null; do sleep 0.05; done; grep seven /etc/hosts"
        )
        told = here("exec", "pod.reader", "sh", "-c", within).stdout.splitlines()
        assert [line.split() for line in told] == [["pod"], ["192.0.2.7", "seven"]]
    finally:
        assert here("pod", "rm", "-f", path).returncode == 0
        here("network", "rm", "bridge")
    assert network.rules() == ""
