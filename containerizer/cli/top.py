"""Show the processes of running containers: by their pids on the host and in the container.

Those in nested containers are among them, and behind the name of theirs.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from containerizer.cli.several import add_names
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.containerizer import Containerizer
from launcher.data import asdict

if TYPE_CHECKING:
    from containerizer.cli.template import Template
    from containerizer.processes import Process

_HEADER = ("HOST-PID", "PID", "USER", "STATE", "%CPU", "TIME", "RSS", "COMMAND")
_UNITS = ("KiB", "MiB", "GiB", "TiB")


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    add_names(parser)


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    found = {container.id: container for container in map(containerizer.get, arguments.containers)}
    show([each for container in found.values() for each in container.processes()], form=arguments.format)
    return 0


def show(processes: Sequence[Process], *, form: str | Template) -> None:
    """Those of several containers by these: a parent's, then what is nested in it."""
    unique = {each.pid: each for each in processes}.values()  # some are in two that were asked for
    processes = sorted(unique, key=lambda each: (each.container.split("."), each.pid))
    if form != "table":
        print_data([asdict(process) for process in processes], form)
    elif len({each.container for each in processes}) > 1:
        print_table(("CONTAINER", *_HEADER), [(each.container, *_row(each)) for each in processes])
    else:
        print_table(_HEADER, [_row(process) for process in processes])


def _row(process: Process) -> tuple[str, ...]:
    return (
        str(process.pid),
        "-" if process.container_pid is None else str(process.container_pid),
        process.user,
        process.state,
        f"{process.cpu_percent:.1f}",
        _time(process.cpu_seconds),
        _size(process.rss_bytes),
        shlex.join(process.command),
    )


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _size(count: int) -> str:
    size = count / 1024
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.0f} {_UNITS[-1]}"
