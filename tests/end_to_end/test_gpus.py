"""Containers with GPUs, on an NVML written by hand; nodes like /dev/null stand for the GPUs' nodes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containerizer import Containerizer
from containerizer.request import ContainerRequest
from isolators import catalog
from isolators.gpu import nvidia
from isolators.isolator import IsolatorFlags
from isolators.ownership import holder_of, shown
from launcher.stdio import Inherit
from tests.support.nvidia import FakeNvml, make_host

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

_NULL, _KMSG = os.makedev(1, 3), os.makedev(1, 11)
_SHOW = """
for node in /dev/nvidia*; do test -c $node && (: <$node) && echo $node; done
ls /usr/local/nvidia/lib64 /usr/local/nvidia/bin
echo $LD_LIBRARY_PATH; echo $PATH; cat /usr/local/nvidia/lib64/libcuda.so; which nvidia-smi
(: >/usr/local/nvidia/lib64/libcuda.so.1)
(mknod /dev/nvidia9 c 1 3 && : </dev/nvidia9) || echo denied
"""


@pytest.fixture
def containerizer(
    directories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Containerizer]:
    host = make_host(tmp_path / "host")
    (host / "usr/lib/libcuda.so.550").write_text("a driver\n")
    for name in os.listdir(host / "dev"):
        (host / "dev" / name).unlink()
        os.mknod(host / "dev" / name, stat.S_IFCHR | 0o666, _NULL)
    (host / "dev/nvidia0").unlink()
    os.mknod(host / "dev/nvidia0", stat.S_IFCHR | 0o666, _KMSG)
    (host / "usr/bin/nvidia-smi").chmod(0o755)

    class OnThisHost(nvidia.GpuNvidia):
        needs = ()

        def __init__(self, flags: IsolatorFlags) -> None:
            super().__init__(flags, FakeNvml(), str(host))

    monkeypatch.setattr(nvidia, "GpuNvidia", OnThisHost)
    isolation = (*catalog.DEFAULT, "gpu/nvidia", "cgroups/devices")
    flags = IsolatorFlags(state=str(tmp_path / "state"))
    paths = {"root": str(directories / "root"), "state": str(directories / "state")}
    with Containerizer(isolation=isolation, flags=flags, **paths) as made:
        yield made
    assert not (tmp_path / "state" / "gpus").exists()


def _output(containerizer: Containerizer, image: str, script: str, **asked: str) -> list[str]:
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        request = ContainerRequest.of(image, ["sh", "-c", script], **asked)  # type: ignore[arg-type]
        container = containerizer.create(request, Inherit(null, writer, writer))
        container.start()
    finally:
        os.close(writer)
        os.close(null)
    with open(reader) as stream:
        text = stream.read()
    container.wait()
    return text.splitlines()


def test_a_container_has_its_gpu_and_the_driver(containerizer: Containerizer, busybox: str) -> None:
    lines = _output(containerizer, busybox, _SHOW, gpus="device=1")
    nodes = [line for line in lines if line.startswith("/dev/")]
    assert nodes == ["/dev/nvidia-uvm", "/dev/nvidia1", "/dev/nvidiactl"]
    assert {"libcuda.so", "libcuda.so.1", "libnvidia-ml.so.1", "nvidia-smi", "a driver"} <= set(lines)
    assert "/usr/local/nvidia/lib64" in lines
    assert any(line.startswith("/usr/local/nvidia/bin:/") for line in lines)
    assert "/usr/local/nvidia/bin/nvidia-smi" in lines
    assert any("Read-only" in line for line in lines)
    assert lines[-1] == "denied"


def test_who_may_mount_has_no_other_gpu_either(containerizer: Containerizer, busybox: str) -> None:
    script = """
mkdir /mine && mount -t tmpfs none /mine && mknod /mine/gpu c 1 11 &&
    if (: </mine/gpu) 2>/dev/null; then echo opened; else echo denied; fi
"""
    asked: Any = {"capabilities_add": ("SYS_ADMIN", "SYSLOG"), "seccomp": "unconfined"}
    assert _output(containerizer, busybox, script, gpus="device=1", **asked) == ["denied"]
    assert _output(containerizer, busybox, script, gpus="device=0", **asked) == ["opened"]


def test_one_without_has_nothing_of_it(containerizer: Containerizer, busybox: str) -> None:
    assert _output(containerizer, busybox, "ls -d /dev/nvidia* /usr/local/nvidia 2>/dev/null; echo end") == [
        "end"
    ]


def test_a_gpu_is_its_owners_until_its_end(
    containerizer: Containerizer, busybox: str, tmp_path: Path
) -> None:
    first = containerizer.launch(busybox, ["sleep", "1000"], gpus=1)
    holder = holder_of(str(tmp_path / "state" / "gpus"), "GPU-0")
    assert holder == containerizer.paths.container_state(first.id)
    assert shown(holder) == str(first.id)
    with pytest.raises(nvidia.NoFreeGpu, match=str(first.id)):
        containerizer.launch(busybox, ["true"], gpus="device=0")
    first.destroy()
    assert holder_of(str(tmp_path / "state" / "gpus"), "GPU-0") is None
    assert containerizer.launch(busybox, ["true"], gpus="device=0").wait() is not None
