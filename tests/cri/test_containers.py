"""Containers: their life, what they are told, and what they tell."""

from __future__ import annotations

import json
import time
from pathlib import Path

import grpc
import pytest

from tests.cri.client import Client, status_of
from tests.cri.conftest import Node, Pods

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")

CREATED, RUNNING, EXITED = 0, 1, 2


def ended(cri: Client, container: str) -> object:
    """Its status, once it has."""
    for _ in range(500):
        status = cri.ContainerStatus(container_id=container).status
        if status.state == EXITED:
            return status
        time.sleep(0.02)  # between two looks: nothing tells us
    raise AssertionError(f"{container} runs on")


def test_a_container_from_its_creation_to_its_removal(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    before = time.time_ns()
    container = pods.create(pod, ["sh", "-c", "trap 'exit 7' TERM; sleep 1000 & wait"], labels={"a": "b"})
    status = pods.status(container)
    assert (status.state, status.started_at, status.finished_at) == (CREATED, 0, 0)
    assert before < status.created_at < time.time_ns()
    cri.StartContainer(container_id=container)
    status = pods.status(container)
    assert (status.state, status.metadata.name, dict(status.labels)) == (RUNNING, "main", {"a": "b"})
    assert status.created_at < status.started_at
    assert (status.user.linux.uid, list(status.user.linux.supplemental_groups)) == (0, [0])
    while "wait" not in pods.sh(container, "cat /proc/*/cmdline | tr '\\0' '\\n'"):
        pass  # until the shell has its trap
    for _ in range(2):
        cri.StopContainer(container_id=container, timeout=10)
        status = pods.status(container)
        assert (status.state, status.exit_code, status.reason) == (EXITED, 7, "Error")
    assert status.started_at < status.finished_at < time.time_ns()
    for _ in range(2):
        cri.RemoveContainer(container_id=container)
    with pytest.raises(grpc.RpcError) as gone:
        pods.status(container)
    assert status_of(gone.value)[0] == "NOT_FOUND"
    cri.StopContainer(container_id=container)


def test_who_does_not_heed_the_signal_is_killed(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run(), context={"namespace_options": {"pid": "CONTAINER"}})  # as PID 1
    cri.StopContainer(container_id=container, timeout=1)
    status = pods.status(container)
    assert (status.state, status.exit_code) == (EXITED, 137)


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [("exit 0", 0, "Completed"), ("exit 3", 3, "Error"), ("kill -9 $$", 137, "Error")],
)
def test_the_end_has_a_code_and_a_reason(
    pods: Pods, cri: Client, script: str, code: int, reason: str
) -> None:
    status = ended(cri, pods.start(pods.run(), ["sh", "-c", script]))
    assert (status.exit_code, status.reason) == (code, reason)  # type: ignore[attr-defined]
    assert status.message == ""  # type: ignore[attr-defined] # kubelets put it before what programs tell


def test_one_that_runs_out_of_memory(pods: Pods, cri: Client) -> None:
    hungry = ["sh", "-c", "x=a; while :; do x=$x$x; done"]
    status = ended(cri, pods.start(pods.run(), hungry, resources={"memory_limit_in_bytes": 16 << 20}))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")  # type: ignore[attr-defined]
    assert "memory" in status.message  # type: ignore[attr-defined]


def test_what_cannot_be_executed_has_failed_to_start(pods: Pods, cri: Client) -> None:
    container = pods.create(pods.run(), ["/nothing"])
    with pytest.raises(grpc.RpcError) as failed:
        cri.StartContainer(container_id=container)
    assert "/nothing" in status_of(failed.value)[1]
    status = pods.status(container)
    assert (status.state, status.exit_code, status.reason) == (EXITED, 128, "StartError")
    with pytest.raises(grpc.RpcError) as again:
        cri.StartContainer(container_id=container)
    assert status_of(again.value)[0] == "FAILED_PRECONDITION"


def test_a_missing_image_is_found_out_at_creation(pods: Pods, cri: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        pods.create(pods.run(), image={"image": "127.0.0.1:1/none"})
    assert status_of(refused.value)[0] == "NOT_FOUND"
    assert list(cri.ListContainers().containers) == []


def test_nothing_is_created_in_a_pod_that_has_stopped(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    container = pods.create(pod)
    cri.StopPodSandbox(pod_sandbox_id=pod)
    for call in (lambda: pods.create(pod, name="b"), lambda: cri.StartContainer(container_id=container)):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert status_of(refused.value)[0] == "FAILED_PRECONDITION"


def test_lists_are_filtered(pods: Pods, cri: Client) -> None:
    pod, other = pods.run("one"), pods.run("two")
    a = pods.start(pod, name="a", labels={"x": "1"})
    b = pods.create(pod, name="b", labels={"x": "2"})
    c = pods.create(other, name="c", labels={"x": "1"})

    def listed(**wanted: object) -> set[str]:
        return {each.id for each in cri.ListContainers(filter=wanted).containers}

    assert listed() == {a, b, c}
    assert listed(id=a[:10]) == listed(state={"state": RUNNING}) == {a}
    assert listed(pod_sandbox_id=pod) == {a, b}
    assert listed(pod_sandbox_id=pod, label_selector={"x": "2"}) == {b}
    assert listed(label_selector={"x": "1"}) == {a, c}


def test_command_arguments_environment_and_directory(pods: Pods, served: Node, cri: Client) -> None:
    pod = pods.run()
    container = pods.create(
        pod,
        ["sh", "-c", 'echo "$A $0 $PWD"'],
        args=["zero"],
        working_dir="/tmp",
        envs=[{"key": "A", "value": "YSBi"}],  # base64 of what are bytes
    )
    cri.StartContainer(container_id=container)
    ended(cri, container)
    assert pods.log(container).split(" ", 3)[3] == "a b zero /tmp\n"


def test_the_image_is_told_as_it_was_named_and_as_it_is(pods: Pods, served: Node) -> None:
    pod = pods.run()
    status = pods.status(pods.create(pod))
    assert status.image.image == served.image
    assert status.image_id.startswith("sha256:")
    assert status.image_ref.startswith(f"{served.registry}/busybox@sha256:")
    by_id = pods.status(pods.create(pod, name="b", image={"image": status.image_id}))
    assert (by_id.image.image, by_id.image_id) == (status.image_id, status.image_id)


def test_more_is_told_on_demand(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    container = pods.start(pod)
    of_container = json.loads(cri.ContainerStatus(container_id=container, verbose=True).info["info"])
    assert Path(f"/proc/{of_container['pid']}").is_dir()
    assert (of_container["sandboxID"], of_container["command"]) == (pod, ["sleep", "1000"])
    of_pod = json.loads(cri.PodSandboxStatus(pod_sandbox_id=pod, verbose=True).info["info"])
    assert Path(f"/proc/{of_pod['pid']}").is_dir()
    assert [each.id for each in cri.PodSandboxStatus(pod_sandbox_id=pod).containers_statuses] == [container]


def test_an_attempt_of_a_container_is_there_once(pods: Pods) -> None:
    pod = pods.run()
    pods.create(pod)
    with pytest.raises(grpc.RpcError) as refused:
        pods.create(pod)
    assert status_of(refused.value)[0] == "ALREADY_EXISTS"
    pods.create(pod, metadata={"name": "main", "attempt": 1})
