"""Pod manifests: what is read of them, and how what cannot be had is refused."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containerizer.checks.check import Check, Command, Grpc, Http, Tcp
from containerizer.paths import Paths
from containerizer.pods import quantities, requests
from containerizer.pods.document import InvalidManifest
from containerizer.pods.environment import expand
from containerizer.pods.manifest import PodManifest, parse
from containerizer.pods.volumes import EmptyDir, HostPath, Place, VolumeMount
from isolators.networks import NetworkRequest, PortMapping
from isolators.resources import Resources
from launcher.launch_info import Mount

_PATHS = Paths("/root", "/state")
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "producer-consumer.yaml"


def _pod(container: dict[str, Any] | None = None, **spec: Any) -> bytes:
    containers = [{"name": "c", "image": "i:1", **(container or {})}]
    value = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": containers, **spec},
    }
    return json.dumps(value).encode()


def _part(path: str) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": path}]}


def field(path: str) -> dict[str, Any]:
    return {"fieldRef": {"fieldPath": path}}


def _of(resource: str, **more: Any) -> dict[str, Any]:
    return {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": resource, **more}}}]}


_unnamed = {"resourceFieldRef": {"resource": "limits.cpu"}}


def test_parts_and_sidecars() -> None:
    probe = {"tcpSocket": {"port": 80}}
    sidecar = {"name": "s", "image": "i", "restartPolicy": "Always", "startupProbe": probe}
    init = {"name": "i", "image": "i"}
    volumes = [{"name": "v", "emptyDir": {}}]
    for path, part in {"a//./b/": "a/b", ".": "", "": "", ".hidden": ".hidden"}.items():
        pod = parse(_pod(_part(path), initContainers=[sidecar, init], volumes=volumes))
        assert pod.containers[0].mounts == (VolumeMount(volume="v", target="/v", sub_path=part),)
        (mount,) = requests.container(pod, pod.containers[0], {"v": Place(path="/s", seen="/s")}).mounts
        assert mount == Mount(target="/v", fstype="bind", source="/s", flags=("nodev",), part=part)
    assert [each.sidecar for each in (*pod.init_containers, *pod.containers)] == [True, False, False]
    assert list(pod.init_containers[0].checks) == ["startup"]


def test_the_example() -> None:
    pod = parse(EXAMPLE.read_bytes())
    assert (pod.name, pod.restart_policy, pod.grace_period) == ("producer-consumer", "OnFailure", 5)
    assert pod.volumes == (EmptyDir(name="shared", size_limit=16 << 20),)
    assert [c.name for c in (*pod.init_containers, *pod.containers)] == ["prepare", "producer", "consumer"]
    producer, consumer = pod.containers
    assert producer.arguments == ('for n in 1 2 3; do echo "line $n"; sleep "1"; done > /shared/lines',)
    assert producer.resources == Resources(cpus=0.5, cpu_shares=512, memory=32 << 20)
    assert consumer.mounts == (VolumeMount(volume="shared", target="/shared", readonly=True),)
    request = requests.container(pod, consumer, {"shared": Place(path="/v", seen="/v")})
    assert str(request.container_id) == "producer-consumer.consumer"
    assert request.mounts == (Mount(target="/shared", fstype="bind", source="/v", flags=("ro", "nodev")),)
    assert (request.config.user, request.config.readonly_rootfs, request.config.no_new_privileges) == (
        "1000:1000",
        True,
        True,
    )


def test_defaults_are_kubernetes_or_stricter() -> None:
    pod = parse(_pod())
    assert (pod.restart_policy, pod.grace_period) == ("Always", 30)
    (container,) = pod.containers
    request = requests.container(pod, container, {})
    assert (request.pull, request.config.seccomp, request.config.no_new_privileges) == (
        "missing",
        "builtin",
        True,
    )
    assert parse(_pod({"image": "h:5000/i"})).containers[0].pull == "always"
    assert parse(_pod({"image": "i@sha256:" + "0" * 64})).containers[0].pull == "missing"


def test_probes() -> None:
    probes = {
        "ports": [{"name": "web", "containerPort": 80}],
        "startupProbe": {"grpc": {"port": 90, "service": "s"}, "failureThreshold": 30},
        "livenessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 5},
        "readinessProbe": {
            "httpGet": {
                "port": 8080,
                "path": "/r",
                "scheme": "HTTPS",
                "httpHeaders": [{"name": "A", "value": "b"}],
            },
            "successThreshold": 2,
            "initialDelaySeconds": 3,
        },
        "lifecycle": {"postStart": {"exec": {"command": ["hi"]}}, "preStop": {"exec": {"command": ["bye"]}}},
    }
    (container,) = parse(_pod(probes)).containers
    http = Http(port=8080, path="/r", tls=True, headers=(("A", "b"),))
    assert container.checks == {
        "startup": Check(action=Grpc(port=90, service="s"), delay=0, timeout=1, failure_threshold=30),
        "liveness": Check(action=Tcp(port=80), delay=0, timeout=1, interval=5),
        "readiness": Check(action=http, delay=3, timeout=1, success_threshold=2),
    }
    assert (container.post_start, container.pre_stop) == (Command(argv=("hi",)), Command(argv=("bye",)))


def test_a_variable_may_be_the_pods_name() -> None:
    variables = [
        {"name": "A", "valueFrom": field("metadata.name")},
        {"name": "B", "value": "$(A)/$(C)"},
        {"name": "C", "valueFrom": field("metadata.namespace")},
    ]
    (container,) = parse(_pod({"env": variables})).containers
    assert container.environment == {"A": "p", "B": "p/$(C)", "C": "default"}


def test_a_variable_may_be_what_the_container_has() -> None:
    """In units of the divisor, rounded up; without a limit it is the host's."""
    requests = {"cpu": "250m", "memory": "10Mi"}
    limits = {"memory": "33Mi", "ephemeral-storage": "1G", "nvidia.com/gpu": 2}
    expected = {
        ("requests.cpu", None): "1",
        ("requests.cpu", "1m"): "250",
        ("requests.memory", "1Ki"): "10240",
        ("requests.ephemeral-storage", "0"): "1000000000",
        ("limits.memory", "10Mi"): "4",
        ("limits.cpu", None): str(len(os.sched_getaffinity(0))),
        ("limits.ephemeral-storage", "1M"): "1000",
    }
    for (resource, divisor), value in expected.items():
        asked = _of(resource, **({} if divisor is None else {"divisor": divisor}))
        own = {**asked, "resources": {"requests": requests, "limits": limits}}
        (container,) = parse(_pod(own)).containers
        assert container.environment == {"A": value}, resource
        assert (container.resources.gpus, container.resources.memory) == ("2", 33 << 20)
    init = {"name": "i", "image": "i", **_of("limits.memory", containerName="c")}
    limited = {"resources": {"limits": limits}}
    assert parse(_pod(limited, initContainers=[init])).init_containers[0].environment == {"A": str(33 << 20)}


def test_ports_of_the_host_need_a_network() -> None:
    ports = [_PORT, {"containerPort": 53, "hostPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"}]
    aliases = [{"ip": "10.0.0.1", "hostnames": ["a"]}]
    asked = requests.pod(parse(_pod({"ports": ports}, hostAliases=aliases)), _PATHS).config.networks
    assert asked == NetworkRequest(
        names=("bridge",),
        ports=(
            PortMapping(container_port=80, host_port=80),
            PortMapping(container_port=53, host_port=5353, protocol="udp", host_ip="127.0.0.1"),
        ),
        extra_hosts=(("a", "10.0.0.1"),),
    )
    for alone in (parse(_pod({"ports": [_PORT]}, hostNetwork=True)), parse(_pod(hostAliases=aliases))):
        assert requests.pod(alone, _PATHS).config.networks == NetworkRequest()
        assert "network/cni" not in requests.isolation(alone)
    assert "network/cni" in requests.isolation(parse(_pod({"ports": [_PORT]})))


def test_whose_namespaces() -> None:
    pod = parse(_pod(hostNetwork=True, hostPID=True, hostIPC=True))
    assert requests.pod(pod, _PATHS).config.namespaces == dict.fromkeys(("net", "uts", "ipc", "pid"), "host")
    shared = parse(_pod(shareProcessNamespace=True))
    assert requests.container(shared, shared.containers[0], {}).config.namespaces == {"pid": "container:p"}
    assert requests.pod(shared, _PATHS).config.namespaces == {}


def test_privileges() -> None:
    pod = parse(_pod({"securityContext": {"privileged": True}}, securityContext={"runAsUser": 7}))
    config = requests.container(pod, pod.containers[0], {}).config
    assert (config.capabilities_add, config.seccomp, config.no_new_privileges) == (
        ("ALL",),
        "unconfined",
        False,
    )
    assert config.user == "7"
    own = parse(
        _pod({"securityContext": {"runAsUser": 8, "runAsGroup": 9}}, securityContext={"runAsUser": 7})
    )
    assert requests.container(own, own.containers[0], {}).config.user == "8:9"


def test_volumes_of_the_host() -> None:
    volumes = [{"name": "v", "hostPath": {"path": "/srv", "type": "Directory"}}]
    mounts = [{"name": "v", "mountPath": "/a/b"}, {"name": "v", "mountPath": "/a/", "readOnly": True}]
    pod = parse(_pod({"volumeMounts": mounts}, volumes=volumes))
    assert pod.volumes == (HostPath(name="v", path="/srv", kind="Directory"),)
    assert [mount.target for mount in pod.containers[0].mounts] == ["/a", "/a/b"]


_PORT = {"containerPort": 80, "hostPort": 80}
_MOUNT = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
_VOLUMES = [{"name": "v", "emptyDir": {}}]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (_pod({"foo": 1}), "spec.containers[0].foo is not supported"),
        (_pod({"tty": True}), "spec.containers[0].tty is not supported"),
        (
            _pod({"env": [{"name": "A", "valueFrom": {}}]}),
            "spec.containers[0].env[0].valueFrom takes one of fieldRef",
        ),
        (
            _pod(_part("/etc"), volumes=[{"name": "v", "emptyDir": {}}]),
            "spec.containers[0].volumeMounts[0].subPath is '/etc'",
        ),
        (
            _pod(_part("a/../../b"), volumes=[{"name": "v", "emptyDir": {}}]),
            "spec.containers[0].volumeMounts[0].subPath is 'a/../../b'",
        ),
        (_pod({"restartPolicy": "Always"}), "spec.containers[0].restartPolicy is not supported"),
        (
            _pod(initContainers=[{"name": "s", "image": "i", "restartPolicy": "Never"}]),
            "spec.initContainers[0].restartPolicy is 'Never'; it can be Always",
        ),
        (_pod({"image": 5}), "spec.containers[0].image is not a string"),
        (_pod({"image": None}), "spec.containers[0].image is missing"),
        (_pod({"image": None, "tty": True}), "spec.containers[0].tty is not supported"),
        (_pod({"command": "sh"}), "spec.containers[0].command is not a list"),
        (_pod({"args": [1]}), "spec.containers[0].args[0] is no string"),
        (_pod({"name": "a.b"}), "spec.containers[0].name: invalid container name"),
        (_pod({"name": "exec-0123456789ab"}), "spec.containers[0].name"),
        (_pod({"workingDir": "x"}), "spec.containers[0].workingDir"),
        (_pod({"imagePullPolicy": "Maybe"}), "spec.containers[0].imagePullPolicy is 'Maybe'"),
        (_pod({"resources": {"limits": {"cpu": "1x"}}}), "spec.containers[0].resources.limits.cpu"),
        (
            _pod({"resources": {"limits": {"amd.com/gpu": 1}}}),
            "resources.limits.amd.com/gpu is not supported",
        ),
        (_pod({"resources": {"limits": {"nvidia.com/gpu": 0.5}}}), "nvidia.com/gpu is '0.5'"),
        (_pod(_of("limits.gpu")), "resourceFieldRef.resource is 'limits.gpu'; it can be"),
        (_pod(_of("limits.cpu", containerName="x")), "containerName is 'x', which the pod does not have"),
        (_pod(_of("limits.cpu", divisor="1x")), "divisor is '1x'"),
        (
            _pod(volumes=[{"name": "v", "downwardAPI": {"items": [{"path": "p", **_unnamed}]}}]),
            "resourceFieldRef.containerName is missing",
        ),
        (
            _pod({"resources": {"limits": {"memory": "1Mi"}, "requests": {"memory": "2Mi"}}}),
            "spec.containers[0].resources.requests.memory is more than the limit",
        ),
        (
            _pod({"resources": {"limits": {"ephemeral-storage": "x"}}}),
            "spec.containers[0].resources.limits.ephemeral-storage is 'x'",
        ),
        (_pod({"ports": [{"containerPort": 80, "hostPort": 0}]}), "spec.containers[0].ports[0].hostPort"),
        (_pod({"ports": [{**_PORT, "hostIP": "here"}]}), "ports[0].hostIP invalid IP address 'here'"),
        (_pod({"ports": [{**_PORT, "hostPort": 81}]}, hostNetwork=True), "hostPort is another than"),
        (_pod({"livenessProbe": {}}), "spec.containers[0].livenessProbe takes one of exec"),
        (_pod({"livenessProbe": {"tcpSocket": {"port": "web"}}}), "livenessProbe.tcpSocket.port is 'web'"),
        (_pod({"livenessProbe": {"tcpSocket": {"port": 0}}}), "livenessProbe.tcpSocket: invalid port 0"),
        (
            _pod({"livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}}),
            "livenessProbe.successThreshold is 2",
        ),
        (
            _pod({"lifecycle": {"postStart": {"httpGet": {"port": 1}}}}),
            "spec.containers[0].lifecycle.postStart.httpGet is not supported",
        ),
        (_pod(securityContext={"sysctls": []}), "spec.securityContext.sysctls is not supported"),
        (_pod(securityContext={"fsGroup": -1}), "spec.securityContext.fsGroup is -1"),
        (_pod(securityContext={"supplementalGroups": [1, "2"]}), "supplementalGroups[1] is no whole number"),
        (
            _pod(securityContext={"supplementalGroupsPolicy": "Strict"}),
            "supplementalGroupsPolicy is 'Strict'",
        ),
        (_pod({"env": [{"name": "A", "valueFrom": field("status.hostIP")}]}), "fieldPath is 'status.hostIP'"),
        (
            _pod({"securityContext": {"runAsGroup": 1}}),
            "securityContext.runAsGroup is there without runAsUser",
        ),
        (
            _pod({"securityContext": {"runAsUser": 0}}, securityContext={"runAsNonRoot": True}),
            "runAsUser is 0",
        ),
        (_pod(_MOUNT), "spec.containers[0].volumeMounts[0].name is 'v', which is no volume"),
        (
            _pod({"volumeMounts": [{"name": "v", "mountPath": "/proc/x"}]}, volumes=_VOLUMES),
            "mountPath is '/proc/x'",
        ),
        (_pod({"volumeMounts": [{"name": "v", "mountPath": "/a/../.."}]}, volumes=_VOLUMES), "mountPath"),
        (_pod(volumes=[{"name": "v", "nfs": {}}]), "spec.volumes[0].nfs is not supported"),
        (_pod(volumes=[{"name": "../v", "emptyDir": {}}]), "spec.volumes[0].name: invalid name"),
        (_pod(volumes=[*_VOLUMES, *_VOLUMES]), "spec.volumes[1].name is 'v', as another"),
        (_pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "much"}}]), "emptyDir.sizeLimit is 'much'"),
        (_pod(volumes=[{"name": "v", "hostPath": {"path": "x"}}]), "hostPath.path is 'x'"),
        (_pod(containers=[]), "spec.containers has none"),
        (_pod(initContainers=[{"name": "c", "image": "i"}]), "two of the name 'c'"),
        (_pod(restartPolicy="Sometimes"), "spec.restartPolicy is 'Sometimes'"),
        (_pod(terminationGracePeriodSeconds=-1), "spec.terminationGracePeriodSeconds is -1"),
        (_pod(hostPID=True, shareProcessNamespace=True), "spec.shareProcessNamespace"),
        (_pod(dnsConfig={}), "spec.dnsConfig is not supported"),
        (b"apiVersion: v1\nkind: Deployment\n", "kind is 'Deployment', not 'Pod'"),
        (b"apiVersion: v2\nkind: Pod\n", "apiVersion is 'v2'"),
        (b"apiVersion: v1\n", "kind is missing"),
        (b"- a\n", "document 1 of the manifest is not an object"),
        (b"", "the manifest has no Pods"),
        (_pod() + b"\n---\n" + _pod(), "the manifest has 2 Pods"),
        (b"a: 1\na: 2\n", "the key 'a' is there twice"),
        (b"a: !!python/object/apply:os.system [true]\n", "is no YAML"),
        (b"a: \x00", "is no YAML"),
        (b"[" * 10_000, "is no YAML"),
        (b" " * (1 << 23), "larger than"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_path(manifest: bytes, message: str) -> None:
    with pytest.raises(InvalidManifest) as raised:
        parse(manifest)
    assert message in raised.value.message


def test_small_documents_take_no_more_than_they_should() -> None:
    """Aliases of aliases, whose text no memory holds, and more keys than can be compared in pairs."""
    laughs = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))]
    head = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
    with pytest.raises(InvalidManifest, match=r"spec is not an object: \[\["):
        parse(("\n".join(laughs) + f"\n{head}spec: *a29\n").encode())
    keys = ", ".join(f"{n:x}k: v" for n in range(20000))
    with pytest.raises(InvalidManifest, match=r"spec\.containers has none"):
        parse(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{{keys}}}}}\nspec: {{}}".encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("500m", "0.5"),
        (".5", "0.5"),
        ("1.5Gi", "1610612736"),
        ("2k", "2000"),
        ("1e3", "1000"),
        ("5u", "0.000005"),
    ],
)
def test_quantities(text: str, value: str) -> None:
    assert quantities.parse(text) == Decimal(value)


@given(st.text(max_size=12))
def test_other_texts_are_no_quantities(text: str) -> None:
    try:
        assert quantities.parse(text) >= 0
    except ValueError:
        assert not (text.isascii() and text.isdigit())


def test_references_to_variables() -> None:
    environment = {"A": "x", "B": "$(A)"}
    found = [expand(text, environment) for text in ("$(A)$(B)", "$$(A)", "$(C) $A", "$(A", "$$$(A)")]
    assert found == ["x$(A)", "$(A)", "$(C) $A", "$(A", "$x"]


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_no_document_does_worse_than_being_refused(value: Any) -> None:
    manifest = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": value})
    try:
        assert isinstance(parse(manifest.encode()), PodManifest)
    except InvalidManifest as error:
        assert error.message
