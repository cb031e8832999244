"""Try a check in a running container, once: the image's own, or the one given. Exit code 0: it works.

1: it does not, and one line on standard output says why. 125: there is nothing to try.
"""

from __future__ import annotations

import argparse

from containerizer.checks.check import Action, Check, Command, Grpc, Http, Tcp
from containerizer.checks.docker import healthcheck
from containerizer.checks.runner import try_once
from containerizer.containerizer import Containerizer
from containerizer.record import ContainerRecord
from containerizer.request import HOST
from launcher.errors import InvalidRequest

USAGE = "%(prog)s [OPTION ...] CONTAINER [COMMAND ...]"

_TIMEOUT = 20.0  # seconds


def configure(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--http", metavar="PORT[/PATH]", help="GET it, over the container's own network")
    kinds.add_argument("--https", metavar="PORT[/PATH]", help="the same in TLS, whatever the certificate")
    kinds.add_argument("--tcp", metavar="PORT", help="connect to it")
    kinds.add_argument("--grpc", metavar="PORT[/SERVICE]", help="ask by grpc.health.v1")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=f"({_TIMEOUT:.0f}, or the image's)")
    parser.add_argument("container", metavar="CONTAINER", help="its name, or a beginning that no other has")
    parser.add_argument("command_line", metavar="COMMAND", nargs=argparse.REMAINDER, help="and its arguments")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=(), in_process=True)
    with containerizer:
        container = containerizer.get(arguments.container)
        check = _check(arguments, containerizer, container.record)
        result = try_once(containerizer, container.id, check)
    print(result.message)
    return 0 if result.success else 1


def _check(arguments: argparse.Namespace, containerizer: Containerizer, record: ContainerRecord) -> Check:
    action = _action(arguments)
    if action is not None:
        return Check(action=action, timeout=arguments.timeout or _TIMEOUT)
    own = None
    if record.image != HOST:
        image = containerizer.provisioner.pull(record.image, policy="never")
        own = healthcheck(image.config)
    if own is None:
        hint = "give a command, or --http, --https, --tcp or --grpc"
        raise InvalidRequest(f"the image of {record.container_id} has no health check", hint=hint)
    return own


def _action(arguments: argparse.Namespace) -> Action | None:
    if arguments.http or arguments.https:
        port, path = _port(arguments.http or arguments.https)
        return Http(port=port, path=f"/{path}", tls=bool(arguments.https))
    if arguments.tcp:
        return Tcp(port=_port(arguments.tcp)[0])
    if arguments.grpc:
        port, service = _port(arguments.grpc)
        return Grpc(port=port, service=service)
    return Command(argv=tuple(arguments.command_line)) if arguments.command_line else None


def _port(text: str) -> tuple[int, str]:
    port, _, rest = text.partition("/")
    try:
        return int(port), rest
    except ValueError:
        raise InvalidRequest(f"invalid port {port!r}", hint="write a number, as in 8080/path") from None
