"""gpu/nvidia: NVIDIA's GPUs and MIG instances, each for one container alone, with the host's driver.

A container has the nodes of what it was given, and the control nodes only with them; other nodes are not
there, and one that it makes opens nothing (filesystem/linux). An image cannot ask: most that are made for
GPUs say NVIDIA_VISIBLE_DEVICES=all, so pulling one would be enough to take all. What it says is needed of
the driver (NVIDIA_DRIVER_CAPABILITIES) is heeded, where the request says nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isolators import ownership
from isolators.devices import rule_of
from isolators.gpu import driver, inventory
from isolators.gpu.inventory import Gpu
from isolators.gpu.request import Gpus, parse
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, Need
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.launch_info import LaunchInfo, Mount

_NODE_FLAGS = ("ro", "nosuid", "noexec")  # a device does not heed "ro", its node's mode and owner do


class NoFreeGpu(ContainerizerError):
    """Other containers have what is asked for."""


class GpuNvidia(Isolator):
    name = "gpu/nvidia"
    enforces = frozenset({"gpus"})
    requires = ("filesystem/linux",)  # whose /dev has nothing else
    needs = (
        Need(
            "NVIDIA GPUs",
            lambda: os.path.exists("/dev/nvidiactl"),
            "install NVIDIA's driver, and pip install 'containerizer[gpu]'",
            optional=True,
        ),
    )

    def __init__(self, flags: IsolatorFlags, nvml: Any = None, host: str = "/") -> None:
        super().__init__(flags)
        self._nvml = nvml
        self._host = host
        self._owners = os.path.join(flags.state, "gpus")

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        asked = _asked(config)
        if asked is None:
            return LaunchInfo()
        words = _capabilities(config)
        candidates, count = self._candidates(asked)
        holder = ownership.holder(self.flags, container_id)
        uuids = ownership.held(self._owners, holder)
        uuids = uuids or ownership.take(self._owners, holder, [gpu.uuid for gpu in candidates], count) or []
        if not uuids:
            raise self._none_free(candidates, count)
        return self._launch_info([gpu for gpu in candidates if gpu.uuid in uuids], words)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """With a number, the GPUs that it would get now."""
        asked = _asked(config)
        if asked is None:
            return LaunchInfo()
        candidates, count = self._candidates(asked)
        uuids = ownership.held(self._owners, ownership.holder(self.flags, container_id))
        uuids = uuids or ownership.free(self._owners, [gpu.uuid for gpu in candidates], count)
        if len(uuids) < count:
            raise self._none_free(candidates, count)
        return self._launch_info([gpu for gpu in candidates if gpu.uuid in uuids], _capabilities(config))

    def check(self, resources: Resources) -> None:
        if resources.gpus is not None:
            parse(resources.gpus)

    def update(self, container_id: ContainerId, resources: Resources) -> None:
        """Raises InvalidRequest: what a task has opened cannot be taken from it."""
        if resources.gpus is not None:
            hint = "launch another container"
            raise InvalidRequest("the GPUs of a running container cannot be changed", hint=hint)

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        return {"gpus": ownership.held(self._owners, ownership.holder(self.flags, container_id))}

    def cleanup(self, container_id: ContainerId) -> None:
        ownership.release(self._owners, ownership.holder(self.flags, container_id))

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        return [f"GPU {uuid}" for uuid in ownership.sweep(self._owners)]

    def _candidates(self, asked: Gpus) -> tuple[list[Gpu], int]:
        """Of which GPUs how many are asked for. Raises InvalidRequest for more than the host has."""
        granted = self.flags.nvidia_gpu_devices
        gpus = inventory.read(self._nvml, self._host)
        if granted is not None:
            gpus = [gpu for gpu in gpus if int(gpu.index.partition(":")[0]) in granted]
        if asked.devices:
            chosen = [_named(gpus, name) for name in asked.devices]
            return list({gpu.uuid: gpu for gpu in chosen}.values()), len({gpu.uuid for gpu in chosen})
        count = len(gpus) if asked.count is None else asked.count
        if not gpus or count > len(gpus):
            raise InvalidRequest(f"{count or 'all'} GPUs are asked for, and this host has {len(gpus)}")
        return gpus, count

    def _none_free(self, candidates: Sequence[Gpu], count: int) -> NoFreeGpu:
        owners = {gpu.uuid: ownership.holder_of(self._owners, gpu.uuid) for gpu in candidates}
        taken = ", ".join(f"{uuid} is {ownership.shown(owner)}'s" for uuid, owner in owners.items() if owner)
        hint = "wait until that container has ended, or ask for others"
        return NoFreeGpu(f"{count} of {len(candidates)} GPUs are asked for, but {taken}", hint=hint)

    def _launch_info(self, gpus: Sequence[Gpu], words: Sequence[str]) -> LaunchInfo:
        mounted = driver.mounts(words, self._host)
        control = [node for node in inventory.CONTROL if os.path.exists(self._on_host(node))]
        nodes = dict.fromkeys([*control, *(node for gpu in gpus for node in gpu.nodes)])
        rules = [rule_of(self._on_host(node), "rw") for node in nodes]
        return LaunchInfo(
            mounts=(*(self._node(node) for node in nodes), *mounted),
            devices=tuple(str(rule) for rule in rules if rule),
            file_operations=driver.links(mounted),
            search_paths={"LD_LIBRARY_PATH": driver.LIBRARIES, "PATH": driver.TOOLS},
        )

    def _node(self, path: str) -> Mount:
        return Mount(target=path, fstype="bind", source=self._on_host(path), flags=_NODE_FLAGS)

    def _on_host(self, path: str) -> str:
        return os.path.join(self._host, path.lstrip("/"))


def _asked(config: ContainerConfig) -> Gpus | None:
    """Raises InvalidRequest where they could not be kept from others."""
    asked = config.resources.gpus
    if asked is None:
        return None
    if config.rootfs is None:
        hint = "run an image: on the host's filesystem a task finds all of the host's /dev"
        raise InvalidRequest("GPUs are given to containers with a root filesystem", hint=hint)
    return parse(asked)


def _named(gpus: Sequence[Gpu], name: str) -> Gpu:
    for gpu in gpus:
        if name in (gpu.uuid, gpu.index):
            return gpu
    have = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in gpus) or "none"
    raise InvalidRequest(f"unknown GPU {name!r}", hint=f"this host gives out {have}")


def _capabilities(config: ContainerConfig) -> tuple[str, ...]:
    """The request's words before the image's."""
    name = "NVIDIA_DRIVER_CAPABILITIES"
    if name in config.environment:
        return driver.capabilities(config.environment[name])
    variables = (config.image_config or {}).get("Env")
    for variable in variables if isinstance(variables, list) else ():
        if isinstance(variable, str) and variable.startswith(f"{name}="):
            return driver.capabilities(variable.partition("=")[2])
    return driver.capabilities(None)
