"""Metrics of pods and containers under the names that cAdvisor has given them, for kubelets that ask here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

from containerizer.cri import usage
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import statistics_pb2 as messages
from containerizer.cri.proto.containers_pb2 import CONTAINER_RUNNING
from containerizer.cri.proto.pods_pb2 import SANDBOX_READY
from containerizer.cri.service import Service
from containerizer.cri.statistics import measured_of
from isolators.resources import Usage
from launcher.data import Data

_LABELS = ("id", "name", "image")
_INTERFACE_LABELS = (*_LABELS, "interface")


class _Kind(Data):
    name: str
    help: str
    value: Callable[[Usage], float | None]
    counts: bool = True  # or it goes up and down


_OF_CONTAINERS = (
    _Kind("container_cpu_user_seconds_total", "seconds in programs", lambda u: u.cpu_user_seconds),
    _Kind("container_cpu_system_seconds_total", "seconds in the kernel", lambda u: u.cpu_system_seconds),
    _Kind(
        "container_cpu_usage_seconds_total",
        "seconds of processors",
        lambda u: None if u.cpu_user_seconds is None else u.cpu_user_seconds + (u.cpu_system_seconds or 0),
    ),
    _Kind("container_cpu_cfs_periods_total", "periods within a limit", lambda u: u.cpu_periods),
    _Kind("container_cpu_cfs_throttled_periods_total", "periods held up", lambda u: u.cpu_throttled_periods),
    _Kind("container_memory_usage_bytes", "memory in use", lambda u: u.memory_bytes, counts=False),
    _Kind("container_memory_working_set_bytes", "of that, what cannot go", usage.working_set, counts=False),
    _Kind("container_memory_rss", "memory of programs", lambda u: u.memory_anon_bytes, counts=False),
    _Kind("container_memory_cache", "cache of files", lambda u: u.memory_file_bytes, counts=False),
    _Kind("container_memory_swap", "swap in use", lambda u: u.memory_swap_bytes, counts=False),
    _Kind("container_memory_max_usage_bytes", "the most ever", lambda u: u.memory_peak_bytes, counts=False),
    _Kind("container_spec_memory_limit_bytes", "its limit", lambda u: u.memory_limit_bytes, counts=False),
    _Kind("container_processes", "processes", lambda u: u.processes, counts=False),
    _Kind("container_threads", "threads", lambda u: u.threads, counts=False),
    _Kind("container_fs_reads_bytes_total", "bytes read from disks", lambda u: u.io_read_bytes),
    _Kind("container_fs_writes_bytes_total", "bytes written to disks", lambda u: u.io_written_bytes),
)
_OF_NETWORKS = (
    _Kind("container_network_receive_bytes_total", "bytes received", lambda u: u.network_rx_bytes),
    _Kind("container_network_receive_packets_total", "packets received", lambda u: u.network_rx_packets),
    _Kind("container_network_receive_errors_total", "errors", lambda u: u.network_rx_errors),
    _Kind("container_network_transmit_bytes_total", "bytes sent", lambda u: u.network_tx_bytes),
    _Kind("container_network_transmit_packets_total", "packets sent", lambda u: u.network_tx_packets),
    _Kind("container_network_transmit_errors_total", "errors", lambda u: u.network_tx_errors),
)


class MetricsCalls:
    """Those calls."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def list_metric_descriptors(
        self, request: messages.ListMetricDescriptorsRequest
    ) -> messages.ListMetricDescriptorsResponse:
        answer = messages.ListMetricDescriptorsResponse()
        for kinds, labels in ((_OF_CONTAINERS, _LABELS), (_OF_NETWORKS, _INTERFACE_LABELS)):
            for kind in kinds:
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
        found = []
        for pod in list(self._service.store.pods.values()):
            if pod.state != SANDBOX_READY:
                continue
            own = await measured_of(self._service, pod, usages)
            labels = (pod.id, pod.config.metadata.name, "")
            metrics = [
                *_metrics(_OF_CONTAINERS, own, labels),
                *_metrics(_OF_NETWORKS, own, (*labels, "eth0")),
            ]
            told = messages.PodSandboxMetrics(pod_sandbox_id=pod.id, metrics=metrics)
            for each in self._service.store.within(pod.id):
                if each.state == CONTAINER_RUNNING:
                    used = await measured_of(self._service, each, usages)
                    of_it = (each.id, each.config.metadata.name, each.image_ref)
                    told.container_metrics.add(
                        container_id=each.id, metrics=_metrics(_OF_CONTAINERS, used, of_it)
                    )
            found.append(told)
        return found


def _metrics(kinds: tuple[_Kind, ...], measured: Usage, labels: tuple[str, ...]) -> Iterator[messages.Metric]:
    """Values are whole numbers there."""
    now = time.time_ns()
    for kind in kinds:
        value = kind.value(measured)
        if value is not None:
            yield messages.Metric(
                name=kind.name,
                timestamp=now,
                metric_type=messages.COUNTER if kind.counts else messages.GAUGE,
                label_values=labels,
                value=common.UInt64Value(value=int(value)),
            )
