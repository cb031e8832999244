"""Show the processes of an agent's containers: by their pids on its host and in the container."""

from __future__ import annotations

import argparse

from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.cli.top import configure, show
from containerizer.client.commands import client_of
from containerizer.processes import Process


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    names = dict.fromkeys(client.find(name) for name in arguments.containers)
    found = [_process(each, name) for name in names for each in client.processes(name)]
    show(found, form=arguments.format)
    return 0


def _process(told: extensions.Processes.Process, asked: str) -> Process:
    return Process(
        container=told.container or asked,  # an older agent does not say
        pid=told.pid,
        parent=told.parent,
        container_pid=told.container_pid if told.HasField("container_pid") else None,
        uid=told.uid,
        user=told.user,
        state=told.state,
        cpu_seconds=told.cpu_seconds,
        cpu_percent=told.cpu_percent,
        rss_bytes=told.rss_bytes,
        command=tuple(told.command),
    )


__all__ = ["configure", "run"]
