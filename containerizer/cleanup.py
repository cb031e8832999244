"""Take back what the isolators of a container have made on the host, also after the launcher is gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from containerizer.paths import Paths
from isolators.isolator import Isolator
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError

# Where the packages lie, which may be a checkout that is not installed.
_IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_COMMAND = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from containerizer.__main__ import command; command()"
)


class CleanupFailed(ContainerizerError):
    """Something of a container could not be taken back; the message names each part and its cause."""


def take_back(container_id: ContainerId, isolators: Sequence[Isolator]) -> None:
    """Have every isolator clean up, the last first; one that fails does not spare the others.

    Raises CleanupFailed.
    """
    failures = []
    for isolator in reversed(isolators):
        try:
            isolator.cleanup(container_id)
        except (ContainerizerError, OSError) as error:
            failures.append(f"{isolator.name}: {error}")
    if failures:
        raise CleanupFailed(f"cannot clean up container {container_id}: {'; '.join(failures)}")


def reaper(paths: Paths, container_id: ContainerId) -> tuple[str, ...]:
    """The command in which a supervisor ends that outlived us: it cleans up in our place."""
    directories = ("--root", paths.root, "--state", paths.state)
    return (sys.executable, "-I", "-c", _COMMAND, _IMPORT_ROOT, *directories, "reap", str(container_id))
