"""Metrics: counted from the engine's events, and asked of the host and the containers when they are read.

Two forms of the same: a flat snapshot with the predecessor's keys, and the text format of Prometheus
(https://prometheus.io/docs/instrumenting/exposition_formats/), where a container is a label.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from containerizer.agent.events import Event
from containerizer.agent.timer import Timer
from containerizer.agent.usage_metrics import of_containers
from containerizer.stages import STAGES

if TYPE_CHECKING:
    from containerizer.agent.engine import Engine

# Seconds.
_LATENCIES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Counts an engine's events from now on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._started = time.time()
        self.registry = CollectorRegistry()
        self.pulling = Timer()
        self._make()
        engine.events.observe(self._count)

    def _make(self) -> None:
        registry = self.registry
        self._make_of_launches()
        self._ends = Counter(
            "containerizer_ends", "containers that have ended, by how", ["how"], registry=registry
        )
        self._removals = Counter("containerizer_removals", "containers that were removed", registry=registry)
        self._destroy_errors = Counter(
            "containerizer_destroy_errors", "attempts to destroy a container that failed", registry=registry
        )
        self._health = Counter(
            "containerizer_health_reports", "what checks have newly said", ["said"], registry=registry
        )
        self._relays = Counter(
            "containerizer_relay_failures", "processes that serve stdio and were killed", registry=registry
        )
        self._limits_reached = Counter(
            "containerizer_limits_reached",
            "limits that containers ran into and went on within, by resource",
            ["resource"],
            registry=registry,
        )
        self._recovered = Counter(
            "containerizer_recovered", "containers that were taken back at the start", registry=registry
        )
        self._pulls = Counter("containerizer_pulls", "pulls, by result", ["result"], registry=registry)
        self._pull_seconds = Histogram(
            "containerizer_pull_seconds", "pulls that succeeded", buckets=_LATENCIES, registry=registry
        )
        self._collected = Counter(
            "containerizer_sandboxes_collected",
            "sandboxes removed by age, by result",
            ["result"],
            registry=registry,
        )
        for result in ("succeeded", "failed"):
            self._collected.labels(result)
            self._pulls.labels(result)
        started = Gauge("containerizer_start_time_seconds", "when the agent was started", registry=registry)
        started.set(self._started)

    def _make_of_launches(self) -> None:
        registry = self.registry
        self._launches = Counter("containerizer_launches", "launches that succeeded", registry=registry)
        self._launch_failures = Counter(
            "containerizer_launch_failures", "launches that failed, by stage", ["stage"], registry=registry
        )
        self._launch_seconds = Histogram(
            "containerizer_launch_seconds",
            "from the request until the task runs, pulls not counted",
            buckets=_LATENCIES,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "containerizer_launch_stage_seconds",
            "of launches that succeeded, by stage",
            ["stage"],
            buckets=_LATENCIES,
            registry=registry,
        )
        for stage in ("pull", "launch", *STAGES):
            self._launch_failures.labels(stage)
        self._seconds_of = {stage: self._stage_seconds.labels(stage) for stage in STAGES}

    def _count(self, event: Event) -> None:
        seconds = event.details.get("seconds", 0.0)
        match event.kind:
            case "launched":
                self._launches.inc()
                self._launch_seconds.observe(seconds)
                for stage, spent in self._seconds_of.items():
                    if stage in event.details:
                        spent.observe(event.details[stage])
            case "launch-failed":
                self._launch_failures.labels(event.details["stage"]).inc()
            case "ended":
                self._ends.labels(_how(event.details)).inc()
            case "removed":
                self._removals.inc()
            case "destroy-failed":
                self._destroy_errors.inc()
            case "health":
                self._health.labels(_said(event.details)).inc()
            case "limit-reached":
                self._limits_reached.labels(event.details["resource"]).inc()
            case "relay-failed":
                self._relays.inc()
            case "recovered":
                self._recovered.inc()
            case "pulled":
                self.pulling.measure(seconds)
                self._pulls.labels("succeeded").inc()
                self._pull_seconds.observe(seconds)
            case "pull-failed":
                self._pulls.labels("failed").inc()
            case "collected" | "collect-failed":
                self._collected.labels("succeeded" if event.kind == "collected" else "failed").inc()

    # What is read ------------------------------------------------------------------------------

    async def text(self) -> bytes:
        """In Prometheus' format, usages of all running containers included."""
        usages = await self._engine.usages()
        return generate_latest(_Once([*self.registry.collect(), *self._gauges(), *of_containers(usages)]))

    async def snapshot(self) -> dict[str, float]:
        """Flat, with the predecessor's keys."""
        records = await self._engine.containers()
        running = [record for record in records if record.termination is None]
        value = self._value
        snapshot = {
            "containerizer/mesos/container_destroy_errors": value("containerizer_destroy_errors_total"),
            "containerizer/mesos/filesystem/containers_new_rootfs": float(
                sum(record.image not in ("", "host") for record in running)
            ),
            "containerizer/mesos/provisioner/remove_container_errors": value(
                "containerizer_destroy_errors_total"
            ),
            "gc/path_removals_pending": float(len(records) - len(running)),
            "gc/path_removals_succeeded": value(
                "containerizer_sandboxes_collected_total", result="succeeded"
            ),
            "gc/path_removals_failed": value("containerizer_sandboxes_collected_total", result="failed"),
            "slave/container_launch_errors": self._sum("containerizer_launch_failures_total"),
            "slave/recovery_errors": float(self._engine.recovery_errors),
            "slave/recovery_time_secs": self._engine.recovery_seconds,
            "slave/registered": 0.0,  # there is no master
            "slave/uptime_secs": time.time() - self._started,
            "slave/executors_running": float(len(running)),
            "slave/executors_terminated": float(len(records) - len(running)),
        }
        snapshot.update(self.pulling.snapshot("containerizer/mesos/provisioner/docker_store/image_pull_ms"))
        return snapshot | _host(self._engine.paths.root)

    def _gauges(self) -> Iterable[Metric]:
        keeper = self._engine.keeper
        yield GaugeMetricFamily("containerizer_running", "containers that run", value=keeper.running)
        yield GaugeMetricFamily(
            "containerizer_destroys_failing", "destroys that are tried again", value=len(keeper.failures)
        )
        threads = len(os.listdir("/proc/self/task"))
        yield GaugeMetricFamily("containerizer_threads", "threads of the agent", value=threads)
        descriptors = len(os.listdir("/proc/self/fd"))
        yield GaugeMetricFamily("containerizer_open_fds", "descriptors of the agent", value=descriptors)
        yield GaugeMetricFamily("containerizer_resident_bytes", "memory of the agent", value=_resident())

    def _value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def _sum(self, name: str) -> float:
        samples = (sample for metric in self.registry.collect() for sample in metric.samples)
        return sum(sample.value for sample in samples if sample.name == name)


class _Once:
    """A registry of what was collected already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _how(details: Mapping[str, object]) -> str:
    if details.get("limitation"):
        return "limitation"
    code = details.get("exit_code")
    return "unknown" if code is None else "success" if code == 0 else "failure"


def _said(details: Mapping[str, object]) -> str:
    if (healthy := details.get("healthy")) is not None:
        return "healthy" if healthy else "unhealthy"
    return "passing" if details.get("passing") else "failing"


def _host(root: str) -> dict[str, float]:
    """What the machine has, and how busy it is."""
    load = os.getloadavg()
    page = os.sysconf("SC_PAGE_SIZE")
    disk = os.statvfs(root)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    cpus = float(os.cpu_count() or 1)
    memory = float(os.sysconf("SC_PHYS_PAGES") * page)
    return {
        "system/cpus_total": cpus,
        "system/load_1min": load[0],
        "system/load_5min": load[1],
        "system/load_15min": load[2],
        "system/mem_total_bytes": memory,
        "system/mem_free_bytes": float(os.sysconf("SC_AVPHYS_PAGES") * page),
        "slave/cpus_total": cpus,
        "slave/mem_total": memory / (1 << 20),  # MB, as resources are
        "slave/disk_total": total / (1 << 20),
        "slave/disk_used": (total - free) / (1 << 20),
        "slave/disk_percent": (total - free) / total if total else 0.0,
    }


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
