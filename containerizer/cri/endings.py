"""How a container ended, in the words of the CRI."""

from __future__ import annotations

import time

from containerizer.cri.proto.containers_pb2 import CONTAINER_EXITED
from containerizer.cri.proto.stored_pb2 import StoredContainer
from containerizer.termination import Termination
from launcher.errors import ContainerizerError

COMPLETED, ERROR, OOM_KILLED = "Completed", "Error", "OOMKilled"
START_ERROR, UNKNOWN = "StartError", "ContainerStatusUnknown"

_NEVER_RAN = 128  # the exit code of what could not be started, as other runtimes have it
_LOST = 255  # of what nobody has seen end


def ended(container: StoredContainer, termination: Termination, finished_at: int) -> None:
    """Note it; nanoseconds since the epoch.

    A kubelet puts the message before what the container has left in its termination log, which programs
    read: so there is none that the exit code says, too.
    """
    container.state = CONTAINER_EXITED
    container.finished_at = max(finished_at, container.started_at)
    container.exit_code = termination.exit_code
    container.reason = _reason(termination)
    container.message = termination.message if termination.limitation is not None else ""


def failed(container: StoredContainer, error: ContainerizerError | OSError) -> None:
    """It could not be started."""
    container.state = CONTAINER_EXITED
    container.finished_at = time.time_ns()
    container.exit_code = _NEVER_RAN
    container.reason, container.message = START_ERROR, str(error)


def lost(container: StoredContainer) -> None:
    """It has ended, and nobody knows how: at a reboot, or by the hand of somebody else."""
    container.state = CONTAINER_EXITED
    container.finished_at = time.time_ns()
    container.exit_code = _LOST
    container.reason, container.message = UNKNOWN, "nobody has seen it end"


def _reason(termination: Termination) -> str:
    if termination.limitation is not None and termination.limitation.resource == "memory":
        return OOM_KILLED
    return COMPLETED if termination.exit_code == 0 else ERROR
