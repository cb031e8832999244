"""gpu/nvidia on an NVML written by hand, and on files that stand for a host's driver."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isolators import ownership
from isolators.gpu import driver, library_cache
from isolators.gpu.inventory import NvmlError
from isolators.gpu.nvidia import GpuNvidia, NoFreeGpu
from isolators.gpu.request import Gpus, parse
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from tests.support.nvidia import FakeNvml, cache, make_host

A, B = ContainerId("a"), ContainerId("b")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return make_host(tmp_path / "host")


@pytest.fixture
def make(host: Path, tmp_path: Path) -> Callable[..., GpuNvidia]:
    def isolator(*, broken: bool = False, **flags: Any) -> GpuNvidia:
        given = IsolatorFlags(state=str(tmp_path / "state"), **flags)
        return GpuNvidia(given, FakeNvml(broken=broken), str(host))

    return isolator


def asking(text: str, **fields: Any) -> ContainerConfig:
    return ContainerConfig(rootfs="/rootfs", resources=Resources(gpus=text), **fields)


def devices(info: Any) -> set[str]:
    return {mount.target.removeprefix("/dev/") for mount in info.mounts if mount.target.startswith("/dev/")}


def test_who_asks_for_none_gets_no_node(make: Callable[..., GpuNvidia]) -> None:
    assert make().prepare(A, ContainerConfig(rootfs="/rootfs")).asked() == {}


def test_each_gpu_has_one_owner_until_it_is_given_back(
    make: Callable[..., GpuNvidia], tmp_path: Path
) -> None:
    first = make().prepare(A, asking("device=0"))
    assert devices(first) == {"nvidiactl", "nvidia-uvm", "nvidia0"}
    assert devices(make().prepare(B, asking("1"))) == {"nvidiactl", "nvidia-uvm", "nvidia1"}
    with pytest.raises(NoFreeGpu, match="GPU-0 is a's"):  # told by the disk: it is another process' isolator
        make().prepare(ContainerId("c"), asking("all"))
    assert make().status(ContainerId("c")) == {"gpus": []}
    for container in (A, A, B):
        make().cleanup(container)
    assert not (tmp_path / "state" / "gpus").exists()


def test_an_instance_comes_with_its_capability_nodes(make: Callable[..., GpuNvidia]) -> None:
    info = make().prepare(A, asking("device=2:2"))
    caps = {"nvidia-caps/nvidia-cap30", "nvidia-caps/nvidia-cap31"}
    assert devices(info) == {"nvidiactl", "nvidia-uvm", "nvidia2"} | caps
    assert make().status(A) == {"gpus": ["MIG-2"]}


def test_prepare_gives_the_same_again_and_what_contribute_tells(make: Callable[..., GpuNvidia]) -> None:
    told = make().contribute(A, asking("2"))
    assert make().prepare(A, asking("2")) == make().prepare(A, asking("2")) == told


def test_bad_words_are_refused_before_anything_is_looked_at(make: Callable[..., GpuNvidia]) -> None:
    with pytest.raises(InvalidRequest, match="invalid GPUs 'some'"):
        make(broken=True).check(Resources(gpus="some"))


@pytest.mark.parametrize("text", ["5", "device=9", "device=GPU-7", "device=2"])
def test_what_the_host_does_not_have_is_refused(make: Callable[..., GpuNvidia], text: str) -> None:
    with pytest.raises(InvalidRequest):
        make().prepare(A, asking(text))


def test_only_what_the_operator_names_is_given_out(make: Callable[..., GpuNvidia]) -> None:
    make(nvidia_gpu_devices=(1,)).prepare(A, asking("all"))
    assert make().status(A) == {"gpus": ["GPU-1"]}


def test_on_the_hosts_own_files_gpus_are_refused(make: Callable[..., GpuNvidia]) -> None:
    with pytest.raises(InvalidRequest, match="root filesystem"):
        make().prepare(A, ContainerConfig(resources=Resources(gpus="all")))


def test_a_running_container_keeps_its_gpus(make: Callable[..., GpuNvidia]) -> None:
    with pytest.raises(InvalidRequest, match="running"):
        make().update(A, Resources(gpus="1"))


def test_a_driver_that_does_not_answer_is_named(make: Callable[..., GpuNvidia]) -> None:
    with pytest.raises(NvmlError, match="Driver Not Loaded"):
        make(broken=True).prepare(A, asking("1"))


@pytest.mark.parametrize(
    ("request_says", "image_says", "shown"),
    [
        (None, None, {"libcuda.so.1", "libnvidia-ml.so.1"}),
        (None, "video", {"libnvcuvid.so.1"}),
        ("utility", "video", {"libnvidia-ml.so.1"}),
        ("all", None, {"libcuda.so.1", "libnvidia-ml.so.1", "libnvcuvid.so.1"}),
    ],
)
def test_driver_capabilities_choose_libraries(
    make: Callable[..., GpuNvidia], request_says: str | None, image_says: str | None, shown: set[str]
) -> None:
    name = "NVIDIA_DRIVER_CAPABILITIES"
    environment = {} if request_says is None else {name: request_says}
    image = {"Env": ["NVIDIA_VISIBLE_DEVICES=all"] + ([] if image_says is None else [f"{name}={image_says}"])}
    info = make().contribute(A, asking("1", environment=environment, image_config=image))
    mounted = {m.target.rpartition("/")[2] for m in info.mounts if m.target.startswith(driver.LIBRARIES)}
    assert mounted == shown
    assert [link.content for link in info.file_operations] == ["libcuda.so.1"] * ("libcuda.so.1" in shown)


def test_an_unknown_driver_capability_is_refused_before_anything_is_taken(
    make: Callable[..., GpuNvidia], tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="'magic'"):
        make().prepare(A, asking("1", environment={"NVIDIA_DRIVER_CAPABILITIES": "magic"}))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("all", Gpus()),
        ("2", Gpus(count=2)),
        ("device=0", Gpus(devices=("0",))),
        ('"device=0,GPU-1"', Gpus(devices=("0", "GPU-1"))),
        ("count=1", Gpus(count=1)),
        ("count=all", Gpus()),
    ],
)
def test_dockers_words(text: str, gpus: Gpus) -> None:
    assert parse(text) == gpus


@pytest.mark.parametrize("text", ["", "0", "-1", "0.5", "device=", "device", "gpu=0", 'device="0'])
def test_bad_words_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


def test_taking_is_all_or_nothing(tmp_path: Path) -> None:
    directory = str(tmp_path / "gpus")
    assert ownership.take(directory, "a", ["x"], 1) == ["x"]
    assert ownership.take(directory, "b", ["x", "y"], 2) is None
    assert ownership.free(directory, ["x", "y"], 2) == ["y"]


def test_the_cache_is_read_after_an_older_one_and_for_this_machine() -> None:
    old = b"ld.so-1.7.0\0" + struct.pack("<I", 1) + b"\0" * 12
    old += b"\0" * (-len(old) % 8)
    assert library_cache.parse(cache(("a.so", "/a"), ("a.so", "/b"), old=old), "x86_64") == {"a.so": "/a"}
    assert library_cache.parse(cache(("a.so", "/a")), "aarch64") == {}


def test_a_torn_cache_is_refused_at_every_length() -> None:
    whole = cache(("a.so", "/a"))
    for length in range(len(whole)):
        with pytest.raises(library_cache.InvalidLibraryCache):
            library_cache.parse(whole[:length], "x86_64")


def test_the_hosts_own_cache_says_what_ldconfig_does() -> None:
    printed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    assert f"=> {library_cache.read()['libc.so.6']}" in printed
