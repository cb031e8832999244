"""Pod sandboxes: their life, their lists, and what of the node they share."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest

from launcher.kernel import cgroups
from tests.cri.client import Client, status_of
from tests.cri.conftest import Node, Pods

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")

READY, NOTREADY = 0, 1


def test_a_pod_is_ready_until_it_is_stopped(pods: Pods, cri: Client) -> None:
    pod = pods.run("web", labels={"app": "web"}, annotations={"note": "x"}, runtime_handler="containerizer")
    status = cri.PodSandboxStatus(pod_sandbox_id=pod).status
    assert (status.id, status.state, status.metadata.name) == (pod, READY, "web")
    assert (dict(status.labels), dict(status.annotations)) == ({"app": "web"}, {"note": "x"})
    assert status.runtime_handler == "containerizer"
    assert status.network.ip.startswith("10.231.")
    assert status.created_at > 0
    for _ in range(2):  # idempotent
        cri.StopPodSandbox(pod_sandbox_id=pod)
        status = cri.PodSandboxStatus(pod_sandbox_id=pod).status
        assert (status.state, status.network.ip) == (NOTREADY, "")
    for _ in range(2):
        cri.RemovePodSandbox(pod_sandbox_id=pod)
    with pytest.raises(grpc.RpcError) as gone:
        cri.PodSandboxStatus(pod_sandbox_id=pod)
    assert status_of(gone.value)[0] == "NOT_FOUND"
    cri.StopPodSandbox(pod_sandbox_id=pod)  # fine, too


def test_lists_are_filtered_by_id_state_and_labels(pods: Pods, cri: Client) -> None:
    one = pods.run("one", labels={"app": "a", "tier": "x"})
    two = pods.run("two", labels={"app": "b", "tier": "x"})

    def listed(**wanted: object) -> set[str]:
        return {each.id for each in cri.ListPodSandbox(filter=wanted).items}

    assert listed() == {one, two}
    assert listed(id=one) == listed(id=one[:13]) == listed(label_selector={"app": "a"}) == {one}
    assert listed(label_selector={"app": "a", "tier": "y"}) == set()
    cri.StopPodSandbox(pod_sandbox_id=one)
    assert listed(state={"state": READY}) == {two}
    assert listed(state={"state": NOTREADY}, label_selector={"tier": "x"}) == {one}


def test_an_attempt_of_a_pod_is_there_once(pods: Pods, cri: Client) -> None:
    metadata = {"name": "twin", "uid": "u1", "namespace": "n", "attempt": 0}
    pods.run(metadata=metadata)
    with pytest.raises(grpc.RpcError) as refused:
        pods.run(metadata=metadata)
    assert status_of(refused.value)[0] == "ALREADY_EXISTS"
    pods.run(metadata={**metadata, "attempt": 1})


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"metadata": {"name": ""}}, "name"),
        ({"runtime_handler": "kata"}, "kata"),
        ({"hostname": "-bad-"}, "-bad-"),
        ({"linux": {"cgroup_parent": "/a/../b"}}, "cgroup parent"),
        ({"port_mappings": [{"host_port": 1, "container_port": 99999}]}, "99999"),
        ({"linux": {"sysctls": {"kernel.panic": "1"}}}, "kernel.panic"),
    ],
)
def test_nonsense_is_refused_and_leaves_nothing(
    pods: Pods, cri: Client, served: Node, config: dict[str, object], word: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        pods.run(**config)
    code, details = status_of(refused.value)
    assert (code, word in details) == ("INVALID_ARGUMENT", True), details
    assert list(cri.ListPodSandbox().items) == []
    assert list((served.root / "cri").iterdir()) == []


def test_the_hostname_and_the_resolver_are_the_pods(pods: Pods) -> None:
    dns = {"servers": ["10.9.9.9"], "searches": ["svc.local", "local"], "options": ["ndots:5"]}
    pod = pods.run(hostname="web-1", dns_config=dns)
    container = pods.start(pod)
    assert pods.sh(container, "hostname; cat /etc/hostname") == "web-1\nweb-1\n"
    assert pods.sh(container, "cat /etc/resolv.conf").splitlines() == [
        "search svc.local local",
        "nameserver 10.9.9.9",
        "options ndots:5",
    ]


def test_sysctls_are_those_of_the_pods_namespaces(pods: Pods) -> None:
    pod = pods.run(linux={"sysctls": {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}})
    container = pods.start(pod)
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced"
    assert pods.sh(container, script) == "1\n1\n"


def test_a_pod_in_the_nodes_namespaces(pods: Pods, cri: Client) -> None:
    node = {"network": "NODE", "pid": "NODE", "ipc": "NODE"}
    dns = {"servers": ["10.9.9.9"]}
    pod = pods.run(dns_config=dns, linux={"security_context": {"namespace_options": node}})
    container = pods.start(pod, context={"namespace_options": node})
    assert cri.PodSandboxStatus(pod_sandbox_id=pod).status.network.ip == ""
    for kind in ("net", "uts", "ipc", "pid"):
        own = os.readlink(f"/proc/self/ns/{kind}")
        assert pods.sh(container, f"readlink /proc/self/ns/{kind}").strip() == own, kind
    assert pods.sh(container, "cat /etc/resolv.conf") == "nameserver 10.9.9.9\n"
    assert pods.sh(container, f"ls -d /proc/{os.getpid()}") == f"/proc/{os.getpid()}\n"


def test_processes_are_shared_or_not(pods: Pods) -> None:
    pod = pods.run()
    names = "ps -o comm"
    shared = pods.start(pod, ["sleep", "1001"], name="shared")  # POD is the default
    own = pods.start(pod, ["sleep", "1002"], name="own", context={"namespace_options": {"pid": "CONTAINER"}})
    assert "ctz:init" in pods.sh(shared, names)
    assert pods.sh(own, "cat /proc/1/cmdline | tr '\\0' ' '") == "sleep 1002 "
    target = {"namespace_options": {"pid": "TARGET", "target_id": own}}
    debugger = pods.start(pod, ["sleep", "1003"], name="debugger", context=target)
    assert pods.sh(debugger, "cat /proc/1/cmdline | tr '\\0' ' '") == "sleep 1002 "
    ipc = {pods.sh(each, "readlink /proc/self/ns/ipc") for each in (shared, own, debugger)}
    assert len(ipc) == 1


def test_nobody_in_a_pod_can_end_what_holds_it(pods: Pods, cri: Client) -> None:
    """Who sees it, as its processes are shared, sees a PID 1 that is deaf and collects what is left to it."""
    pod = pods.run()
    shared = pods.start(pod, ["sleep", "1001"])
    pods.sh(shared, "for signal in TERM INT KILL HUP; do kill -$signal 1; done; (true &) ; (sleep 0.01 &)")
    pods.sh(shared, "until test $(ls -d /proc/[0-9]* | wc -l) -le 5; do usleep 20000; done")
    names = pods.sh(shared, "cat /proc/[0-9]*/comm").split()
    assert names.count("sleep") == 1 and "ctz:init" in names
    assert cri.PodSandboxStatus(pod_sandbox_id=pod).status.state == 0  # ready
    assert pods.status(shared).state == 1  # running
    cri.StopPodSandbox(pod_sandbox_id=pod)
    assert cri.PodSandboxStatus(pod_sandbox_id=pod).status.state == 1


def test_a_pod_has_users_of_its_own(pods: Pods, tmp_path: Path) -> None:
    ids = [{"container_id": 0, "host_id": 3000000, "length": 65536}]
    users = {"userns_options": {"mode": "POD", "uids": ids, "gids": ids}}
    pod = pods.run(linux={"security_context": {"namespace_options": users}})
    (tmp_path / "file").write_text("x")
    mount = {"container_path": "/data", "host_path": str(tmp_path), "uidMappings": ids, "gidMappings": ids}
    container = pods.start(pod, context={"namespace_options": users}, mounts=[mount])
    assert pods.sh(container, "id -u; cat /proc/self/uid_map").split() == ["0", "0", "3000000", "65536"]
    assert pods.sh(container, "stat -c %u /data/file; touch /data/new; stat -c %u /data/new") == "0\n0\n"
    assert (tmp_path / "new").stat().st_uid == 0


def test_a_kubelet_names_users_of_the_whole_host(pods: Pods, cri: Client) -> None:
    """Also those that containers get by themselves; and a pod's next sandbox has those of its last one."""
    ids = [{"container_id": 0, "host_id": 0x76543000 & ~0xFFFF, "length": 65536}]
    users = {"userns_options": {"mode": "POD", "uids": ids, "gids": ids}}
    linux = {"security_context": {"namespace_options": users}}
    first = pods.run(linux=linux)
    with pytest.raises(grpc.RpcError) as refused:
        pods.run("other", linux=linux)
    assert first in status_of(refused.value)[1]
    cri.StopPodSandbox(pod_sandbox_id=first)
    container = pods.start(pods.run(linux=linux), context={"namespace_options": users})
    assert pods.sh(container, "cat /proc/self/uid_map").split() == ["0", str(ids[0]["host_id"]), "65536"]


@pytest.mark.parametrize("mode", ["CONTAINER", "TARGET"])
def test_users_that_no_pod_can_have(pods: Pods, cri: Client, mode: str) -> None:
    options = {"namespace_options": {"userns_options": {"mode": mode}}}
    with pytest.raises(grpc.RpcError) as refused:
        pods.run(linux={"security_context": options})
    code, details = status_of(refused.value)
    assert (code, mode in details) == ("INVALID_ARGUMENT", True), details


def test_cgroups_are_below_the_kubelets(pods: Pods, cri: Client) -> None:
    memory = cgroups.find("memory")
    assert memory is not None
    top = Path(memory.mount_point, "kubepods-test")
    pod = pods.run(linux={"cgroup_parent": "/kubepods-test/pod1"})
    limits = {"memory_limit_in_bytes": 64 << 20}
    container = pods.start(pod, resources=limits)
    (own,) = top.glob(f"pod1/ct-{pod}/ct-{container}")
    limited = own / ("memory.limit_in_bytes" if memory.version == 1 else "memory.max")
    assert int(limited.read_text()) == 64 << 20
    cri.RemovePodSandbox(pod_sandbox_id=pod)
    assert [path.name for path in (top / "pod1").iterdir() if path.is_dir()] == []
    for hierarchy in cgroups.hierarchies():
        for directory in ("kubepods-test/pod1", "kubepods-test"):
            cgroups.remove_if_empty(f"{hierarchy.mount_point}/{directory}")


def test_removing_a_pod_ends_what_runs_in_it(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    containers = [pods.start(pod, name=name) for name in ("a", "b")]
    cri.RemovePodSandbox(pod_sandbox_id=pod)
    assert list(cri.ListContainers().containers) == []
    for container in containers:
        with pytest.raises(grpc.RpcError):
            cri.ContainerStatus(container_id=container)
