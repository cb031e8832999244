"""Pods: containers that share a network, volumes and a fate, from Kubernetes' Pod manifest.

    pod run FILE.yaml    run it here to its end; the exit code is that of the first container that failed
    pod ps               the pods of this host
    pod rm NAME|FILE …   end pods, and remove what is left of them

What the manifest asks and cannot be had is refused by its path. Each container is nested in the pod's
own, so `logs`, `exec`, `top` and the like take POD.CONTAINER.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from containerizer.cli.several import each
from containerizer.cli.table import add_json_option, print_json, print_table
from containerizer.containerizer import Containerizer
from containerizer.pods import manifest, removing, status
from containerizer.pods.manifest import PodManifest
from containerizer.pods.member import GivenUp, Note
from containerizer.pods.pod import Pod
from containerizer.pods.policy import Phase
from containerizer.pods.status import PodStatus
from containerizer.record import find
from containerizer.units import format_age
from launcher.attach_protocol import STDERR
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest

_PATIENCE = manifest.GRACE_PERIOD + 10.0  # seconds that `pod rm` gives whoever runs the pod
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="pod_command", metavar="COMMAND", required=True)
    run_ = commands.add_parser("run", help="run a pod to its end")
    run_.add_argument("file", metavar="FILE", help="a manifest in YAML or JSON; - is standard input")
    run_.add_argument("--rm", action="store_true", help="remove the pod when it has ended")
    ps = commands.add_parser("ps", help="list the pods of this host")
    add_json_option(ps)
    rm = commands.add_parser("rm", help="end and remove pods")
    rm.add_argument("pods", metavar="NAME|FILE", nargs="+")
    rm.add_argument("-f", "--force", action="store_true", help="without asking them first")


def run(arguments: argparse.Namespace) -> int:
    return {"run": _run, "ps": _ps, "rm": _rm}[arguments.pod_command](arguments)


def _run(arguments: argparse.Namespace) -> int:
    asked = _read(arguments.file)
    printed = _Lines()
    containerizer = Containerizer(root=arguments.root, state=arguments.state, in_process=False)
    with containerizer:
        pod = Pod(containerizer, asked, printed, note=_note(asked.name))
        previous = {number: signal.signal(number, lambda *_: _stop(pod)) for number in _ENDING}
        try:
            phase = pod.run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            printed.flush()
        if arguments.rm:
            containerizer.get(asked.name).remove(force=True)
    for member in pod.status().members:
        if member.exit_code:
            print(f"containerizer: {asked.name}.{member.name}: {member.message}", file=sys.stderr)
    if pod.message:
        print(f"containerizer: {asked.name}: {pod.message}", file=sys.stderr)
    return 0 if phase is Phase.SUCCEEDED else pod.exit_code


def _stop(pod: Pod) -> None:
    pod.stop()
    if pod.launching:
        raise GivenUp


def _note(pod: str) -> Note:
    return lambda name, sentence: print(f"containerizer: {pod}.{name}: {sentence}", file=sys.stderr)


class _Lines:
    """Output of several containers, a line at a time, each with its container's name before it."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, int], bytes] = {}

    def __call__(self, name: str, stream: int, data: bytes) -> None:
        *lines, rest = (self._begun.pop((name, stream), b"") + data).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        if rest:
            self._begun[name, stream] = rest
        self._write(stream, b"".join(b"%s | %s\n" % (name.encode(), line) for line in lines))

    def flush(self) -> None:
        """The last lines, which have no end."""
        for (name, stream), line in self._begun.items():
            self._write(stream, b"%s | %s\n" % (name.encode(), line))
        self._begun.clear()

    def _write(self, stream: int, text: bytes) -> None:
        from containerizer.cli.session import write_all

        write_all(2 if stream == STDERR else 1, text)


_LONGEST = 64 << 10  # bytes of a line that has not ended


def _read(path: str) -> PodManifest:
    try:
        if path == "-":
            return manifest.parse(sys.stdin.buffer.read(), "standard input")
        with open(path, "rb") as file:
            return manifest.parse(file.read(), path)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


def _ps(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    pods = list(status.load_all(containerizer.paths))
    if arguments.format == "json":
        print_json([pod.to_json() for pod in pods])
    else:
        print_table(("NAME", "READY", "STATUS", "RESTARTS", "AGE"), [_row(pod) for pod in pods])
    return 0


def _row(pod: PodStatus) -> tuple[str, ...]:
    members = [member for member in pod.members if not member.init]
    ready = f"{sum(member.ready for member in members)}/{len(members)}"
    restarts = str(sum(member.restarts for member in pod.members))
    return pod.name, ready, pod.phase, restarts, format_age(time.time() - pod.created_at)


def _rm(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())

    def remove(pod: str) -> None:
        removing.remove(containerizer, _named(containerizer, pod), 0.0 if arguments.force else _PATIENCE)

    return each(arguments.pods, remove)


def _named(containerizer: Containerizer, pod: str) -> ContainerId:
    """By its name, or by its manifest. Raises NoSuchContainer, InvalidRequest."""
    name = _read(pod).name if "/" in pod or os.path.isfile(pod) else pod
    container_id = find(containerizer.paths, name)
    if status.load(containerizer.paths, container_id) is None:
        raise InvalidRequest(f"{container_id} is no pod", hint="`containerizer rm` removes containers")
    return container_id
