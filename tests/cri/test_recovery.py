"""Everything survives the agent: what runs, what has ended meanwhile, and what was never started."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cri.conftest import Node, Pods, remove_all

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")

CREATED, RUNNING, EXITED = 0, 1, 2
READY, NOTREADY = 0, 1


@pytest.fixture
def own(node: Node, tmp_path: Path) -> Iterator[Node]:
    """A node whose agent comes and goes."""
    own = Node(tmp_path, node.registry)
    own.networks = node.networks
    with own.resident():
        yield own


def test_what_runs_and_what_has_ended_is_known_to_the_next_agent(own: Node) -> None:
    with own.agent() as agent, own.client() as cri:
        cri.PullImage(image={"image": own.image})
        pods = Pods(cri, own)
        pod = pods.run(labels={"a": "b"})
        running = pods.start(pod, ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"], "running")
        ending = pods.start(pod, ["sh", "-c", "read x < /tmp/f || exec sleep 1000"], "ending")
        created = pods.create(pod, name="created")
        pid = cri.ContainerStatus(container_id=ending, verbose=True).info["info"]
        before = cri.PodSandboxStatus(pod_sandbox_id=pod).status
        agent.kill()
    process = os.pidfd_open(json.loads(pid)["pid"])
    signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)
    with own.agent() as agent, own.client() as cri:
        pods = Pods(cri, own)
        assert cri.PodSandboxStatus(pod_sandbox_id=pod).status == before
        while pods.status(ending).state != EXITED:
            pass
        assert (pods.status(ending).exit_code, pods.status(ending).reason) == (137, "Error")
        assert pods.status(running).state == RUNNING
        assert pods.status(created).state == CREATED
        assert pods.sh(running, "echo here") == "here\n"
        cri.StartContainer(container_id=created)
        cri.StopContainer(container_id=running, timeout=10)
        assert pods.status(running).exit_code == 5
        remove_all(cri)
        agent.stop()


def test_what_a_reboot_has_ended_is_told(own: Node) -> None:
    with own.agent() as agent, own.client() as cri:
        cri.PullImage(image={"image": own.image})
        pods = Pods(cri, own)
        pod = pods.run()
        container = pods.start(pod, ["sh", "-c", "sleep 1000"])
        stored = {path: path.read_bytes() for path in (own.root / "cri").rglob("*.json")}
        remove_all(cri)
        agent.stop()
    for path, content in stored.items():  # as if the state directory had been forgotten
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    with own.agent() as agent, own.client() as cri:
        assert cri.PodSandboxStatus(pod_sandbox_id=pod).status.state == NOTREADY
        status = cri.ContainerStatus(container_id=container).status
        assert (status.state, status.exit_code, status.reason) == (EXITED, 255, "ContainerStatusUnknown")
        remove_all(cri)
        agent.stop()


def test_a_client_sees_a_torn_record_as_none(own: Node) -> None:
    directory = own.root / "cri" / "torn"
    directory.mkdir(parents=True)
    (directory / "pod.json").write_text("{")
    with own.agent() as agent, own.client() as cri:
        assert list(cri.ListPodSandbox().items) == []
        assert not directory.exists()
        agent.stop()
