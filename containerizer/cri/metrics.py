"""Metrics of pods and containers, for kubelets that ask here instead of looking themselves."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from containerizer import open_files
from containerizer import record as records
from containerizer.containerizer import Containerizer
from containerizer.cri.metric_kinds import BASE_LABELS, OF_CONTAINERS, OF_NETWORKS, MetricKind, Seen
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import statistics_pb2 as messages
from containerizer.cri.proto.containers_pb2 import CONTAINER_RUNNING
from containerizer.cri.proto.pods_pb2 import SANDBOX_READY
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod
from containerizer.cri.service import NANOSECONDS, Service
from containerizer.cri.statistics import StatisticsCalls, measured_of
from containerizer.cri.store import id_of
from containerizer.open_files import OpenFiles
from containerizer.record import NoSuchContainer
from isolators.resources import Usage

_INTERFACE = "eth0"  # a pod has one, by whatever name


class MetricsCalls:
    """Those calls."""

    def __init__(self, service: Service, statistics: StatisticsCalls) -> None:
        self._service = service
        self._statistics = statistics

    async def list_metric_descriptors(
        self, request: messages.ListMetricDescriptorsRequest
    ) -> messages.ListMetricDescriptorsResponse:
        answer = messages.ListMetricDescriptorsResponse()
        for kinds, further in ((OF_CONTAINERS, ()), (OF_NETWORKS, ("interface",))):
            for kind in kinds:
                labels = (*BASE_LABELS, *further, *kind.labels)
                answer.descriptors.add(name=kind.name, help=kind.help, label_keys=labels)
        return answer

    async def list_pod_sandbox_metrics(
        self, request: messages.ListPodSandboxMetricsRequest
    ) -> messages.ListPodSandboxMetricsResponse:
        return messages.ListPodSandboxMetricsResponse(pod_metrics=await self._all())

    async def stream_pod_sandbox_metrics(
        self, request: messages.StreamPodSandboxMetricsRequest
    ) -> AsyncIterator[messages.StreamPodSandboxMetricsResponse]:
        yield messages.StreamPodSandboxMetricsResponse(pod_sandbox_metrics=await self._all())

    async def _all(self) -> list[messages.PodSandboxMetrics]:
        usages = await self._service.engine.usages()
        pods = [pod for pod in self._service.store.pods.values() if pod.state == SANDBOX_READY]
        return [await self._of_pod(pod, usages) for pod in pods]

    async def _of_pod(self, pod: StoredPod, usages: Mapping[str, Usage]) -> messages.PodSandboxMetrics:
        used = await measured_of(self._service, pod, usages)
        seen = Seen(usage=used, at=time.time(), started=pod.created_at / NANOSECONDS)
        labels = _labels(pod, "", pod.id, "")
        metrics = [
            *_metrics(OF_CONTAINERS, seen, labels),
            *_metrics(OF_NETWORKS, seen, (*labels, _INTERFACE)),
        ]
        told = messages.PodSandboxMetrics(pod_sandbox_id=pod.id, metrics=metrics)
        for each in self._service.store.within(pod.id):
            if each.state == CONTAINER_RUNNING:
                of_it = _labels(pod, each.config.metadata.name, each.id, each.image_ref)
                found = _metrics(OF_CONTAINERS, await self._seen(each, usages), of_it)
                told.container_metrics.add(container_id=each.id, metrics=found)
        return told

    async def _seen(self, container: StoredContainer, usages: Mapping[str, Usage]) -> Seen:
        layer = await self._statistics.writable_layer(container)
        files, filesystem = None, None
        with contextlib.suppress(NoSuchContainer):  # removed meanwhile
            files, filesystem = await self._service.engine.call(lambda owner: _looked_at(owner, container))
        return Seen(
            usage=await measured_of(self._service, container, usages),
            at=time.time(),
            started=container.started_at / NANOSECONDS,
            resources=container.resources,
            open_files=files,
            written=layer.used_bytes.value,
            filesystem=filesystem,
        )


def _looked_at(owner: Containerizer, container: StoredContainer) -> tuple[OpenFiles, os.statvfs_result]:
    record = records.load(owner.paths, id_of(container))
    return open_files.of_container(owner, record), os.statvfs(owner.paths.root)


def _labels(pod: StoredPod, container: str, id_: str, image: str) -> tuple[str, ...]:
    metadata = pod.config.metadata
    return container, id_, image, id_, metadata.namespace, metadata.name


def _metrics(kinds: Iterable[MetricKind], seen: Seen, labels: Sequence[str]) -> Iterator[messages.Metric]:
    """Values are whole numbers there."""
    now = time.time_ns()
    for kind in kinds:
        for own, value in kind.series(seen):
            yield messages.Metric(
                name=kind.name,
                timestamp=now,
                metric_type=messages.COUNTER if kind.counts else messages.GAUGE,
                label_values=(*labels, *own),
                value=common.UInt64Value(value=int(value)),
            )
