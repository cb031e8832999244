"""The loaded isolators at work: in each step of a launch those few of them that have a part in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from containerizer import admissible
from containerizer.blame import named
from isolators.isolator import ContainerConfig, Isolator, Watch, concerned
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.launch_info import LaunchInfo


def at_work(isolators: Sequence[Isolator], *, shares_cgroups: bool) -> list[Isolator]:
    """Those that serve a container; none that keeps cgroups serves one that shares its parent's.

    Such a container's figures, limits and freezer would be its parent's, and to kill all in its cgroups
    would end its siblings.
    """
    return [isolator for isolator in isolators if not (shares_cgroups and isolator.keeps_cgroups)]


class Isolation:
    """Each method raises ContainerizerError, which names the isolator."""

    def __init__(self, isolators: Sequence[Isolator]) -> None:
        watching = concerned(isolators, "watch")
        self.isolators = isolators
        self.names = tuple(isolator.name for isolator in isolators)
        self._enforced = frozenset().union(*(isolator.enforces for isolator in isolators))
        self._sharing: Isolation | None = None
        self._passed: ContainerConfig | None = None
        self._checking = concerned(isolators, "check")
        self._creating = concerned(isolators, "create")
        self._isolating = concerned(isolators, "isolate")
        self._later = [isolator for isolator in watching if isolator.watches_what_is_asked]
        self._at_once = [isolator for isolator in watching if not isolator.watches_what_is_asked]

    def of(self, config: ContainerConfig) -> Isolation:
        """Those of the isolators that such a container has."""
        if not config.share_cgroups:
            return self
        if self._sharing is None:
            self._sharing = Isolation(at_work(self.isolators, shares_cgroups=True))
        return self._sharing

    def check(self, config: ContainerConfig) -> None:
        """Refuse limits that nobody enforces, or that make no sense here; what has passed will pass again."""
        if config is self._passed:
            return
        if config.share_cgroups:
            admissible.check_sharing(self.isolators, config)
        own = self.of(config)
        admissible.check(own._enforced, config, own._checking)
        self._passed = config

    def create(self, container_id: ContainerId, config: ContainerConfig, info: LaunchInfo) -> None:
        """Make what a container of a kind needs of which `info` is known."""
        if info.devices:
            config = replace(config, granted_devices=info.devices)
        for isolator in self._creating:
            with named(isolator):
                isolator.create(container_id, config)

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        """Act on the blocked child from outside."""
        for isolator in self._isolating:
            with named(isolator):
                isolator.isolate(container_id, pid)

    def watches(self, container_id: ContainerId, config: ContainerConfig) -> Iterator[Watch]:
        """What to poll for limits that are reached."""
        yield from _watches(self._at_once, container_id)
        asked = config.resources.asked()
        if later := [each for each in self._later if not asked.isdisjoint(each.enforces)]:
            from containerizer.later import LaterWatch  # for those with such limits

            yield LaterWatch(partial(_watches, later, container_id))


def _watches(isolators: Sequence[Isolator], container_id: ContainerId) -> Iterator[Watch]:
    for isolator in isolators:
        with named(isolator):
            watch = isolator.watch(container_id)
        if watch is not None:
            yield watch
