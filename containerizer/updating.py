"""Other limits for a running container: what is not named stays as it was.

The limits of the launch are in the container's record, which is its launcher's to write; those in force
since an update have a file beside it. So whoever updates next, after any restart, knows all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from containerizer import admissible, checkpoint, liveness
from containerizer import record as records
from containerizer.blame import named
from containerizer.containerizer import Containerizer
from containerizer.ending import Ending
from containerizer.record import ContainerRecord
from containerizer.remote import NotRunning
from isolators.isolator import Isolator
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest


def update(owner: Containerizer, container_id: ContainerId, resources: Resources) -> None:
    """Raises NoSuchContainer, NotRunning, InvalidRequest for limits that make no sense or that none of its
    isolators enforces, and ContainerizerError where the kernel refuses one: then all are as they were.
    """
    end = Ending.open(owner.paths, container_id)
    if end is None:
        raise records.unknown(container_id)
    with end, end.locked():  # one at a time; and nobody takes the container back meanwhile
        _update(owner, records.load(owner.paths, container_id), resources)


def _update(owner: Containerizer, record: ContainerRecord, resources: Resources) -> None:
    if not liveness.is_running(record) or liveness.is_launching(record):
        raise NotRunning(f"container {record.id} is not running", hint="look at its state")
    isolators = owner.isolators_of(record)
    asked = resources.limits()
    for resource in admissible.unenforced(isolators, asked):
        hint = "launch it with the isolator that does"
        if record.shares_cgroups:
            hint = f"it is in the cgroups of {record.id.parent}: update that"
        raise InvalidRequest(f"no isolator of container {record.id} enforces {resource}", hint=hint)
    before = limits = in_force(owner, record)
    concerned = [isolator for isolator in isolators if not isolator.enforces.isdisjoint(asked)]
    admissible.check_limits(concerned, Resources(**_merged(limits, asked)))  # some make sense together only
    begun: list[Isolator] = []
    try:
        for isolator in concerned:
            if changed := {name: value for name, value in asked.items() if name in isolator.enforces}:
                limits = _merged(limits, changed)
                begun.append(isolator)
                with named(isolator):
                    isolator.update(record.id, Resources(**limits))
        checkpoint.write(owner.paths.limits(record.id), limits)
    except BaseException as error:
        _take_back(record.id, begun, Resources(**before), error)
        raise


def _take_back(
    container_id: ContainerId, begun: Sequence[Isolator], before: Resources, cause: BaseException
) -> None:
    """Make the limits those of before the update, also of what was refused: a part of it may be in force."""
    for isolator in reversed(begun):
        try:
            isolator.update(container_id, before)
        except (ContainerizerError, OSError) as error:
            cause.add_note(f"and the limits of before cannot be put back: {isolator.name}: {error}")


def _merged(limits: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """What is changed goes before; of several limits by name, those that are named."""
    maps = {name: new for name, new in changed.items() if isinstance(new, dict)}
    return {**limits, **changed, **{name: {**limits.get(name, {}), **new} for name, new in maps.items()}}


def in_force(owner: Containerizer, record: ContainerRecord) -> dict[str, Any]:
    """The limits that the container has now, by the names of Resources."""
    return dict(checkpoint.read(owner.paths.limits(record.id)) or record.limits)
