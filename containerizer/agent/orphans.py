"""What containers that are gone have left on the host: each isolator removes its own when an agent starts.

A container that is known, whatever state it is in, keeps all it has: its directory is there from before
anything is made for it until everything has been taken back.
"""

from __future__ import annotations

import logging
import os

from containerizer.containerizer import Containerizer
from isolators import catalog
from isolators.isolator import Isolator
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError

_log = logging.getLogger("containerizer.agent")


def remove(owner: Containerizer) -> list[str]:
    """What was removed; what could not be is only logged."""
    removed: list[str] = []
    for isolator in reversed(_isolators(owner)):
        try:
            removed += isolator.recover(lambda container_id: _is_there(owner, container_id))
        except (ContainerizerError, OSError) as error:
            _log.warning("%s cannot remove what a container has left: %s", isolator.name, error)
    for each in removed:
        _log.warning("removed, since its container is gone: %s", each)
    return removed


def _is_there(owner: Containerizer, container_id: ContainerId) -> bool:
    return os.path.isdir(owner.paths.container_state(container_id))


def _isolators(owner: Containerizer) -> list[Isolator]:
    """All that the house has, as far as they work here: a container may have had others than are loaded."""
    found = {isolator.name: isolator for isolator in owner.isolators}
    for name in catalog.TABLE:
        if name not in found:
            try:
                (found[name],) = catalog.load([name], owner.flags, launched=True)
            except (ContainerizerError, ImportError):  # what does not work here has nothing here
                continue
    order = [*catalog.TABLE, *found]
    return sorted(found.values(), key=lambda isolator: order.index(isolator.name))
