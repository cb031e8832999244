"""Run a further command in a running container, with everything that isolates and limits it.

The exit code is the command's own, or as for `run`. The command ends with the container.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator

from containerizer.cli import container_options
from containerizer.cli.signals import ForwardedSignals
from containerizer.containerizer import Containerizer
from containerizer.nested import ExecRequest
from launcher.container_id import ContainerId
from launcher.stdio import Inherit

USAGE = "%(prog)s [OPTION ...] CONTAINER COMMAND ..."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to the command")
    parser.add_argument(
        "-d", "--detach", action="store_true", help="leave it running, without input and output"
    )
    container_options.add_process(parser)
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("command_line", metavar="COMMAND", nargs=argparse.REMAINDER, help="and its arguments")


def run(arguments: argparse.Namespace) -> int:
    request = ExecRequest(
        command=tuple(arguments.command_line),
        environment=container_options.environment(arguments),
        working_directory=container_options.absolute(arguments.workdir),
        user=arguments.user,
    )
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=(), in_process=True)
    with ForwardedSignals() as signals, containerizer, _stdio(arguments) as stdio:
        container = containerizer.execute(ContainerId.parse(arguments.container), request, stdio)
        signals.hold()
        container.start()
        if arguments.detach:
            container.detach()
            print(container.id, flush=True)
            return 0
        signals.forward_to(container.kill)
        termination = container.wait()
    assert termination is not None
    return termination.exit_code


@contextlib.contextmanager
def _stdio(arguments: argparse.Namespace) -> Iterator[Inherit]:
    if arguments.interactive and not arguments.detach:
        yield Inherit(0)
        return
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield Inherit(null, null, null) if arguments.detach else Inherit(null)
    finally:
        os.close(null)
