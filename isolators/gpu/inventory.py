"""The GPUs that this host has, from NVML: whole ones, and the instances of those that are partitioned (MIG).

https://docs.nvidia.com/deploy/nvml-api/ and, for the device nodes of instances, the MIG user guide:
/proc/driver/nvidia/capabilities names a node below /dev/nvidia-caps for each.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

from launcher.data import Data
from launcher.errors import ContainerizerError

CONTROL = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")
_CAPABILITIES = "/proc/driver/nvidia/capabilities"


class NvmlError(ContainerizerError):
    """The driver's management library is missing, or does not answer."""


class Gpu(Data, kw_only=True):
    """What is given to one container: a GPU, or an instance of one."""

    uuid: str  # "GPU-…" or "MIG-…"
    index: str  # as nvidia-smi counts: "0"; "0:1" is an instance
    nodes: tuple[str, ...]  # in /dev, besides CONTROL


def read(nvml: Any = None, host: str = "/") -> list[Gpu]:
    """All of them. `nvml`: the module pynvml, or what has its functions. Raises NvmlError."""
    nvml = nvml or _module()
    try:
        nvml.nvmlInit()
        try:
            return list(_gpus(nvml, host))
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise NvmlError(f"NVML failed: {error}", hint="nvidia-smi tells more") from error


def _module() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise NvmlError(
            "the Python package nvidia-ml-py is not installed", hint="pip install 'containerizer[gpu]'"
        ) from error


def _gpus(nvml: Any, host: str) -> Iterator[Gpu]:
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        minor = nvml.nvmlDeviceGetMinorNumber(handle)
        node = f"/dev/nvidia{minor}"
        if _is_partitioned(nvml, handle):
            yield from _instances(nvml, handle, index, minor, host)
        else:
            yield Gpu(uuid=nvml.nvmlDeviceGetUUID(handle), index=str(index), nodes=(node,))


def _is_partitioned(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:  # older than MIG
        return False


def _instances(nvml: Any, gpu: Any, index: int, minor: int, host: str) -> Iterator[Gpu]:
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number)
        except nvml.NVMLError:  # numbers have gaps
            continue
        instance = f"gpu{minor}/mig/gi{nvml.nvmlDeviceGetGpuInstanceId(handle)}"
        compute = f"{instance}/ci{nvml.nvmlDeviceGetComputeInstanceId(handle)}"
        nodes = (f"/dev/nvidia{minor}", _node(instance, host), _node(compute, host))
        yield Gpu(uuid=nvml.nvmlDeviceGetUUID(handle), index=f"{index}:{number}", nodes=nodes)


def _node(capability: str, host: str) -> str:
    """The node that whoever uses this instance has to open."""
    path = os.path.join(host, _CAPABILITIES.lstrip("/"), capability, "access")
    try:
        with open(path) as file:
            values = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        return f"/dev/nvidia-caps/nvidia-cap{int(values['DeviceFileMinor'])}"
    except (OSError, KeyError, ValueError) as error:
        raise NvmlError(f"cannot read the device node in {path}: {error}") from error
