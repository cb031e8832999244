"""GetContainerEvents: a stream of what happens, with the state of the pod then."""

from __future__ import annotations

from collections.abc import AsyncIterator

from containerizer.cri import told
from containerizer.cri.proto import containers_pb2 as messages
from containerizer.cri.service import Service


class ListeningCalls:
    """That call."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def get_container_events(
        self, request: messages.GetEventsRequest
    ) -> AsyncIterator[messages.ContainerEventResponse]:
        """From now on, until nobody listens. A pod that is gone by then is left out."""
        store = self._service.store
        with self._service.happenings.heard() as queue:
            while (happening := await queue.get()) is not None:
                answer = messages.ContainerEventResponse(
                    container_id=happening.subject,
                    container_event_type=happening.kind,
                    created_at=happening.at,
                )
                pod = store.pods.get(happening.pod_id)
                if pod is not None:
                    answer.pod_sandbox_status.CopyFrom(told.pod_status(pod))
                    answer.containers_statuses.extend(map(told.container_status, store.within(pod.id)))
                yield answer
