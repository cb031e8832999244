"""What the runtime is, in both versions of the API."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import grpc
import pytest

from tests.agent import process
from tests.cri.client import Client, status_of
from tests.cri.conftest import Node

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")


@pytest.mark.parametrize("version", ["v1", "v1alpha2"])
def test_each_version_of_the_api_is_served(served: Node, version: str) -> None:
    with served.client(version) as cri:
        answer = cri.Version(version="0.1.0")
        assert answer.runtime_name == "containerizer"
        assert answer.runtime_api_version == version
        assert [served.image] in [image.repo_tags for image in cri.ListImages().images]


def test_the_runtime_and_its_network_are_ready(cri: Client) -> None:
    answer = cri.Status()
    assert {each.type: each.status for each in answer.status.conditions} == {
        "RuntimeReady": True,
        "NetworkReady": True,
    }
    assert [each.name for each in answer.runtime_handlers] == ["", "containerizer"]
    assert dict(answer.info) == {}


def test_without_a_configured_network_that_is_not_ready(cri: Client, served: Node) -> None:
    (configured,) = served.networks.iterdir()
    hidden = configured.rename(served.directory / "hidden")
    try:
        network = next(each for each in cri.Status().status.conditions if each.type == "NetworkReady")
        assert not network.status
        assert network.reason == "NetworkPluginNotReady"
        assert str(served.networks) in network.message
    finally:
        hidden.rename(configured)


def test_the_kubelet_tells_the_range_of_its_pods(cri: Client) -> None:
    cri.UpdateRuntimeConfig(runtime_config={"network_config": {"pod_cidr": "10.1.2.0/24"}})
    assert json.loads(cri.Status(verbose=True).info["config"])["podCIDR"] == "10.1.2.0/24"


def test_the_kubelet_hears_which_driver_of_cgroups_to_use(cri: Client) -> None:
    assert cri.RuntimeConfig().linux.cgroup_driver == 1  # CGROUPFS


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd is process 1")
def test_a_host_without_systemd_has_no_driver_of_its(tmp_path: Path) -> None:
    flags = ("--cri", f"unix://{tmp_path}/cri.sock", "--cri-cgroup-driver=systemd")
    argv = process.argv(tmp_path / "root", tmp_path / "state", *flags)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 125
    assert "the cgroup driver systemd needs systemd as process 1 of this host; use cgroupfs" in done.stderr


def test_checkpoints_are_refused_by_their_name(cri: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        cri.CheckpointContainer(container_id="a")
    assert status_of(refused.value)[0] == "UNIMPLEMENTED"
    assert "checkpoint" in status_of(refused.value)[1]
