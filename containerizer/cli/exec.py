"""Run a further command in a running container, with everything that isolates and limits it.

The exit code is the command's own, or as for `run`. The command ends with the container. With -d its
name is printed, by which `attach`, `logs`, `kill` and `wait` reach it; it is listed until `rm` removes
it or its container.
"""

from __future__ import annotations

import argparse

from containerizer.cli import container_options
from containerizer.cli.detach_keys import DetachKeys
from containerizer.cli.run import attend, stdio_of
from containerizer.cli.signals import ForwardedSignals
from containerizer.containerizer import Containerizer
from containerizer.nested import ExecRequest

USAGE = "%(prog)s [OPTION ...] CONTAINER COMMAND ..."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to the command")
    parser.add_argument("-t", "--tty", action="store_true", help="give the command a terminal")
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running, and print its name")
    parser.add_argument("--rm", action="store_true", help="with -d: forget it when it has ended")
    container_options.add_process(parser)
    container_options.add_served(parser.add_argument_group("with -d or -t"))
    parser.add_argument("container", metavar="CONTAINER", help="its name, or a beginning that no other has")
    parser.add_argument("command_line", metavar="COMMAND", nargs=argparse.REMAINDER, help="and its arguments")


def run(arguments: argparse.Namespace) -> int:
    request = ExecRequest(
        command=tuple(arguments.command_line),
        environment=container_options.environment(arguments),
        working_directory=container_options.absolute(arguments.workdir),
        user=arguments.user,
        keep=arguments.detach and not arguments.rm,
    )
    keys = DetachKeys.parse(arguments.detach_keys)
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=(), in_process=True)
    container_id = containerizer.get(arguments.container).id
    with ForwardedSignals() as signals, containerizer, stdio_of(arguments) as stdio:
        container = containerizer.execute(container_id, request, stdio)
        return attend(container, signals, keys, arguments)
