"""How a container ended whose launcher is gone: told from what it has left on disk and in its isolators.

The supervisor has recorded the exit status, unless it was killed; then the kernel has killed the
task with it. A limit that nobody watched is told by the isolators, from what the kernel has counted.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Sequence

from containerizer import reached
from containerizer.lifecycle import State
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from containerizer.termination import Termination
from isolators.isolator import Isolator
from isolators.resources import Limitation
from launcher import exit_record
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError
from launcher.exit_record import ExitRecord
from launcher.exit_status import ExitStatus


def examine(paths: Paths, record: ContainerRecord, isolators: Sequence[Isolator]) -> ContainerRecord:
    """The record with how and when it ended.

    Saved before anything is taken back: a clean-up that fails by halves may take what tells of it.
    """
    if record.termination is not None:
        return record
    recorded = _read(paths, record.id)
    for limitation in reached.counted(paths, record, isolators):
        reached.note(paths, record.id, limitation)
    ended = replace(
        record,
        state=State.DESTROYING.value,
        termination=_termination(paths, record.id, isolators).to_json(),
        finished_at=recorded.finished_at if recorded else time.time(),
    )
    ended.save(paths)
    return ended


def recorded(paths: Paths, container_id: ContainerId) -> Termination | None:
    """What the supervisor has recorded."""
    record = _read(paths, container_id)
    return None if record is None else Termination(exit_status=record.status)


def _read(paths: Paths, container_id: ContainerId) -> ExitRecord | None:
    try:
        return exit_record.read(paths.exit_status(container_id))
    except (FileNotFoundError, ValueError):  # or it was being written when the machine stopped
        return None


def _termination(paths: Paths, container_id: ContainerId, isolators: Sequence[Isolator]) -> Termination:
    termination = recorded(paths, container_id) or _killed()
    if termination.exit_code == 0:  # it went on after the limit, which so has not ended it
        return termination
    return replace(termination, limitation=_limitation(container_id, isolators))


def _limitation(container_id: ContainerId, isolators: Sequence[Isolator]) -> Limitation | None:
    """An isolator that cannot tell does not keep the container from being taken back."""
    for isolator in isolators:
        with contextlib.suppress(ContainerizerError, OSError):
            if found := isolator.limitation(container_id):
                return found
    return None


def _killed() -> Termination:
    return Termination(exit_status=ExitStatus(signal=signal.SIGKILL))
