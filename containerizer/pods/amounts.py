"""What a pod's containers request and may have at most, and what they may learn of it: `resourceFieldRef`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from containerizer.pods import quantities
from containerizer.pods.document import Node
from isolators.resources import Resources
from launcher.data import Data, field

CPU, MEMORY, DISK = "cpu", "memory", "ephemeral-storage"
_GPUS = "nvidia.com/gpu"
_KINDS = (CPU, MEMORY, DISK)
_FIELDS = tuple(f"{part}.{kind}" for part in ("limits", "requests") for kind in _KINDS)
_MIN_SHARES, _MAX_SHARES = 2, 262144  # of cgroup v1's cpu.shares, of which one CPU has 1024


class Amounts(Data, kw_only=True):
    """CPUs and bytes, by the names of Kubernetes."""

    limits: Mapping[str, Decimal] = field(default_factory=dict)
    requests: Mapping[str, Decimal] = field(default_factory=dict)  # as in Kubernetes: a limit alone is both

    @property
    def resources(self) -> Resources:
        """Limits, and the CPU's request as a weight. Others are for schedulers: they only have to fit."""
        limits, share = self.limits, self.requests.get(CPU)
        return Resources(
            cpus=float(limits[CPU]) if CPU in limits else None,
            cpu_shares=None if share is None else min(max(_MIN_SHARES, int(share * 1024)), _MAX_SHARES),
            memory=int(limits[MEMORY]) if MEMORY in limits else None,
            disk=int(limits[DISK]) if DISK in limits else None,
            gpus=str(int(limits[_GPUS])) if _GPUS in limits else None,
        )


def parse(node: Node) -> Amounts:
    """Of `resources`. Raises InvalidManifest."""
    limits, requests = _amounts(node.object("limits")), _amounts(node.object("requests"))
    node.done()
    for name, amount in requests.items():
        if amount > limits.get(name, amount):
            raise node.refusal(f"requests.{name}", "is more than the limit")
    return Amounts(limits=limits, requests={**limits, **requests})


def of_containers(spec: Node) -> dict[str, Amounts]:
    """Those of each by its name, before the containers themselves are read; what is wrong they will tell."""
    found: dict[str, Amounts] = {}
    for kind in ("containers", "initContainers"):
        items = spec.peek(kind)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict) and isinstance(item.get("name"), str):
                node = Node(item, f"{spec.at(kind)}[{index}]")
                found[item["name"]] = parse(node.object("resources"))
    return found


def value(reference: Node, known: Mapping[str, Amounts], own: str | None) -> str:
    """Of a resourceFieldRef, in units of its divisor, rounded up; `own`: the container that asks."""
    name = reference.text("containerName", own)
    resource = reference.one_of("resource", _FIELDS)
    divisor = reference.quantity("divisor") or "1"
    reference.done()
    if name not in known:
        raise reference.refusal("containerName", f"is {name!r}, which the pod does not have")
    try:
        unit = quantities.parse(divisor) or Decimal(1)  # 0 is Kubernetes' default, and means 1
    except ValueError:
        raise reference.refusal("divisor", f"is {divisor!r}", hint="write 1, 1m, 1Ki or 1Mi, say") from None
    part, _, kind = resource.partition(".")
    asked = known[name].limits if part == "limits" else known[name].requests
    amount = asked.get(kind, _of_host(kind) if part == "limits" else Decimal(0))
    return str(int((amount / unit).to_integral_value(ROUND_CEILING)))


def _of_host(kind: str) -> Decimal:
    """What a container without a limit has: as in Kubernetes, all that the node has."""
    if kind == CPU:
        return Decimal(len(os.sched_getaffinity(0)))
    if kind == MEMORY:
        return Decimal(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    filesystem = os.statvfs("/")
    return Decimal(filesystem.f_frsize * filesystem.f_blocks)


def _amounts(node: Node) -> dict[str, Decimal]:
    amounts = {}
    for name in (*_KINDS, _GPUS):
        text = node.quantity(name)
        if text is not None:
            try:
                amounts[name] = quantities.parse(text)
            except ValueError:
                hint = "write a quantity such as 500m or 64Mi"
                raise node.refusal(name, f"is {text!r}", hint=hint) from None
            if not amounts[name]:
                raise node.refusal(name, "is 0")
            if name == _GPUS and amounts[name] % 1:
                raise node.refusal(name, f"is {text!r}", hint="a GPU is given whole")
    node.done()
    return amounts
