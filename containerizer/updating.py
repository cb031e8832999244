"""Other limits for a running container: what is not named stays as it was.

The limits of the launch are in the container's record, which is its launcher's to write; those in force
since an update have a file beside it. So whoever updates next, after any restart, knows all of them.
"""

from __future__ import annotations

from typing import Any

from containerizer import checkpoint, liveness
from containerizer import record as records
from containerizer.blame import named
from containerizer.containerizer import Containerizer
from containerizer.record import ContainerRecord
from containerizer.remote import NotRunning
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest


def update(owner: Containerizer, container_id: ContainerId, resources: Resources) -> None:
    """Raises NoSuchContainer, NotRunning, InvalidRequest for what none of its isolators enforces, and
    ContainerizerError where the kernel refuses a limit: those before it are in force then.
    """
    record = records.load(owner.paths, container_id)
    if not liveness.is_running(record) or liveness.is_launching(record):
        raise NotRunning(f"container {container_id} is not running", hint="look at its state")
    isolators = owner.isolators_of(record)
    enforced = frozenset[str]().union(*(isolator.enforces for isolator in isolators))
    for resource in sorted(resources.asked() - enforced):
        hint = "launch it with the isolator that does"
        raise InvalidRequest(f"no isolator of container {container_id} enforces {resource}", hint=hint)
    limits = in_force(owner, record)
    for isolator in isolators:
        if changed := isolator.enforces & resources.asked():
            after = limits | {name: resources.limits()[name] for name in changed}
            with named(isolator):
                isolator.update(container_id, Resources(**after))
            limits = after
            checkpoint.write(owner.paths.limits(container_id), limits)


def in_force(owner: Containerizer, record: ContainerRecord) -> dict[str, Any]:
    """The limits that the container has now, by the names of Resources."""
    return dict(checkpoint.read(owner.paths.limits(record.id)) or record.limits)
