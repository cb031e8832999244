"""From a ContainerConfig to the request for a container in a pod's own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from containerizer import privileged
from containerizer.cri import security
from containerizer.cri.mounts import idmapped, mounts_of
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import containers_pb2 as messages
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod
from containerizer.cri.settings import CriSettings
from containerizer.cri.store import id_of
from containerizer.request import CONTAINER, ContainerRequest
from isolators.devices import Device
from isolators.isolator import ContainerConfig
from isolators.resources import UNLIMITED, ProcessAttributes, Resources
from isolators.volumes import Volume
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import Mount
from launcher.process_attributes import OomScoreAdj, Policy
from launcher.stdio import LogLimits, Pipes, Terminal
from provisioner.image import Image

_MIN_SHARES, _MAX_SHARES = 2, 262144  # of cgroup v1's cpu.shares
_UNSET = messages.SIGNAL_RUNTIME_DEFAULT


def request(
    pod: StoredPod,
    container: StoredContainer,
    image: Image,
    resolver: str,
    settings: CriSettings,
    target: ContainerId | None = None,
    volumes: tuple[Volume, ...] = (),
) -> ContainerRequest:
    """`resolver`: the path of its resolv.conf; "": what the network has. `target`: whose processes it sees.

    Raises InvalidRequest.
    """
    config = container.config
    context = config.linux.security_context
    mounts = mounts_of(config.mounts, devices=context.privileged)
    limits = resources(container.resources, huge_pages=settings.limits_huge_pages)
    return ContainerRequest(
        image=image.reference,
        container_id=id_of(container),
        pull="never",
        keep=True,
        mounts=(*_resolver(config, resolver), *mounts),
        config=ContainerConfig(
            command=tuple(config.args),
            entrypoint=tuple(config.command) or None,
            environment={each.key: each.value.decode(errors="surrogateescape") for each in config.envs},
            working_directory=config.working_dir or None,
            namespaces=dict(_namespaces(pod, context, target)),
            stop_signal=_stop_signal(config),
            resources=limits,
            attributes=_attributes(container.resources),
            devices=tuple(_devices(config)),
            cdi_devices=tuple(each.name for each in config.CDI_devices),
            idmapped=idmapped(config.mounts),
            volumes=volumes,
            **security.of(context),
        ),
    )


def stdio(container: StoredContainer) -> Pipes | Terminal:
    """With the log that the kubelet reads, and rotates."""
    config = container.config
    log = LogLimits(path=container.log_path or os.devnull, files=1)
    return Terminal(log=log) if config.tty else Pipes(stdin=config.stdin, log=log)


def resources(asked: common.LinuxContainerResources, *, huge_pages: bool = True) -> Resources:
    """What is 0 or empty was not asked. `huge_pages`: whether somebody limits them. Raises InvalidRequest."""
    shares, memory = asked.cpu_shares, asked.memory_limit_in_bytes
    limits = {each.page_size: each.limit for each in asked.hugepage_limits if huge_pages or each.limit}
    found: dict[str, Any] = {
        "cpu_period": asked.cpu_period or None,
        "cpu_quota": asked.cpu_quota if asked.cpu_quota > 0 else None,
        "cpu_shares": min(max(_MIN_SHARES, shares), _MAX_SHARES) if shares else None,
        "memory": memory if memory > 0 else None,
        "memory_swap": asked.memory_swap_limit_in_bytes or None,
        "cpuset_cpus": asked.cpuset_cpus or None,
        "cpuset_mems": asked.cpuset_mems or None,
        "hugetlb": limits or None,
        **_unified(asked.unified, memory),
    }
    if found["memory_swap"] == memory:  # no swap beside memory, as without it: some kernels count none
        found["memory_swap"] = None
    return Resources(**found)


def changed(asked: common.LinuxContainerResources, *, huge_pages: bool = True) -> Resources:
    """The same for an update, which may also lift a limit."""
    limits = resources(asked, huge_pages=huge_pages)
    lifted = {"cpu_quota": asked.cpu_quota, "memory": asked.memory_limit_in_bytes}
    return replace(limits, **{name: UNLIMITED for name, value in lifted.items() if value < 0})


_UNIFIED = {
    "memory.min": "memory_reservation",
    "memory.low": "memory_reservation",
    "memory.high": "memory_high",
}


def _unified(files: Mapping[str, str], memory: int) -> dict[str, Any]:
    """Files of cgroup v2: those that have a meaning here. Swap is limited together with memory only."""
    found: dict[str, Any] = {}
    for name, value in files.items():
        if name == "memory.oom.group" and value in ("0", "1"):
            found["oom_group"] = value == "1"
        elif name == "pids.max" and value.isdecimal():
            found["pids"] = int(value)
        elif name == "memory.swap.max" and value.isdecimal():
            found |= {"memory_swap": memory + int(value)} if memory > 0 else {}
        elif name in _UNIFIED and value.isdecimal():
            found[_UNIFIED[name]] = int(value)
        elif value != "max":
            hint = "leave it out of unified"
            raise InvalidRequest(f"cannot set {name} of a cgroup to {value!r}", hint=hint)
    return found


def _attributes(asked: common.LinuxContainerResources) -> ProcessAttributes:
    """Clamped to what this host lets us lower it to: a node agent need not be root of all."""
    return ProcessAttributes(oom_score_adj=OomScoreAdj(value=asked.oom_score_adj, policy=Policy.CLAMP))


def _namespaces(
    pod: StoredPod, context: messages.LinuxContainerSecurityContext, target: ContainerId | None
) -> Iterator[tuple[str, str]]:
    """Others than the pod's are refused by what a nested container can have."""
    pid = context.namespace_options.pid
    if pid == common.TARGET:
        if target is None:
            raise InvalidRequest("no target_id is given for the processes of another container")
        yield "pid", f"{CONTAINER}{target}"
    elif pid in (common.POD, common.NODE):
        yield "pid", f"{CONTAINER}{pod.id}"


def _resolver(config: messages.ContainerConfig, path: str) -> Iterator[Mount]:
    own = any(mount.container_path == "/etc/resolv.conf" for mount in config.mounts)
    if path and not own:
        yield Mount(
            target="/etc/resolv.conf", fstype="bind", source=path, flags=("nosuid", "nodev", "noexec")
        )


def _stop_signal(config: messages.ContainerConfig) -> str | None:
    if config.stop_signal == _UNSET:
        return None
    return (
        messages.Signal.Name(config.stop_signal)
        .removeprefix("SIGNAL_")
        .replace("PLUS", "+")
        .replace("MINUS", "-")
    )


def _devices(config: messages.ContainerConfig) -> Iterator[Device]:
    if config.linux.security_context.privileged:
        yield from privileged.all_devices()
    for each in config.devices:
        yield Device(
            source=each.host_path,
            target=each.container_path or each.host_path,
            access=each.permissions or "rwm",
        )
