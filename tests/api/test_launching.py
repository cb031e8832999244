"""What a client asks of a container, and what this agent refuses rather than pass over."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from containerizer.api import limits
from containerizer.api.errors import BadRequest
from containerizer.api.ids import to_id, to_message
from containerizer.api.launching import container_request
from containerizer.api.proto.agent_pb2 import Call
from containerizer.api.proto.values_pb2 import ContainerID
from containerizer.client.encoding import launch_call
from containerizer.fetcher.uri import FetchUri
from containerizer.request import ContainerRequest
from isolators.devices import Device
from isolators.isolator import ContainerConfig
from isolators.networks import NetworkRequest, PortMapping
from isolators.resources import ProcessAttributes, Resources
from isolators.volumes import BIND, IMAGE, NAMED, SANDBOX, Volume
from launcher.container_id import MAX_DEPTH, ContainerId
from launcher.data import fields
from launcher.errors import InvalidRequest
from launcher.launch_info import Mount
from launcher.process_attributes import (
    Rlimit,
)
from launcher.stdio import Pipes


def requested(name: str = "box", **asked: Any) -> ContainerRequest:
    call = json_format.ParseDict(
        {"container_id": to_json(ContainerId.parse(name)), **asked}, Call.LaunchContainer()
    )
    return container_request(ContainerId.parse(name), call)


def to_json(container_id: ContainerId) -> Any:
    return json_format.MessageToDict(to_message(container_id))


def config(**asked: Any) -> ContainerConfig:
    return requested(**asked).config


def mesos(**asked: Any) -> dict[str, Any]:
    return {"type": "MESOS", **asked}


DOCKER = {"type": "DOCKER", "docker": {"name": "busybox"}}


def host_volume(path: str, container_path: str = "/tmp") -> dict[str, Any]:
    source = {"type": "HOST_PATH", "host_path": {"path": path}}
    return {"mode": "RO", "container_path": container_path, "source": source}


def sandbox_volume(name: str, kind: str) -> dict[str, Any]:
    source = {"type": "SANDBOX_PATH", "sandbox_path": {"type": kind, "path": name}}
    return {"mode": "RW", "container_path": "/tmp", "source": source}


@pytest.mark.parametrize(
    ("command", "entrypoint", "argv"),
    [
        ({"value": "a b"}, (), ("/bin/sh", "-c", "a b")),
        ({"value": "a", "arguments": ["ignored"]}, (), ("/bin/sh", "-c", "a")),
        ({"shell": False, "value": "a"}, (), ("a",)),
        ({"shell": False, "value": "a", "arguments": ["zero", "b"]}, (), ("a", "b")),
        ({"shell": False, "arguments": ["b"]}, None, ("b",)),
        ({"shell": False}, None, ()),
    ],
)
def test_commands(command: dict[str, Any], entrypoint: tuple[str, ...] | None, argv: tuple[str, ...]) -> None:
    asked = config(command=command)
    assert (asked.entrypoint, asked.command) == (entrypoint, argv)


@pytest.mark.parametrize(
    ("resources", "limits", "granted"),
    [
        ({"cpus": 0.5}, {}, Resources(cpu_shares=512)),
        ({"cpus": 0.0001}, {}, Resources(cpu_shares=2)),
        ({"cpus": 1}, {"cpus": 2.5}, Resources(cpu_shares=1024, cpus=2.5)),
        ({"mem": 64}, {}, Resources(memory=64 << 20)),
        ({"mem": 64}, {"mem": 96}, Resources(memory=96 << 20, memory_reservation=64 << 20)),
        ({"mem": 64}, {"mem": "Infinity"}, Resources(memory_reservation=64 << 20)),
        ({}, {"pids": 9}, Resources(pids=9)),
        ({"disk": 64}, {}, Resources(disk=64 << 20)),
        ({"disk": 64}, {"disk": 32}, Resources(disk=32 << 20)),
        ({"gpus": 2}, {}, Resources(gpus="2")),
        ({"gpus": 0}, {}, Resources()),
    ],
)
def test_resources(resources: dict[str, Any], limits: dict[str, Any], granted: Resources) -> None:
    asked = [{"name": n, "type": "SCALAR", "scalar": {"value": v}} for n, v in resources.items()]
    given = {name: {"value": value} for name, value in limits.items()}
    assert config(resources=asked, limits=given).resources == granted


def test_uris_go_by_their_names() -> None:
    uris = [{"value": "http://x/y.tar.gz"}, {"value": "http://x/z", "output_file": "other"}]
    assert requested(command={"value": "a", "uris": uris}).fetch == (
        FetchUri(value="http://x/y.tar.gz", extract=True),
        FetchUri(value="http://x/z", output_file="other"),
    )


def test_images() -> None:
    assert requested().image == "host"
    docker = {"type": "DOCKER", "docker": {"name": "busybox"}}
    assert requested(container=mesos(mesos={"image": docker})).image == "busybox"
    fresh = requested(container=mesos(mesos={"image": {**docker, "cached": False}}))
    assert (fresh.image, fresh.pull) == ("busybox", "always")


def test_images_of_appc() -> None:
    labels = {"labels": [{"key": "version", "value": "1.0"}]}
    image = {"type": "APPC", "appc": {"name": "example.com/x", "labels": labels}}
    assert requested(container=mesos(mesos={"image": image})).image == "appc:example.com/x:1.0"


@pytest.mark.parametrize(("name", "which"), [("box", "host"), ("box.inner", "container:box")])
def test_a_shared_pid_namespace_is_the_parents(name: str, which: str) -> None:
    asked = requested(name, container=mesos(linux_info={"share_pid_namespace": True}))
    assert asked.config.namespaces == {"pid": which}


def test_cgroups_are_shared_only_where_it_is_asked_for() -> None:
    inner = ContainerId.parse("box.inner")
    for shares in (False, True):
        request = ContainerRequest(
            image="host", container_id=inner, config=ContainerConfig(command=("a",), share_cgroups=shares)
        )
        call = launch_call(request, Pipes()).launch_container
        assert call.container.linux_info.HasField("share_cgroups") == shares
        assert container_request(inner, call).config.share_cgroups is shares


@pytest.mark.parametrize("profile", ["builtin", "unconfined", "localhost/a/b.json"])
def test_profiles_of_seccomp_by_name(profile: str) -> None:
    assert config(container=mesos(linux_info={"seccomp": {"profile_name": profile}})).seccomp == profile


def test_capabilities_are_exactly_those() -> None:
    info = {"effective_capabilities": {"capabilities": ["KILL", "NET_RAW"]}}
    asked = config(container=mesos(linux_info=info))
    assert (asked.capabilities_drop, asked.capabilities_add) == (("ALL",), ("KILL", "NET_RAW"))


def test_resource_limits_of_the_process() -> None:
    limits = [{"type": "RLMT_NOFILE", "soft": 1, "hard": 2}, {"type": "RLMT_CORE"}]
    asked = config(container=mesos(rlimit_info={"rlimits": limits})).attributes.rlimits
    assert asked == {"nofile": Rlimit(soft=1, hard=2), "core": Rlimit(soft=None, hard=None)}


@pytest.mark.parametrize(
    "asked",
    [
        {"command": {}},
        {"container": {"type": "DOCKER"}},
        {"container": mesos(volumes=[{"mode": "RW", "container_path": "/tmp"}])},
        {"container": mesos(volumes=[host_volume("/etc/../etc")])},
        {"container": mesos(volumes=[host_volume("/etc", container_path="relative")])},
        {"container": mesos(volumes=[host_volume("/etc"), host_volume("/usr")])},
        {"container": mesos(volumes=[sandbox_volume("a/b", "SELF")])},
        {"container": mesos(volumes=[sandbox_volume("a", "PARENT")])},
        {"container": mesos(volumes=[{**host_volume("/etc"), "source": {"type": "SECRET"}}])},
        {"container": mesos(network_infos=[{"groups": ["a"]}])},
        {"container": mesos(network_infos=[{"labels": {"labels": [{"key": "a"}]}}])},
        {"container": mesos(network_infos=[{"name": "a/b"}])},
        {"container": mesos(network_infos=[{"name": "x"}, {"name": "x"}])},
        {"container": mesos(network_infos=[{"port_mappings": [{"host_port": 1, "container_port": 2}]}])},
        {"container": mesos(network_infos=[{"name": "x", "ip_addresses": [{"ip_address": "10.0.0"}]}])},
        {"container": mesos(network_infos=[
            {"name": "x"}, {"name": "y", "ip_addresses": [{"ip_address": "::2"}]}])},
        {"container": mesos(network_infos=[
            {"name": "x", "port_mappings": [{"host_port": 1, "container_port": 0}]}])},
        {"container": mesos(mesos={"image": {"type": "APPC", "appc": {"name": "x", "id": "sha512-0"}}})},
        {"container": mesos(mesos={"image": {"type": "APPC", "docker": {"name": "x"}}})},
        {"container": mesos(linux_info={"shm_size": 0})},
        {"container": mesos(linux_info={"shm_size": 1, "ipc_mode": "SHARE_PARENT"})},
        {"container": mesos(linux_info={"shm_size": 1}), "name": "box.inner"},
        {"container": mesos(linux_info={"seccomp": {"profile_name": "x"}})},
        {"container": mesos(linux_info={"seccomp": {"profile_name": "builtin", "unconfined": True}})},
        {"container": mesos(rlimit_info={"rlimits": [{"type": "RLMT_CORE", "soft": 1}]})},
        {"resources": [{"name": "network", "type": "SCALAR", "scalar": {"value": 1}}]},
        {"resources": [{"name": "ports", "type": "RANGES"}]},
        {"resources": [{"name": "cpus", "type": "SCALAR", "revocable": {}}]},
        {"limits": {"mem": {"value": "NaN"}}},
        {"command": {"value": "a", "environment": {"variables": [
            {"name": "A", "type": "SECRET", "secret": {"type": "REFERENCE"}}]}}},
        {"command": {"value": "a", "environment": {"variables": [
            {"name": "A", "type": "SECRET", "secret": {"type": "VALUE", "value": {"data": "/w=="}}}]}}},
        {"command": {"value": "a", "environment": {"variables": [{"name": "A=B", "value": "c"}]}}},
        {"command": {"value": "a", "environment": {"variables": [{"name": "", "value": "c"}]}}},
    ],
)  # fmt: skip
def test_what_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        requested(**asked)


FETCHED = (
    FetchUri(value="http://x/y.tar", extract=True, output_file="into"),
    FetchUri(value="https://x/z", cache=True, checksum=f"sha256:{'0' * 64}"),
)
RESOURCES = Resources(
    cpus=0.25,
    cpu_shares=77,
    memory=12345678,
    pids=3,
    disk=1 << 24,
    gpus="1",
    cpuset_cpus="0-1",
    cpuset_mems="0",
    device_rules="c 10:229 rw",
    pressure={"cpu": "low", "io": "full 150ms/1s"},
)
NETWORKS = NetworkRequest(
    names=("lan", "wan"),
    ports=(PortMapping(host_port=53, container_port=5353, protocol="udp"),),
    addresses=("10.0.0.2", "fd00::2"),
)
VOLUMES = (
    Volume(kind=BIND, source="/a", target="/b", readonly=True, recursive="writable", create=True),
    Volume(kind=NAMED, source="n", target="/n", driver="local", options=(("o", "x"),), chown=True),
    Volume(kind=SANDBOX, source="s", target="/s", of_parent=True, flags=("noexec",)),
    Volume(kind=IMAGE, source="busybox", target="/i", subpath="etc", pull="never", idmap=""),
)


def test_what_the_client_encodes_is_what_was_asked() -> None:
    request = ContainerRequest(
        image="busybox",
        container_id=ContainerId.parse("outer.inner"),
        pull="never",
        platform="linux/arm64",
        fetch=FETCHED,
        config=ContainerConfig(
            command=("a", "b c"),
            entrypoint=("e", "f"),
            environment={"X": "1"},
            user="7:8",
            working_directory="/w",
            hostname="h",
            stop_signal="SIGINT",
            init=True,
            readonly_rootfs=True,
            resources=RESOURCES,
            capabilities_add=("KILL",),
            capabilities_drop=("CHOWN",),
            no_new_privileges=False,
            seccomp="unconfined",
            attributes=ProcessAttributes(rlimits={"core": Rlimit(soft=0, hard=5)}),
            umask=0,
            personality="addr_no_randomize",
            devices=(Device(source="/dev/x", target="/dev/y", access="rw"),),
            cdi_devices=("vendor.com/class=one",),
            volumes=(
                Volume(kind=BIND, source="/a", target="/b", readonly=True, recursive="writable", create=True),
                Volume(
                    kind=NAMED, source="n", target="/n", driver="local", options=(("o", "x"),), chown=True
                ),
                Volume(kind=SANDBOX, source="s", target="/s", of_parent=True, flags=("noexec",)),
                Volume(kind=IMAGE, source="busybox", target="/i", subpath="etc", pull="never", idmap=""),
            ),
            networks=NETWORKS,
        ),
    )
    call = launch_call(request, Pipes())
    assert container_request(to_id(call.launch_container.container_id), call.launch_container) == request


def test_every_limit_can_be_asked_of_an_agent() -> None:
    """One that is new belongs into the message Limits of extensions.proto, under its own name."""
    assert {field.name for field in fields(Resources)} == set(limits.CARRIED)


def test_what_the_client_cannot_carry_is_refused() -> None:
    mount = Mount(target="/x", fstype="bind", source="/y")
    with pytest.raises(InvalidRequest, match="mounts cannot be asked"):
        launch_call(ContainerRequest(image="host", mounts=(mount,)), Pipes())


def test_a_network_without_a_name_is_none() -> None:
    assert config(container=mesos(network_infos=[{}])).networks == NetworkRequest()


def test_ids_deeper_than_there_are_levels() -> None:
    message = ContainerID(value="x")
    for _ in range(MAX_DEPTH + 1):
        message = ContainerID(value="x", parent=message)
    with pytest.raises(InvalidRequest):
        to_id(message)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\n", "a b", "a.b", "x" * 65])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidRequest):
        to_id(ContainerID(value=name))


@pytest.mark.parametrize("number", [0.5, -1, "Infinity", "NaN"])
def test_gpus_are_whole(number: float | str) -> None:
    with pytest.raises(BadRequest, match="GPUs"):
        config(limits={"gpus": {"value": number}})
