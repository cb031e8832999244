"""Remove a pod that any process runs, or ran."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from containerizer import liveness
from containerizer.pidfds import wait_for_any
from containerizer.record import NoSuchContainer
from launcher.container_id import ContainerId

if TYPE_CHECKING:
    from containerizer.containerizer import Containerizer


def remove(owner: Containerizer, container_id: ContainerId, patience: float, *, keep: bool = False) -> None:
    """Ask whoever runs it to end it, wait so many seconds for that, then end it here, and delete it.

    `keep`: but for what it was, and its logs. Raises DestroyTimeout, CleanupFailed.
    """
    container = owner.get(str(container_id))
    record = container.record
    runner = liveness.open_process(record.owner, record.owner_started)
    if runner is not None:
        try:
            if record.termination is None and patience > 0:
                signal.pidfd_send_signal(runner, signal.SIGTERM)
                wait_for_any([runner], time.monotonic() + patience)
        finally:
            os.close(runner)
    with contextlib.suppress(NoSuchContainer):  # whoever ran it has removed it
        if keep:
            container.destroy()
        else:
            container.remove(force=True)
