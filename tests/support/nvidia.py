"""A host with NVIDIA's GPUs, written by hand: what NVML answers, and the files of a driver."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isolators.gpu import library_cache

WHOLE = ("GPU-0", "GPU-1")
INSTANCES = ("MIG-0", "MIG-2")  # of the third GPU; the number between them is a gap


class FakeNvml:
    """The functions of pynvml that are used, as a host with two whole GPUs and a partitioned one answers."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        if self.broken:
            raise self.NVMLError("Driver Not Loaded")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Callable[..., Any]] = {
            "nvmlShutdown": lambda: None,
            "nvmlDeviceGetCount": lambda: 3,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetMinorNumber": lambda gpu: gpu,
            "nvmlDeviceGetUUID": lambda it: it if isinstance(it, str) else WHOLE[it],
            "nvmlDeviceGetMigMode": self._mode,
            "nvmlDeviceGetMaxMigDeviceCount": lambda gpu: 3,
            "nvmlDeviceGetMigDeviceHandleByIndex": self._instance,
            "nvmlDeviceGetGpuInstanceId": lambda it: int(it[-1]) + 1,
            "nvmlDeviceGetComputeInstanceId": lambda it: 0,
        }
        return answers[name]

    def _mode(self, gpu: int) -> tuple[int, int]:
        if gpu == 0:
            raise self.NVMLError("Not Supported")
        return (int(gpu == 2), 0)

    def _instance(self, gpu: int, number: int) -> str:
        if f"MIG-{number}" not in INSTANCES:
            raise self.NVMLError("Not Found")
        return f"MIG-{number}"


def cache(*libraries: tuple[str, str], flags: int = 0x0303, old: bytes = b"") -> bytes:
    entries, strings = b"", b""
    base = 48 + 24 * len(libraries)
    for name, path in libraries:
        at = base + len(strings)
        entries += struct.pack("<iIIIQ", flags, at, at + len(name) + 1, 0, 0)
        strings += f"{name}\0{path}\0".encode()
    head = struct.pack("<20sII20x", b"glibc-ld.so.cache1.1", len(libraries), len(strings))
    return old + head + entries + strings


def make_host(root: Path) -> Path:
    """Files below `root` as a host with that driver has them; device nodes are files as well."""
    libraries = {
        f"lib{name}.so.1": f"/usr/lib/lib{name}.so.550" for name in ("cuda", "nvidia-ml", "nvcuvid", "c")
    }
    capabilities = "proc/driver/nvidia/capabilities/gpu2/mig"
    files = {
        "etc/ld.so.cache": cache(*libraries.items(), flags=library_cache.FLAGS[os.uname().machine]),
        **{path.lstrip("/"): b"" for path in libraries.values()},
        **{f"dev/{name}": b"" for name in ("nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1", "nvidia2")},
        **{f"{capabilities}/gi{gi}/access": b"DeviceFileMinor: %d\n" % (10 * gi) for gi in (1, 3)},
        **{f"{capabilities}/gi{gi}/ci0/access": b"DeviceFileMinor: %d\n" % (10 * gi + 1) for gi in (1, 3)},
        "usr/bin/nvidia-smi": b"",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root
