"""A launch in progress, from its request on: what is known of a container that may have no record yet."""

from __future__ import annotations

import asyncio
import time

from containerizer.record import ContainerRecord
from containerizer.request import ContainerRequest


class Admission:
    """Belongs to one event loop."""

    def __init__(self, request: ContainerRequest) -> None:
        self.record = ContainerRecord(
            container_id=str(request.container_id),
            image=request.image,
            state="provisioning",
            created_at=time.time(),
        )
        self.given_up = False  # somebody wants it destroyed
        self.over = asyncio.Event()
