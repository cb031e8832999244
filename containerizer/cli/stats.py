"""Show what running containers consume, anew every second until Ctrl-C.

CPU is of one processor: 150 % are one and a half. What nested containers use counts for those around
them, too. Without a terminal, and with --json, each look is printed below the last one; a look takes as
long as --interval says, to see what was used meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from containerizer.cli.listing import tree
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.containerizer import Containerizer
from containerizer.units import format_size
from isolators.resources import Usage
from launcher.data import asdict
from launcher.errors import InvalidRequest

USAGE = "%(prog)s [OPTION ...] [CONTAINER ...]"

_HEADER = ("CONTAINER", "CPU %", "MEMORY", "LIMIT", "MEM %", "PEAK", "PROCESSES", "NET IN/OUT", "DISK")
_CLEAR = "\x1b[H\x1b[J"  # the cursor home, and all after it erased: ECMA-48
_LEAST, _MOST = 0.05, 86_400  # seconds; what is counted in ticks of 0.01 says nothing about less


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    parser.add_argument("--no-stream", action="store_true", help="one look only")
    parser.add_argument(
        "--tree", action="store_true", help="draw which is in which; with names, what is in them"
    )
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="of a look (%(default)s)"
    )
    parser.add_argument(
        "containers", metavar="CONTAINER", nargs="*", help="names, or beginnings of names (all)"
    )


def run(arguments: argparse.Namespace) -> int:
    owner = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    interval = arguments.interval
    if not _LEAST <= interval <= _MOST:
        hint = f"use {_LEAST} to {_MOST} seconds"
        raise InvalidRequest(f"invalid interval of {interval} seconds", hint=hint)
    live = sys.stdout.isatty() and arguments.format == "table" and not arguments.no_stream
    with contextlib.suppress(KeyboardInterrupt):
        before = _look(owner, arguments)
        while True:
            began = time.monotonic()
            time.sleep(interval)
            now = _look(owner, arguments)
            percent = _percents(before, now, time.monotonic() - began)
            print(_CLEAR if live else "", end="")
            _show(now, percent, arguments)
            sys.stdout.flush()
            if arguments.no_stream:
                break
            before = now
    return 0


def _look(owner: Containerizer, arguments: argparse.Namespace) -> dict[str, Usage]:
    """What all of them have used so far, by id. Raises NoSuchContainer for a name that nobody has."""
    from containerizer import inspection

    if not arguments.containers:
        return inspection.usages(owner)
    ids = [owner.get(name).id for name in arguments.containers]
    if arguments.tree:
        around = tuple(f"{container_id}." for container_id in ids)
        return {
            name: usage for name, usage in inspection.usages(owner).items() if f"{name}.".startswith(around)
        }
    return {str(container_id): inspection.usage(owner, container_id) for container_id in ids}


def _percents(
    before: Mapping[str, Usage], now: Mapping[str, Usage], seconds: float
) -> dict[str, float | None]:
    """Of one processor's time, by id; None for one that is new, or is not measured."""
    percents: dict[str, float | None] = {}
    for name, usage in now.items():
        then, used = _cpu_seconds(before.get(name)), _cpu_seconds(usage)
        known = None if then is None or used is None else max(0.0, used - then)
        percents[name] = None if known is None else 100 * known / seconds
    return percents


def _cpu_seconds(usage: Usage | None) -> float | None:
    if usage is None or usage.cpu_user_seconds is None or usage.cpu_system_seconds is None:
        return None
    return usage.cpu_user_seconds + usage.cpu_system_seconds


def _show(
    usages: Mapping[str, Usage], percents: Mapping[str, float | None], arguments: argparse.Namespace
) -> None:
    if arguments.format != "table":
        print_data([_value(name, usage, percents[name]) for name, usage in usages.items()], arguments.format)
        return
    shown = tree([*usages]) if arguments.tree else [*usages]
    rows = zip(shown, usages.items(), strict=True)
    print_table(_HEADER, [_row(label, usage, percents[name]) for label, (name, usage) in rows])


def _value(name: str, usage: Usage, percent: float | None) -> dict[str, Any]:
    return {"container": name, "cpu_percent": None if percent is None else round(percent, 2), **asdict(usage)}


def _row(name: str, usage: Usage, percent: float | None) -> tuple[str, ...]:
    used, limit = usage.memory_bytes, usage.memory_limit_bytes
    return (
        name,
        "-" if percent is None else f"{percent:.1f}",
        _size(used),
        _size(limit),
        "-" if used is None or not limit else f"{100 * used / limit:.1f}",
        _size(usage.memory_peak_bytes),
        "-" if usage.processes is None else str(usage.processes),
        "-" if usage.network_rx_bytes is None else _traffic(usage),
        "-" if usage.disk_bytes is None else _disk(usage),
    )


def _traffic(usage: Usage) -> str:
    return f"{_size(usage.network_rx_bytes)} / {_size(usage.network_tx_bytes)}"


def _disk(usage: Usage) -> str:
    used, limit = _size(usage.disk_bytes), _size(usage.disk_limit_bytes)
    return used if usage.disk_limit_bytes is None else f"{used} / {limit}"


def _size(count: int | None) -> str:
    return "-" if count is None else format_size(count)
