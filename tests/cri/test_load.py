"""Many pods at once; `make bench-cri` has more of them. What they leave, every test is looked at for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cri.client import Client
from tests.cri.conftest import Node, Pods

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")

PODS, AT_ONCE = 8, 4


def test_pods_live_and_go_side_by_side(cri: Client, pods: Pods, served: Node) -> None:
    def live(number: int) -> str:
        pod = pods.run(f"pod-{number}")
        containers = [pods.start(pod, name=name) for name in ("a", "b")]
        address = str(cri.PodSandboxStatus(pod_sandbox_id=pod).status.network.ip)
        for container in containers:
            assert pods.sh(container, f"echo {number}") == f"{number}\n"
        cri.StopContainer(container_id=containers[0])
        cri.StopPodSandbox(pod_sandbox_id=pod)
        assert [pods.status(each).exit_code for each in containers] == [137, 137]
        cri.RemovePodSandbox(pod_sandbox_id=pod)
        return address

    with ThreadPoolExecutor(AT_ONCE) as pool:
        addresses = list(pool.map(live, range(PODS)))
    assert all(addresses)
    assert list(cri.ListPodSandbox().items) == []
    assert list(cri.ListContainers().containers) == []
    assert list((served.root / "cri").iterdir()) == []
