"""What isolators measure, in the words of the CRI: pure, but for the clock."""

from __future__ import annotations

import time
from typing import Any

from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import statistics_pb2 as messages
from isolators.resources import Usage

_NANOSECONDS = 1_000_000_000
_INTERFACE = "eth0"


class Rates:
    """CPU time since the last look: how many cores that were, in nanoseconds a second."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int, int]] = {}  # id → when, CPU time, the rate then

    def rate(self, id_: str, at: int, used: int) -> int | None:
        """None at the first look. Looks in one and the same second tell the same."""
        before = self._last.get(id_)
        if before is None:
            self._last[id_] = (at, used, -1)
            return None
        when, had, rate = before
        if at - when >= _NANOSECONDS:
            rate = max(0, (used - had) * _NANOSECONDS // (at - when))
            self._last[id_] = (at, used, rate)
        return None if rate < 0 else rate

    def keep(self, ids: set[str]) -> None:
        """Forget all others."""
        for gone in self._last.keys() - ids:
            del self._last[gone]


def working_set(usage: Usage) -> int | None:
    """What cannot be taken back at once: kubelets evict by it."""
    if usage.memory_bytes is None:
        return None
    return max(0, usage.memory_bytes - (usage.memory_inactive_file_bytes or 0))


def cpu_nanoseconds(usage: Usage) -> int | None:
    if usage.cpu_user_seconds is None:
        return None
    return int((usage.cpu_user_seconds + (usage.cpu_system_seconds or 0.0)) * _NANOSECONDS)


def cpu(id_: str, usage: Usage, rates: Rates) -> messages.CpuUsage:
    now, used = time.time_ns(), cpu_nanoseconds(usage)
    rate = None if used is None else rates.rate(id_, now, used)
    return messages.CpuUsage(timestamp=now, **_given(usage_core_nano_seconds=used, usage_nano_cores=rate))


def memory(usage: Usage) -> messages.MemoryUsage:
    used = working_set(usage)
    limit = usage.memory_limit_bytes
    left = None if limit is None or used is None else max(0, limit - used)
    return messages.MemoryUsage(
        timestamp=time.time_ns(),
        **_given(
            working_set_bytes=used,
            available_bytes=left,
            usage_bytes=usage.memory_bytes,
            rss_bytes=usage.memory_anon_bytes,
            page_faults=usage.page_faults,
            major_page_faults=usage.major_page_faults,
        ),
    )


def swap(usage: Usage) -> messages.SwapUsage:
    return messages.SwapUsage(timestamp=time.time_ns(), **_given(swap_usage_bytes=usage.memory_swap_bytes))


def network(usage: Usage) -> messages.NetworkUsage:
    """Of all interfaces but loopback together: a pod has one."""
    interface = messages.NetworkInterfaceUsage(
        name=_INTERFACE,
        **_given(
            rx_bytes=usage.network_rx_bytes,
            rx_errors=usage.network_rx_errors,
            tx_bytes=usage.network_tx_bytes,
            tx_errors=usage.network_tx_errors,
        ),
    )
    return messages.NetworkUsage(
        timestamp=time.time_ns(), default_interface=interface, interfaces=[interface]
    )


def processes(usage: Usage) -> messages.ProcessUsage:
    return messages.ProcessUsage(timestamp=time.time_ns(), **_given(process_count=usage.processes))


def _given(**values: int | None) -> dict[str, Any]:
    """What was measured."""
    return {name: common.UInt64Value(value=value) for name, value in values.items() if value is not None}
