"""Pods: containers that share a network, volumes and a fate, from Kubernetes' Pod manifest.

    pod run FILE.yaml    run it here to its end; the exit code is that of the first container that failed
    pod run -d FILE.yaml the same by a process that stays; the pod's name is printed when it has begun
    pod ps               the pods of this host
    pod logs NAME        what a container of a pod has written, in this run or the one before
    pod rm NAME|FILE …   end pods, and remove what is left of them

With --agent the agent runs them, as with -d; without -d what they write is shown here until they end.

What the manifest asks and cannot be had is refused by its path. Each container is nested in the pod's
own, so `logs`, `exec`, `top` and the like take POD.CONTAINER.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from containerizer import best_effort
from containerizer.cli import logs, registry_options
from containerizer.cli.several import each
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.containerizer import Containerizer
from containerizer.logs import files_of
from containerizer.pods import manifest, removing, requests, status, watcher
from containerizer.pods.manifest import PodManifest
from containerizer.pods.member import GivenUp, Note
from containerizer.pods.pod import Pod
from containerizer.pods.policy import Phase
from containerizer.pods.status import MemberStatus, PodStatus
from containerizer.record import find
from containerizer.units import format_age
from isolators.flags import IsolatorFlags
from launcher.attach_protocol import STDERR
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import EXIT_CONTAINERIZER_FAILED, InvalidRequest
from launcher.kernel import process
from provisioner.backends.choose import NAMES

HEADER = ("NAME", "READY", "STATUS", "RESTARTS", "AGE")

_PATIENCE = manifest.GRACE_PERIOD + 10.0  # seconds that `pod rm` gives whoever runs the pod
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="pod_command", metavar="COMMAND", required=True)
    run_ = commands.add_parser("run", help="run a pod to its end")
    run_.add_argument("file", metavar="FILE", help="a manifest in YAML or JSON; - is standard input")
    run_.add_argument("--rm", action="store_true", help="remove the pod when it has ended")
    run_.add_argument("-d", "--detach", action="store_true", help="leave it to a process that stays")
    run_.add_argument("--isolation", metavar="LIST", help="load exactly these isolators, separated by commas")
    run_.add_argument(
        "--network",
        metavar="none|NAME[,NAME]",
        help="that it joins (bridge if a container has a hostPort; else none; of an ordinary user a way out)",
    )
    run_.add_argument(
        "--best-effort", action="store_true", help="leave out what cannot be limited here, and say so"
    )
    run_.add_argument(
        "--seccomp-profile-root",
        metavar="DIR",
        help="of profiles that pods name, as a kubelet has it (/var/lib/kubelet/seccomp)",
    )
    run_.add_argument("--image-provisioner-backend", choices=NAMES, help="(the best here)")
    registry_options.add(run_.add_argument_group("registries"))
    run_.add_argument("--watched", type=int, help=argparse.SUPPRESS)  # that process
    run_.add_argument("--isolator-flags", help=argparse.SUPPRESS)  # of an agent
    run_.add_argument("--named", help=argparse.SUPPRESS)  # what the pod has to be called
    logs_ = commands.add_parser("logs", help="show what a container of a pod has written")
    logs_.add_argument("--previous", action="store_true", help="of the run before the last")
    logs.add_options(logs_)
    logs_.add_argument("container", metavar="NAME", help="the pod")
    logs_.add_argument("member", metavar="MEMBER", nargs="?", help="which one, if there are several")
    ps = commands.add_parser("ps", help="list the pods of this host")
    add_json_option(ps)
    rm = commands.add_parser("rm", help="end and remove pods")
    rm.add_argument("pods", metavar="NAME|FILE", nargs="+")
    rm.add_argument("-f", "--force", action="store_true", help="without asking them first")


def run(arguments: argparse.Namespace) -> int:
    return {"run": _run, "ps": _ps, "logs": _logs, "rm": _rm}[arguments.pod_command](arguments)


def _run(arguments: argparse.Namespace) -> int:
    text = read(arguments.file)
    if arguments.watched is not None:
        return watcher.watched(arguments.watched, lambda begun: _run_watched(arguments, text, begun))
    asked = manifest.parse(text, _called(arguments.file))
    if asked.ignored:
        what = ", ".join(asked.ignored)
        print(f"containerizer: {asked.name}: without meaning on one host: {what}", file=sys.stderr)
    if arguments.best_effort:
        asked = best_effort.of_pod(asked, arguments.isolation)
    if arguments.detach:
        return _detach(arguments, asked.name, text)
    return _run_here(arguments, asked, lambda: None)


def _run_watched(arguments: argparse.Namespace, text: bytes, begun: Callable[[Sequence[str]], None]) -> int:
    asked = manifest.parse(text)
    if arguments.named not in (None, asked.name):
        raise InvalidRequest(f"the manifest's pod is {asked.name!r}, not {arguments.named!r}")
    if arguments.best_effort:  # whoever has started this process has told of what is left out
        asked = best_effort.of_pod(asked, arguments.isolation, lambda _: None)
    return _run_here(arguments, asked, lambda: begun(asked.ignored))


def _run_here(arguments: argparse.Namespace, asked: PodManifest, begun: Callable[[], None]) -> int:
    printed = Lines()
    asked = replace(asked, network=_network(arguments))
    containerizer = Containerizer(
        root=arguments.root,
        state=arguments.state,
        isolation=arguments.isolation or requests.isolation(asked),
        flags=_isolator_flags(arguments),
        image_backend=arguments.image_provisioner_backend,
        registries=registry_options.of(arguments),
        in_process=False,
    )
    with containerizer:
        pod = Pod(containerizer, asked, printed, note=_note(asked.name))
        previous = {number: signal.signal(number, lambda *_: _stop(pod)) for number in ENDING}
        try:
            phase = pod.run(begun)
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


def _network(arguments: argparse.Namespace) -> str | None:
    """Who names isolators, and no network, has none that is there by default for an ordinary user only."""
    usual = "none" if arguments.isolation is not None and process.is_rootless() else None
    return arguments.network or usual


def _stop(pod: Pod) -> None:
    pod.stop()
    if pod.launching:
        raise GivenUp


def _note(pod: str) -> Note:
    return lambda name, sentence: print(f"containerizer: {pod}.{name}: {sentence}", file=sys.stderr)


class Lines:
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


def _isolator_flags(arguments: argparse.Namespace) -> IsolatorFlags | None:
    """None: the defaults."""
    if arguments.isolator_flags is not None:
        return IsolatorFlags.from_json(arguments.isolator_flags)
    root = arguments.seccomp_profile_root
    return IsolatorFlags(seccomp_profile_root=os.path.abspath(root)) if root is not None else None


def _detach(arguments: argparse.Namespace, name: str, text: bytes) -> int:
    started = watcher.start(text, list(_options(arguments)))
    if started.failed is None:
        print(name, flush=True)
        return 0
    print(f"containerizer: {started.failed}", file=sys.stderr)
    return EXIT_CONTAINERIZER_FAILED


def _options(arguments: argparse.Namespace) -> Iterator[str]:
    """What was given, for the process that stays."""
    yield from ("--root", arguments.root, "--state", arguments.state, "pod", "run", "-")
    for name in ("rm", "best_effort"):
        if getattr(arguments, name):
            yield f"--{name.replace('_', '-')}"
    yield from (f"--insecure-registry={host}" for host in arguments.insecure_registry)
    for name in (
        "isolation",
        "network",
        "image_provisioner_backend",
        "registries_conf",
        "certs_dir",
        "authfile",
        "seccomp_profile_root",
    ):
        if (value := getattr(arguments, name)) is not None:
            yield f"--{name.replace('_', '-')}={value}"


def read(path: str) -> bytes:
    """A file, or standard input. Raises InvalidRequest."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


def _called(path: str) -> str:
    return "standard input" if path == "-" else path


def _logs(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    paths = containerizer.paths
    pod = _named(containerizer, arguments.container)
    found = status.load(paths, pod)
    container_id = member_of(pod, found.members if found is not None else (), arguments.member)
    if not arguments.previous:
        return logs.show(containerizer, container_id, arguments)
    if not files_of(paths.previous_log(container_id)):
        raise InvalidRequest(f"{container_id} has had no run before this one")
    logs.show_file(paths.previous_log(container_id), arguments)
    return 0


def member_of(pod: ContainerId, members: Sequence[MemberStatus], name: str | None) -> ContainerId:
    """The container of this name, or the only one. Raises InvalidRequest."""
    names = [member.name for member in members]
    wanted = name or (names[0] if len(names) == 1 else None)
    if wanted not in names:
        what = f"no container {name!r}" if name else "several containers, and none is named"
        raise InvalidRequest(f"pod {pod} has {what}", hint=f"it has {', '.join(names)}")
    return ContainerId(wanted, pod)


def _ps(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    pods = list(status.load_all(containerizer.paths))
    if arguments.format != "table":
        print_data([pod.to_json() for pod in pods], arguments.format)
    else:
        print_table(HEADER, [row(pod) for pod in pods])
    return 0


def row(pod: PodStatus) -> tuple[str, ...]:
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
    name = manifest.parse(read(pod), pod).name if "/" in pod or os.path.isfile(pod) else pod
    container_id = find(containerizer.paths, name)
    if status.load(containerizer.paths, container_id) is None:
        raise InvalidRequest(f"{container_id} is no pod", hint="`containerizer rm` removes containers")
    return container_id
