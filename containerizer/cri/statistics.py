"""What containers and pods consume: by the figures of the agent, at most a second old."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping

from containerizer.cri import filters, usage
from containerizer.cri.errors import NotNow
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import statistics_pb2 as messages
from containerizer.cri.proto.containers_pb2 import CONTAINER_RUNNING
from containerizer.cri.proto.pods_pb2 import SANDBOX_READY
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod
from containerizer.cri.service import Service
from containerizer.cri.store import id_of
from containerizer.record import NoSuchContainer
from isolators.resources import Usage

_DISK_EVERY = 30.0  # seconds between two looks at what a container has written


class StatisticsCalls:
    """Those calls."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store
        self._rates = usage.Rates()
        self._written: dict[str, tuple[float, common.FilesystemUsage]] = {}  # by id, and when

    async def container_stats(
        self, request: messages.ContainerStatsRequest
    ) -> messages.ContainerStatsResponse:
        container = self._store.container(request.container_id)
        if container.state != CONTAINER_RUNNING:
            raise NotNow(f"container {container.id} is not running")
        return messages.ContainerStatsResponse(stats=await self._of_container(container, {}))

    async def list_container_stats(
        self, request: messages.ListContainerStatsRequest
    ) -> messages.ListContainerStatsResponse:
        return messages.ListContainerStatsResponse(stats=await self._containers(request.filter))

    async def stream_container_stats(
        self, request: messages.StreamContainerStatsRequest
    ) -> AsyncIterator[messages.StreamContainerStatsResponse]:
        stats = await self._containers(request.filter)
        yield messages.StreamContainerStatsResponse(container_stats=stats)

    async def pod_sandbox_stats(
        self, request: messages.PodSandboxStatsRequest
    ) -> messages.PodSandboxStatsResponse:
        pod = self._store.pod(request.pod_sandbox_id)
        if pod.state != SANDBOX_READY:
            raise NotNow(f"pod sandbox {pod.id} is not ready")
        return messages.PodSandboxStatsResponse(stats=await self._of_pod(pod, {}))

    async def list_pod_sandbox_stats(
        self, request: messages.ListPodSandboxStatsRequest
    ) -> messages.ListPodSandboxStatsResponse:
        return messages.ListPodSandboxStatsResponse(stats=await self._pods(request.filter))

    async def stream_pod_sandbox_stats(
        self, request: messages.StreamPodSandboxStatsRequest
    ) -> AsyncIterator[messages.StreamPodSandboxStatsResponse]:
        stats = await self._pods(request.filter)
        yield messages.StreamPodSandboxStatsResponse(pod_sandbox_stats=stats)

    # How ---------------------------------------------------------------------------------------

    async def _containers(self, wanted: messages.ContainerStatsFilter) -> list[messages.ContainerStats]:
        usages = await self._service.engine.usages()
        self._rates.keep(set(self._store.containers) | set(self._store.pods))
        found = filters.containers_of(self._store.containers.values(), wanted)
        running = [each for each in found if each.state == CONTAINER_RUNNING]
        return [await self._of_container(each, usages) for each in running]

    async def _pods(self, wanted: messages.PodSandboxStatsFilter) -> list[messages.PodSandboxStats]:
        usages = await self._service.engine.usages()
        found = filters.pods_of(self._store.pods.values(), wanted)
        return [await self._of_pod(each, usages) for each in found if each.state == SANDBOX_READY]

    async def _of_container(
        self, container: StoredContainer, usages: Mapping[str, Usage]
    ) -> messages.ContainerStats:
        measured = await measured_of(self._service, container, usages)
        return messages.ContainerStats(
            attributes=messages.ContainerAttributes(
                id=container.id,
                metadata=container.config.metadata,
                labels=container.config.labels,
                annotations=container.config.annotations,
            ),
            cpu=usage.cpu(container.id, measured, self._rates),
            memory=usage.memory(measured),
            swap=usage.swap(measured),
            writable_layer=await self.writable_layer(container),
        )

    async def _of_pod(self, pod: StoredPod, usages: Mapping[str, Usage]) -> messages.PodSandboxStats:
        """What is in it counts, for its cgroups are around theirs."""
        measured = await measured_of(self._service, pod, usages)
        running = [each for each in self._store.within(pod.id) if each.state == CONTAINER_RUNNING]
        return messages.PodSandboxStats(
            attributes=messages.PodSandboxAttributes(
                id=pod.id,
                metadata=pod.config.metadata,
                labels=pod.config.labels,
                annotations=pod.config.annotations,
            ),
            linux=messages.LinuxPodSandboxStats(
                cpu=usage.cpu(pod.id, measured, self._rates),
                memory=usage.memory(measured),
                network=usage.network(measured),
                process=usage.processes(measured),
                containers=[await self._of_container(each, usages) for each in running],
            ),
        )

    async def writable_layer(self, container: StoredContainer) -> common.FilesystemUsage:
        """Looking takes a while where much was written: so the last look counts for some time."""
        now = time.monotonic()
        for gone in self._written.keys() - self._store.containers.keys():
            del self._written[gone]
        if container.id not in self._written or now - self._written[container.id][0] >= _DISK_EVERY:
            directory = self._service.engine.paths.sandbox(id_of(container))
            size = await self._service.engine.call(lambda owner: owner.provisioner.writable_size(directory))
            self._written[container.id] = now, self._filesystem(size)
        return self._written[container.id][1]

    def _filesystem(self, size: int) -> common.FilesystemUsage:
        return common.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=common.FilesystemIdentifier(mountpoint=self._service.engine.paths.root),
            used_bytes=common.UInt64Value(value=size),
        )


async def measured_of(
    service: Service, what: StoredPod | StoredContainer, usages: Mapping[str, Usage]
) -> Usage:
    """By the figures of all if they have it: what is younger than they are is measured now."""
    container_id = id_of(what)
    with contextlib.suppress(NoSuchContainer):
        return usages.get(str(container_id)) or await service.engine.usage(container_id)
    return Usage()
