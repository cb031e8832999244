"""What is refused before anything is touched: limits that nobody enforces, or that make no sense here."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from containerizer.blame import named
from isolators import catalog
from isolators.isolator import ContainerConfig, Isolator
from isolators.resources import Resources
from launcher.errors import InvalidRequest


def check(isolators: Sequence[Isolator], config: ContainerConfig, checking: Sequence[Isolator]) -> None:
    """Of a launch. A limit that nobody enforces is an error, not a wish. Raises InvalidRequest.

    `checking`: those of the isolators that have something to check.
    """
    for resource in unenforced(isolators, config.asked()):
        able = [d.name for d in catalog.describe() if resource in d.enforces]
        hint = f"add {' or '.join(able)} to --isolation" if able else None
        raise InvalidRequest(f"no loaded isolator enforces {resource}", hint=hint)
    check_limits(checking, config.resources)


def check_limits(isolators: Sequence[Isolator], resources: Resources) -> None:
    """Raises InvalidRequest."""
    for isolator in isolators:
        with named(isolator):
            isolator.check(resources)


def unenforced(isolators: Sequence[Isolator], asked: Collection[str]) -> list[str]:
    """What none of them enforces."""
    return sorted(set(asked).difference(*(isolator.enforces for isolator in isolators)))
