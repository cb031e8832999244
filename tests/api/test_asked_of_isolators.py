"""What a client asks of isolators beside the predecessor's fields, there and back, and secrets among it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from containerizer.api.launching import container_request
from containerizer.client.encoding import launch_call
from containerizer.request import ContainerRequest
from isolators.isolator import ContainerConfig
from isolators.networks import NetworkRequest, PortMapping
from isolators.resources import ProcessAttributes, Resources
from isolators.secrets import Secret, SecretReference
from isolators.volumes import SECRET, Volume
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.process_attributes import (
    CpuAffinity,
    IoPriority,
    Nice,
    OomScoreAdj,
    Policy,
    Rlimit,
    Scheduler,
)
from launcher.stdio import Pipes
from tests.agent import api
from tests.agent.process import started
from tests.api.test_launching import config, mesos, requested
from tests.support import recording_plugin


def test_of_variables_of_one_name_the_last_counts() -> None:
    secret = {"type": "SECRET", "secret": {"type": "VALUE", "value": {"data": "cw=="}}}
    reference = {"type": "SECRET", "secret": {"type": "REFERENCE", "reference": {"name": "x", "key": "k"}}}
    variables = [{"name": "A", **secret}, {"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    variables += [{"name": "B", **secret}, {"name": "C", **secret}, {"name": "C", **reference}]
    asked = config(command={"value": "a", "environment": {"variables": variables}})
    assert (asked.environment, asked.secret_environment) == ({"A": "1"}, {"B": "s"})
    assert asked.environment_secrets == {"C": SecretReference(name="x", key="k")}


def test_secrets_arrive_as_the_client_encodes_them() -> None:
    references = {"Z": SecretReference(name="z", key="k"), "W": SecretReference(name="w")}
    own = ContainerConfig(environment_secrets=references, secret_environment={"Y": "2"})
    request = ContainerRequest(image="host", config=own)
    call = launch_call(request, Pipes()).launch_container
    arrived = container_request(request.container_id, call).config
    assert (arrived.environment_secrets, arrived.secret_environment) == (references, {"Y": "2"})
    chosen = {"A": SecretReference(name="a", resolver="file")}
    with pytest.raises(InvalidRequest, match="resolver"):
        launch_call(replace(request, config=ContainerConfig(environment_secrets=chosen)), Pipes())


@pytest.mark.parametrize(
    "asked",
    [
        {"listen_ports": "80,8000-8010", "userns": "auto", "time_offsets": {"boottime": -5}},
        {"masked_paths": (), "readonly_paths": ("/proc/sys", "/x"), "writable_sysfs": True},
        {"capabilities_ambient": ("KILL",), "additional_gids": (7, 8)},
        {"apparmor": "mine", "selinux": "system_u:system_r:spc_t:s0", "seccomp": "localhost/a.json"},
        {"apparmor": "unconfined"},
        {"resources": Resources(gpus="device=0,1")},
        {
            "volumes": tuple(
                Volume(kind=SECRET, target=f"/s/{number}", readonly=True, secret=secret)
                for number, secret in enumerate(
                    (
                        Secret(content="cw==", mode=0o400, uid=7, gid=8),
                        Secret(content=""),
                        Secret(reference=SecretReference(name="n", key="k")),
                    )
                )
            )
        },
        {
            "networks": NetworkRequest(
                names=("lan",),
                ports=(PortMapping(host_ip="127.0.0.1", container_port=1), PortMapping(container_port=2)),
                mac_address="02:00:00:00:00:01",
                aliases=("db", "db2"),
                dns_servers=("10.0.0.1",),
                dns_search=("example.com",),
                dns_options=("ndots:2",),
                extra_hosts=(("six", "fd00::6"), ("host", "host-gateway")),
                ingress_rate=1 << 40,
                egress_rate=1,
            )
        },
        {
            "attributes": ProcessAttributes(
                nice=Nice(value=-5, policy=Policy.CLAMP),
                oom_score_adj=OomScoreAdj(value=-1000),
                scheduler=Scheduler(name="fifo", priority=3, policy=Policy.CLAMP),
                io_priority=IoPriority(name="best-effort", level=7),
                cpu_affinity=CpuAffinity(cpus=(0, 2)),
                sysctls={"net.core.somaxconn": "1"},
                rlimits={"nofile": Rlimit(soft=1, hard=2)},
            )
        },
    ],
)
def test_what_is_asked_of_other_isolators_arrives(asked: dict[str, Any]) -> None:
    request = ContainerRequest(image="host", config=ContainerConfig(**asked), pull="missing")
    call = launch_call(request, Pipes()).launch_container
    assert container_request(request.container_id, call).config == request.config


def test_secrets_as_files() -> None:
    value = {"type": "VALUE", "value": {"data": "cw=="}}
    source = {"type": "SECRET", "secret": value}
    (volume,) = config(
        container=mesos(volumes=[{"mode": "RO", "container_path": "/s", "source": source}])
    ).volumes
    assert volume == Volume(kind=SECRET, target="/s", readonly=True, secret=Secret(content="cw=="))


def test_ports_are_those_that_it_may_listen_on() -> None:
    ranges = {"range": [{"begin": 80, "end": 80}, {"begin": 8000, "end": 8010}]}
    asked = config(resources=[{"name": "ports", "type": "RANGES", "ranges": ranges}])
    assert asked.listen_ports == "80-80,8000-8010"


def test_a_nested_container_may_have_its_own_ipc_namespace() -> None:
    asked = requested("box.inner", container=mesos(linux_info={"ipc_mode": "PRIVATE"}))
    assert asked.config.namespaces == {"ipc": "new"}
    call = launch_call(asked, Pipes()).launch_container
    assert container_request(asked.container_id, call).config.namespaces == {"ipc": "new"}


@pytest.mark.requires("root")
def test_labels_and_groups_of_a_network_are_for_its_plug_ins(tmp_path: Path) -> None:
    """As those of the predecessor's agent had them, and as CNI's conventions have labels."""
    recording_plugin.install(tmp_path / "bin", "recording")
    (tmp_path / "net.d").mkdir()
    plugins = [{"type": "recording", "log": str(tmp_path / "log"), "args": {"own": 1}}]
    value = {"cniVersion": "1.0.0", "name": "calico", "plugins": plugins}
    (tmp_path / "net.d" / "calico.conflist").write_text(json.dumps(value))
    flags = f"--network-cni-config-dir={tmp_path}/net.d", f"--network-cni-plugins-dir={tmp_path}/bin"
    info = {"name": "calico", "groups": ["blue"], "labels": {"labels": [{"key": "tier", "value": "web"}]}}
    with started(tmp_path / "root", tmp_path / "state", *flags) as agent:

        def launch(network: str) -> tuple[int, str]:
            status, told = api.call(
                agent,
                "LAUNCH_CONTAINER",
                container_id={"value": "web"},
                command={"value": "true"},
                container={"type": "MESOS", "network_infos": [{**info, "name": network}]},
            )
            return status, str(told)

        assert launch("calico")[0] == 200
        api.call(agent, "WAIT_CONTAINER", container_id={"value": "web"})
        add, delete = recording_plugin.calls(tmp_path / "log")
        assert add["config"]["args"] == {
            "own": 1,
            "org.apache.mesos": {"network_info": info},
            "cni": {"labels": info["labels"]["labels"]},
        }
        assert delete["config"]["args"] == add["config"]["args"]
        api.call(agent, "REMOVE_CONTAINER", container_id={"value": "web"})
        status, said = launch("bridge")
        assert (status, "bridge has no groups and labels" in said) == (400, True), said
        agent.stop()
