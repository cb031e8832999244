"""Which containers have which CPUs, as far as they asked for some: for themselves alone, or among others.

Each claim is a link (isolators/ownership.py): "3" of who has CPU 3 alone, "3@…" of one who shares it. What
is nested in a container is among its siblings only: it has of its parent's, whoever has those.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Iterator

from isolators import ownership
from isolators.cgroups.cpu_choice import choose, cores, nodes
from isolators.isolator import IsolatorFlags
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError

_NAME = re.compile(r"(?P<cpu>\d+)(?P<scope>\+[0-9a-f]+)?(?P<sharer>@[0-9a-f]+)?")


class CpusTaken(ContainerizerError):
    """Other containers have what is asked for."""


class Claims:
    """Those of one container. Each choice is made within `locked`."""

    def __init__(self, flags: IsolatorFlags, container_id: ContainerId) -> None:
        self._state = flags.state
        self._directory = directory_of(flags)
        self._holder = ownership.holder(flags, container_id)
        self._shared = f"@{_tag(self._holder)}"
        parent = container_id.parent
        self._scope = f"+{_tag(ownership.holder(flags, parent))}" if parent else ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within this context nobody else chooses."""
        os.makedirs(self._state, mode=0o755, exist_ok=True)
        with ownership.locked(self._state):
            yield

    def name(self, cpus: set[int], *, exclusive: bool) -> None:
        """Claim exactly these. Raises CpusTaken."""
        taken, load = self._others()
        hint = "choose others, or wait until that container has ended"
        if alone := sorted(cpus & taken.keys()):
            raise CpusTaken(f"CPU {alone[0]} is for container {taken[alone[0]]} alone", hint=hint)
        if exclusive and (used := sorted(cpus & load.keys())):
            raise CpusTaken(f"CPU {used[0]} is used by other containers that asked for it", hint=hint)
        self._claim(cpus, exclusive)

    def choose(self, there: set[int], count: int, *, exclusive: bool) -> list[int]:
        """Claim so many of them. Raises CpusTaken."""
        taken, load = self._others()
        usable = there.difference(taken, load if exclusive else ())
        own = {int(match["cpu"]) for match in map(_NAME.fullmatch, self._own()) if match}
        preferred = {**load, **dict.fromkeys(own, -1)}  # what it has it keeps
        cpus = choose(usable, count, preferred, nodes(), cores(usable))
        if cpus is None:
            alone = " for a container alone" if exclusive else ""
            left = f"{len(usable)} of {len(there)} are left"
            hint = "wait until another container has ended, or ask for fewer"
            raise CpusTaken(f"{count} CPUs are asked for{alone}, and {left}", hint=hint)
        return self._claim(cpus, exclusive)

    def _others(self) -> tuple[dict[int, str], dict[int, int]]:
        """CPU → who else has it alone, for people; CPU → how many others share it."""
        taken, load, own = dict[int, str](), dict[int, int](), self._own()
        for name in ownership.names(self._directory):
            match = _NAME.fullmatch(name)
            if match is None or name in own or (match["scope"] or "") != self._scope:
                continue
            cpu = int(match["cpu"])
            if match["sharer"]:
                load[cpu] = load.get(cpu, 0) + 1
            else:
                taken[cpu] = ownership.shown(ownership.holder_of(self._directory, name) or "")
        return taken, load

    def _own(self) -> set[str]:
        """The names of its claims. Only links of those who share nothing are read: they are few."""
        return {
            name
            for name in ownership.names(self._directory)
            if name.endswith(self._shared)
            or ("@" not in name and ownership.holder_of(self._directory, name) == self._holder)
        }

    def _claim(self, cpus: Collection[int], exclusive: bool) -> list[int]:
        """Let these be the container's, and no others."""
        names = {f"{cpu}{self._scope}{'' if exclusive else self._shared}" for cpu in cpus}
        before = self._own()
        for name in names - before:
            ownership.take(self._directory, self._holder, [name], 1)
        ownership.drop(self._directory, before - names)
        return sorted(cpus)

    def release(self) -> None:
        """Idempotent."""
        ownership.drop(self._directory, self._own())


def directory_of(flags: IsolatorFlags) -> str:
    return os.path.join(flags.state, "cpus")


def _tag(holder: str) -> str:
    return hashlib.blake2s(holder.encode(), digest_size=8).hexdigest()
