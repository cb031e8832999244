"""Pods of an agent, which runs them: `pod run`, `pod ps`, `pod logs` and `pod rm`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial

from containerizer.api.ids import to_id
from containerizer.api.proto import pods_pb2 as pods
from containerizer.cli import pod, registry_options
from containerizer.cli.several import each
from containerizer.cli.table import print_data, print_table
from containerizer.client.client import AgentClient
from containerizer.client.commands import client_of, logs
from containerizer.client.pod_output import PodOutput
from containerizer.client.registries import refuse
from containerizer.pods import manifest
from containerizer.pods.manifest import PodManifest
from containerizer.pods.policy import Phase
from containerizer.pods.status import MemberStatus, PodStatus
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest

_OF_AGENT = (  # options that it has for all
    *("isolation", "network", "best_effort", "seccomp_profile_root", "image_provisioner_backend"),
)
configure = pod.configure


def run(arguments: argparse.Namespace) -> int:
    return {"run": _run, "ps": _ps, "logs": _logs, "rm": _rm}[arguments.pod_command](arguments)


def _run(arguments: argparse.Namespace) -> int:
    refuse(arguments, (*_OF_AGENT, *registry_options.NAMES))
    text = pod.read(arguments.file)
    asked = manifest.parse(text, arguments.file)
    name, client = asked.name, client_of(arguments)
    ignored = client.run_pod(name, text, remove=arguments.rm and arguments.detach)
    if ignored:
        what = ", ".join(ignored)
        print(f"containerizer: {name}: without meaning on one host: {what}", file=sys.stderr)
    if not arguments.detach:
        return _attend(client, asked, remove=arguments.rm)
    print(name, flush=True)
    return 0


def _attend(client: AgentClient, asked: PodManifest, *, remove: bool) -> int:
    """Show what it writes until it has ended. A signal asks it to end, and a second one ends it."""
    printed, last = pod.Lines(), pods.Pod()
    output = PodOutput(client, asked.name, printed)
    with client.follow_pod(asked.name) as statuses, _ending(client, asked.name):
        for last in statuses:
            output.see(last)
        output.finish()
    printed.flush()
    ended = _status(last)
    for member in ended.members:
        if member.exit_code:
            print(f"containerizer: {asked.name}.{member.name}: {member.message}", file=sys.stderr)
    if ended.message:
        print(f"containerizer: {asked.name}: {ended.message}", file=sys.stderr)
    if remove:
        client.remove_pod(asked.name, force=True)
    return _exit_code(ended, asked)


@contextlib.contextmanager
def _ending(client: AgentClient, name: str) -> Iterator[None]:
    asked: list[threading.Thread] = []

    def end() -> None:
        force = len(asked) > 1
        try:
            client.remove_pod(name, force=force, keep=True)
        except ContainerizerError as error:
            print(f"containerizer: {name}: {error}", file=sys.stderr)

    def ask(*_: object) -> None:
        asked.append(threading.Thread(target=end, daemon=True))
        asked[-1].start()

    previous = {number: signal.signal(number, ask) for number in pod.ENDING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for each in asked:
            each.join()


def _exit_code(ended: PodStatus, asked: PodManifest) -> int:
    """Of the first container that did not end well, sidecars aside; as without an agent."""
    if ended.phase == Phase.SUCCEEDED.value:
        return 0
    sidecars = {container.name for container in asked.init_containers if container.sidecar}
    codes = [member.exit_code for member in ended.members if member.exit_code and member.name not in sidecars]
    return codes[0] if codes else 1


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
