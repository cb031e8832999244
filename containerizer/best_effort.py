"""Limits that nobody here can enforce: left out and told of, not refused, for who has asked for that."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from containerizer import admissible
from isolators import catalog
from isolators.isolator import ContainerConfig
from isolators.resources import Resources
from launcher.data import replace

if TYPE_CHECKING:
    from containerizer.pods.containers import PodContainer
    from containerizer.pods.manifest import PodManifest

Tell = Callable[[str], None]


def warn(sentence: str) -> None:
    print(f"containerizer: {sentence}", file=sys.stderr)


def applicable(
    resources: Resources,
    isolation: Sequence[str] | None = None,
    *,
    launcher: str = "linux",
    whose: str = "",
    tell: Tell = warn,
) -> Resources:
    """Those of the limits that these isolators can enforce here; None: those that are loaded for them.

    `whose`: the container's name, for what is told of each other one.
    """
    if not (asked := resources.asked()):
        return resources
    names = isolation or catalog.default_for(ContainerConfig(resources=resources), launcher)
    enforced = {what for each in catalog.describe(names) if each.available for what in each.enforces}
    for what in sorted(asked - enforced):
        tell(f"{whose}{': ' if whose else ''}{what} is not limited: {_why(what)}")
    return replace(resources, **dict.fromkeys(asked - enforced))


def _why(resource: str) -> str:
    return admissible.who_does(resource) or "no isolator does"


def of_pod(asked: PodManifest, isolation: str | None, tell: Tell = warn) -> PodManifest:
    """With the limits of each of its containers that can be enforced here."""
    named = None if isolation is None else [word for word in isolation.split(",") if word]

    def reduced(each: PodContainer) -> PodContainer:
        limits = applicable(each.resources, named, whose=f"{asked.name}.{each.name}", tell=tell)
        return replace(each, resources=limits)

    return replace(
        asked,
        containers=tuple(map(reduced, asked.containers)),
        init_containers=tuple(map(reduced, asked.init_containers)),
    )
