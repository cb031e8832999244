"""Pods of an agent, which runs them: `pod run -d`, `pod ps`, `pod logs` and `pod rm`."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from containerizer.api.ids import to_id
from containerizer.api.proto import pods_pb2 as pods
from containerizer.cli import pod, registry_options
from containerizer.cli.several import each
from containerizer.cli.table import print_data, print_table
from containerizer.client.commands import client_of, logs
from containerizer.pods import manifest
from containerizer.pods.status import MemberStatus, PodStatus
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest

configure = pod.configure


def run(arguments: argparse.Namespace) -> int:
    return {"run": _run, "ps": _ps, "logs": _logs, "rm": _rm}[arguments.pod_command](arguments)


def _run(arguments: argparse.Namespace) -> int:
    if not arguments.detach:
        raise InvalidRequest("an agent runs pods by itself", hint="add -d; `logs -f` and `wait` follow")
    names = ("isolation", "image_provisioner_backend", *registry_options.NAMES)
    if any(getattr(arguments, name) for name in names):
        raise InvalidRequest("isolators and registries cannot be chosen with --agent", hint="it has its own")
    text = pod.read(arguments.file)
    name = manifest.parse(text, arguments.file).name
    ignored = client_of(arguments).run_pod(name, text, remove=arguments.rm)
    if ignored:
        what = ", ".join(ignored)
        print(f"containerizer: {name}: without meaning on one host: {what}", file=sys.stderr)
    print(name, flush=True)
    return 0


def _ps(arguments: argparse.Namespace) -> int:
    found = [_status(told) for told in client_of(arguments).pods()]
    if arguments.format != "table":
        print_data([status.to_json() for status in found], arguments.format)
    else:
        print_table(pod.HEADER, [pod.row(status) for status in found])
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    client, name = client_of(arguments), _named(arguments.container)
    members = [_status(told).members for told in client.pods() if told.container_id.value == name]
    if not members:
        raise InvalidRequest(f"there is no pod {name}", hint="`pod ps` lists them")
    container_id = pod.member_of(ContainerId(name), members[0], arguments.member)
    logs.follow(client, str(container_id), arguments, previous=arguments.previous)
    return 0


def _rm(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    names = [_named(name) for name in arguments.pods]
    return each(names, partial(client.remove_pod, force=arguments.force))


def _named(name: str) -> str:
    return manifest.parse(pod.read(name), name).name if "/" in name or os.path.isfile(name) else name


def _status(told: pods.Pod) -> PodStatus:
    members = tuple(
        MemberStatus(
            name=to_id(member.container_id).name,
            state=member.state,
            init=member.init,
            ready=member.ready,
            restarts=member.restarts,
            exit_code=member.exit_code if member.HasField("exit_code") else None,
            message=member.message,
        )
        for member in told.members
    )
    return PodStatus(
        name=told.container_id.value,
        phase=told.phase,
        message=told.message,
        created_at=told.created_at,
        members=members,
    )
