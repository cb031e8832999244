"""What a client asks of isolators beside the predecessor's fields, there and back, and secrets among it."""

from __future__ import annotations

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
from tests.api.test_launching import config, mesos, requested


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
