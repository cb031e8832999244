"""Limits of containers, changed while they run, and what they consume."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from containerizer.cgroups_root import own as root_of
from containerizer.cri import starting
from isolators.cgroups.cpu import weight
from launcher.kernel import cgroups
from tests.cri.client import Client, status_of
from tests.cri.conftest import Pods

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay", "cgroup")

MEBIBYTE = 1 << 20
RESOURCES = {
    "cpu_shares": 512,
    "cpu_quota": 50000,
    "cpu_period": 100000,
    "memory_limit_in_bytes": 64 * MEBIBYTE,
}


def own(pods: Pods, container: str, controller: str) -> Path:
    """Its cgroup."""
    hierarchy = cgroups.find(controller)
    assert hierarchy is not None
    (found,) = Path(hierarchy.mount_point, root_of(str(pods.node.state))).glob(f"ct-*/ct-{container}")
    return found


def limit(pods: Pods, container: str, v1: str, v2: str) -> str:
    """What the kernel says, in the file of whichever version there is."""
    cgroup = own(pods, container, "cpu" if v1.startswith("cpu.") else v1.partition(".")[0])
    return next(cgroup / name for name in (v1, v2) if (cgroup / name).exists()).read_text().strip()


def shares(pods: Pods, container: str) -> str:
    return limit(pods, container, "cpu.shares", "cpu.weight")


def told_as(count: int) -> tuple[str, str]:
    """What either version has for these shares."""
    return str(count), str(weight(count))


def quota(pods: Pods, container: str) -> int:
    """Microseconds of a period of 100 ms; -1: no limit."""
    text = limit(pods, container, "cpu.cfs_quota_us", "cpu.max").split()[0]
    return -1 if text == "max" else int(text)


def memory(pods: Pods, container: str) -> int:
    return int(limit(pods, container, "memory.limit_in_bytes", "memory.max"))


def cpuset(pods: Pods, container: str) -> str:
    return limit(pods, container, "cpuset.cpus", "cpuset.cpus.effective")


def test_limits_are_in_force_and_told(pods: Pods) -> None:
    container = pods.start(pods.run(), resources={**RESOURCES, "cpuset_cpus": "0"})
    assert shares(pods, container) in told_as(512)
    assert quota(pods, container) == 50000
    assert memory(pods, container) == 64 * MEBIBYTE
    assert cpuset(pods, container) == "0"
    told = pods.status(container).resources.linux
    assert (told.cpu_shares, told.memory_limit_in_bytes, told.cpuset_cpus) == (512, 64 * MEBIBYTE, "0")


def test_limits_change_and_what_is_not_named_stays(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run(), resources=RESOURCES)
    new = {"cpu_shares": 1024, "memory_limit_in_bytes": 96 * MEBIBYTE}
    cri.UpdateContainerResources(container_id=container, linux=new)
    assert shares(pods, container) in told_as(1024)
    assert quota(pods, container) == 50000
    assert memory(pods, container) == 96 * MEBIBYTE
    told = pods.status(container).resources.linux
    assert (told.cpu_shares, told.cpu_quota, told.memory_limit_in_bytes) == (1024, 50000, 96 * MEBIBYTE)
    cri.UpdateContainerResources(container_id=container, linux={"cpu_quota": -1})
    assert quota(pods, container) == -1


def test_what_people_have_changed_is_told(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    container = pods.start(pod, resources={**RESOURCES, "cpu_quota": 0})
    pods.node.command("update", "-m", "48m", "--cpus", "0.3", f"{pod}.{container}")
    told = pods.status(container).resources.linux
    assert (told.memory_limit_in_bytes, told.cpu_quota, told.cpu_shares) == (48 * MEBIBYTE, 30000, 512)
    stats = cri.ContainerStats(container_id=container).stats.memory
    assert stats.available_bytes.value == 48 * MEBIBYTE - stats.working_set_bytes.value
    cri.UpdateContainerResources(container_id=container, linux={"memory_limit_in_bytes": 32 * MEBIBYTE})
    told = pods.status(container).resources.linux
    assert (told.memory_limit_in_bytes, told.cpu_quota) == (32 * MEBIBYTE, 30000)
    stats = cri.ContainerStats(container_id=container).stats.memory
    assert stats.available_bytes.value == 32 * MEBIBYTE - stats.working_set_bytes.value
    cri.ExecSync(container_id=container, cmd=["tail", "/dev/zero"])
    cri.StopContainer(container_id=container)
    ended = pods.status(container)
    assert (ended.reason, "limit 32.0 MiB" in ended.message) == ("OOMKilled", True)


def test_what_a_kubelet_says_of_a_container_without_limits(pods: Pods, cri: Client) -> None:
    """Periods and zeros; later its CPUs, when it pins others to theirs."""
    pages = [{"page_size": "2MB", "limit": 0}]
    none = {"cpu_period": 100000, "cpu_quota": 0, "cpu_shares": 2, "oom_score_adj": 1000}
    container = pods.start(pods.run(), resources={**none, "hugepage_limits": pages})
    assert quota(pods, container) == -1
    cri.UpdateContainerResources(container_id=container, linux={"cpuset_cpus": "0"})
    assert cpuset(pods, container) == "0"
    cri.UpdateContainerResources(container_id=container, linux={**none, "cpu_quota": 20000})
    assert quota(pods, container) == 20000


def test_limits_of_one_that_is_not_started_yet_are_those_of_its_start(pods: Pods, cri: Client) -> None:
    container = pods.create(pods.run(), resources=RESOURCES)
    cri.UpdateContainerResources(container_id=container, linux={"cpu_shares": 256})
    cri.StartContainer(container_id=container)
    assert shares(pods, container) in told_as(256)


def test_nonsense_is_refused(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    with pytest.raises(grpc.RpcError) as refused:
        cri.UpdateContainerResources(container_id=container, linux={"unified": {"io.weight": "5"}})
    assert status_of(refused.value)[0] == "INVALID_ARGUMENT"
    cri.StopContainer(container_id=container)
    with pytest.raises(grpc.RpcError) as late:
        cri.UpdateContainerResources(container_id=container, linux={"cpu_shares": 2})
    assert status_of(late.value)[0] == "FAILED_PRECONDITION"


def test_huge_pages_are_limited(pods: Pods, cri: Client) -> None:
    limits = {"hugepage_limits": [{"page_size": "2MB", "limit": 4 * MEBIBYTE}]}
    container = pods.create(pods.run(), resources=limits)
    if "cgroups/hugetlb" not in starting.isolation():
        with pytest.raises(grpc.RpcError) as refused:  # not a wish that nobody heeds
            cri.StartContainer(container_id=container)
        assert "hugetlb" in status_of(refused.value)[1]
        return
    cri.StartContainer(container_id=container)
    assert int(limit(pods, container, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max")) == 4 * MEBIBYTE


def test_what_a_container_consumes(pods: Pods, cri: Client) -> None:
    pod = pods.run(labels={"app": "x"})
    container = pods.start(
        pod,
        ["sh", "-c", "dd if=/dev/zero of=/tmp/file bs=1M count=3; echo done; exec sleep 1000"],
        resources=RESOURCES,
        labels={"a": "b"},
    )
    while "done" not in pods.log(container):
        pass
    stats = cri.ContainerStats(container_id=container).stats
    assert (stats.attributes.id, stats.attributes.metadata.name) == (container, "main")
    assert dict(stats.attributes.labels) == {"a": "b"}
    assert stats.cpu.HasField("usage_core_nano_seconds")
    memory = stats.memory
    assert 0 < memory.working_set_bytes.value <= memory.usage_bytes.value <= 64 * MEBIBYTE
    assert memory.available_bytes.value == 64 * MEBIBYTE - memory.working_set_bytes.value
    assert memory.page_faults.value > 0
    assert stats.writable_layer.used_bytes.value >= 3 * MEBIBYTE
    listed = cri.ListContainerStats(filter={"pod_sandbox_id": pod, "label_selector": {"a": "b"}}).stats
    assert [each.attributes.id for each in listed] == [container]
    assert list(cri.ListContainerStats(filter={"label_selector": {"a": "c"}}).stats) == []


def test_what_a_pod_consumes(pods: Pods, cri: Client) -> None:
    pod = pods.run(labels={"app": "x"})
    container = pods.start(pod)
    stats = cri.PodSandboxStats(pod_sandbox_id=pod).stats
    assert (stats.attributes.id, dict(stats.attributes.labels)) == (pod, {"app": "x"})
    assert stats.linux.memory.usage_bytes.value > 0
    assert stats.linux.process.process_count.value >= 2
    assert stats.linux.network.default_interface.name == "eth0"
    assert [each.attributes.id for each in stats.linux.containers] == [container]
    assert [each.attributes.id for each in cri.ListPodSandboxStats(filter={"id": pod[:9]}).stats] == [pod]


def test_metrics_have_the_labels_of_their_descriptors(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    limits = {"cpu_period": 50000, "cpu_quota": 20000, "cpu_shares": 512, "memory_limit_in_bytes": 64 << 20}
    container = pods.start(pod, ["sh", "-c", "exec 7</etc/passwd; exec sleep 1000"], resources=limits)
    pods.sh(container, "head -c 100000 /dev/zero > /file")
    descriptors = {each.name: list(each.label_keys) for each in cri.ListMetricDescriptors().descriptors}
    (of_pod,) = cri.ListPodSandboxMetrics().pod_metrics
    (of_container,) = of_pod.container_metrics
    assert (of_pod.pod_sandbox_id, of_container.container_id) == (pod, container)
    found = {}
    for metric in of_container.metrics:
        labels = dict(zip(descriptors[metric.name], metric.label_values, strict=True))
        assert labels["container"] == "main" and labels["id"] == container and labels["pod"] == "pod"
        found[metric.name.removeprefix("container_"), *metric.label_values[6:]] = metric.value.value
    expected = {
        ("spec_cpu_period",): 50000,
        ("spec_cpu_quota",): 20000,
        ("spec_cpu_shares",): 512,
        ("spec_memory_limit_bytes",): 64 << 20,
        ("oom_events_total",): 0,
        ("processes",): 1,
        ("file_descriptors",): 4,
        ("sockets",): 0,
    }
    assert {key: found.get(key) for key in expected} == expected
    for name in ("memory_working_set_bytes", "last_seen", "start_time_seconds", "fs_limit_bytes"):
        assert found[name,] > 0
    assert found["memory_failures_total", "pgfault", "container"] > 0
    assert found["fs_usage_bytes",] >= 100000
    assert found["ulimits_soft", "max_open_files"] > 0
    of_network = {metric.name: metric for metric in of_pod.metrics}["container_network_receive_bytes_total"]
    assert list(of_network.label_values)[-1] == "eth0"
    assert len(of_network.label_values) == len(descriptors[of_network.name])


def test_what_happens_is_told_to_who_listens(pods: Pods, cri: Client) -> None:
    stream = cri.GetContainerEvents(within=None)
    try:
        pod = pods.run()
        container = pods.start(pod, ["true"])
        seen = []
        for event in stream:
            seen.append((event.container_id, event.container_event_type))
            if event.container_id == container and event.container_event_type == 2:
                break
        assert event.containers_statuses[0].exit_code == 0
        assert event.pod_sandbox_status.id == pod
        assert [kind for id_, kind in seen if id_ == container] == [0, 1, 2]  # created, started, stopped
    finally:
        stream.cancel()
