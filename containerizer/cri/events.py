"""What happens to containers and pods, for kubelets that listen rather than ask (GetContainerEvents)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from containerizer.cri.proto import containers_pb2 as messages
from launcher.data import Data

_MOST = 1000  # that a listener may be behind; a kubelet that lost some lists everything, as it does anyway


class Happening(Data, kw_only=True):
    """One event."""

    subject: str  # the id of a container, or of a pod: its own container's
    kind: messages.ContainerEventType
    pod_id: str
    at: int  # nanoseconds since the epoch


class Happenings:
    """Tells all who listen now. Belongs to one event loop."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Queue[Happening | None]] = []

    def tell(self, subject: str, kind: messages.ContainerEventType, pod_id: str) -> None:
        happening = Happening(subject=subject, kind=kind, pod_id=pod_id, at=time.time_ns())
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(happening)

    def close(self) -> None:
        """Nothing more happens here."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    @contextlib.contextmanager
    def heard(self) -> Iterator[asyncio.Queue[Happening | None]]:
        """From now on; None: it was the last."""
        queue: asyncio.Queue[Happening | None] = asyncio.Queue(_MOST)
        self._listeners.append(queue)
        try:
            yield queue
        finally:
            self._listeners.remove(queue)
