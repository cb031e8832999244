"""Pods with the cgroup driver systemd: in scopes that systemd makes and delegates, in a kubelet's slices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.kernel import cgroups
from tests.cri.client import Client
from tests.cri.conftest import Node, Pods, remove_all
from tests.support import images
from tests.support.registry import Registry
from tests.systemd.control import TOP, inner_with_processes, shown, systemctl, tree

pytestmark = pytest.mark.requires("root", "cgroup2", "systemd", "registry", "busybox", "overlay")

UID = os.urandom(4).hex()
SLICE = f"kubepods-burstable-pod{UID}.slice"
PARENT = TOP / "kubepods.slice/kubepods-burstable.slice" / SLICE
HOST_NETWORK = {"security_context": {"namespace_options": {"network": "NODE"}}}
MEBIBYTE = 1 << 20
EXITED = 2  # ContainerState


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("cri")
    with Registry.start(directory / "registry") as registry:
        images.push(images.busybox(), registry.host, "busybox", "latest")
        node = Node(directory, registry.host)
        node.networks.mkdir()
        # As a kubelet makes it, with a limit of all that the pod has.
        systemctl("start", SLICE)
        systemctl("set-property", "--runtime", SLICE, "MemoryMax=96M", "TasksMax=200")
        try:
            yield node
        finally:
            systemctl("stop", SLICE)


@pytest.fixture
def cri(node: Node) -> Iterator[Client]:
    with node.agent("--cri-cgroup-driver=systemd") as agent:
        with node.client() as client:
            client.PullImage(image={"image": node.image})
            with node.resident():
                yield client
                remove_all(client)
        agent.stop()


@pytest.fixture
def pods(cri: Client, node: Node) -> Pods:
    return Pods(cri, node)


def run(pods: Pods, parent: str = SLICE) -> str:
    return pods.run(linux={"cgroup_parent": parent, **HOST_NETWORK})


def above(scope: Path) -> dict[str, str]:
    found = tree(PARENT)
    return {path: each for path, each in found.items() if not path.startswith(str(scope))}


def test_a_pod_is_a_scope_in_the_slice_and_its_limits_bite(pods: Pods, cri: Client) -> None:
    pod = run(pods)
    name = f"cri-containerizer-{pod}.scope"
    scope = PARENT / name
    assert (shown(name, "Slice"), shown(name, "Delegate")) == (SLICE, "yes")
    assert shown(name, "ControlGroup") == f"/{scope.relative_to(TOP)}"
    before = above(scope)
    container = pods.start(pod, resources={"memory_limit_in_bytes": 32 * MEBIBYTE, "cpu_quota": 20000})
    own = scope / f"ct-{pod}" / f"ct-{container}"
    assert (own / "memory.max").read_text() == f"{32 * MEBIBYTE}\n"
    assert (own / "cpu.max").read_text() == "20000 100000\n"
    assert len(cgroups.pids(str(own))) == 1
    assert above(scope) == before
    assert inner_with_processes(TOP / "kubepods.slice") == []
    cri.UpdateContainerResources(container_id=container, linux={"memory_limit_in_bytes": 24 * MEBIBYTE})
    assert (own / "memory.max").read_text() == f"{24 * MEBIBYTE}\n"
    systemctl("daemon-reload")  # after which systemd puts its own properties in force again
    assert (own / "memory.max").read_text() == f"{24 * MEBIBYTE}\n"
    hungry = pods.start(
        pod, ["tail", "/dev/zero"], "hungry", resources={"memory_limit_in_bytes": 16 * MEBIBYTE}
    )
    while pods.status(hungry).state != EXITED:
        pass
    assert pods.status(hungry).reason == "OOMKilled"
    cri.RemovePodSandbox(pod_sandbox_id=pod)
    assert not scope.exists()
    assert shown(name, "ActiveState") == "inactive"


def test_pods_outlive_the_agent(node: Node) -> None:
    with node.agent("--cri-cgroup-driver=systemd") as agent:
        with node.client() as cri:
            cri.PullImage(image={"image": node.image})
            pods = Pods(cri, node)
            pod = run(pods, f"/kubepods.slice/{SLICE}")
            container = pods.start(pod)
        agent.kill()
    with node.agent("--cri-cgroup-driver=systemd") as agent:
        with node.client() as cri:
            assert Pods(cri, node).sh(container, "echo on") == "on\n"
            remove_all(cri)
            assert list(PARENT.glob("*.scope")) == []
        agent.stop()


def test_a_pod_that_cannot_be_launched_leaves_no_scope(pods: Pods) -> None:
    import grpc

    with pytest.raises(grpc.RpcError):
        pods.run(linux={"cgroup_parent": SLICE})  # there is no network
    with pytest.raises(grpc.RpcError):
        pods.run(linux={"cgroup_parent": SLICE, "sysctls": {"kernel.none": "1"}, **HOST_NETWORK})
    assert list(PARENT.glob("*.scope")) == []
