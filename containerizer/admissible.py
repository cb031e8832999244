"""What is refused before anything is touched: limits that nobody enforces, or that make no sense here."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from containerizer.blame import named
from isolators import catalog
from isolators.isolator import ContainerConfig, Isolator
from isolators.resources import Resources
from launcher.errors import InvalidRequest


def check(enforced: Collection[str], config: ContainerConfig, checking: Sequence[Isolator]) -> None:
    """Of a launch. A limit that nobody enforces is an error, not a wish. Raises InvalidRequest.

    `enforced`: what the isolators enforce; `checking`: those of them that have something to check.
    """
    for resource in sorted(config.asked().difference(enforced)):
        raise InvalidRequest(f"no loaded isolator enforces {resource}", hint=who_does(resource))
    check_limits(checking, config.resources)


def who_does(resource: str) -> str | None:
    """What has to be done for a resource to be limited; None where nobody could."""
    able = [each for each in catalog.describe() if resource in each.enforces]
    here = [each.name for each in able if each.available]
    if here or not able:
        return f"add {' or '.join(here)} to --isolation" if here else None
    need = next(need for need in able[0].needs if not need.present)
    return f"{able[0].name} does, and lacks {need.what}: {need.mend}"


def check_sharing(isolators: Sequence[Isolator], config: ContainerConfig) -> None:
    """Limits by cgroups are those of all that is in them. Raises InvalidRequest."""
    keeping = {resource for isolator in isolators if isolator.keeps_cgroups for resource in isolator.enforces}
    for resource in sorted(keeping & config.asked()):
        hint = "limit its parent, or leave out --share-cgroups"
        raise InvalidRequest(f"a container in its parent's cgroups has no {resource} of its own", hint=hint)


def check_limits(isolators: Sequence[Isolator], resources: Resources) -> None:
    """Raises InvalidRequest."""
    for isolator in isolators:
        with named(isolator):
            isolator.check(resources)


def unenforced(isolators: Sequence[Isolator], asked: Collection[str]) -> list[str]:
    """What none of them enforces."""
    return sorted(set(asked).difference(*(isolator.enforces for isolator in isolators)))
