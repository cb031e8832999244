"""Look into a running container: with a shell of its own, or with --image by tools that it does not have.

Tools run in all of the container's namespaces but see their own image's files: its processes are theirs
to trace, its network is theirs, and its files are below /target. Without --image it is a command in the
container, as `exec` runs it. The exit code is the command's own, or as for `run`.
"""

from __future__ import annotations

import argparse

from containerizer import debugging
from containerizer.cli import container_options, registry_options
from containerizer.cli.detach_keys import DetachKeys
from containerizer.cli.progress import layer_bars
from containerizer.cli.run import attend, stdio_of
from containerizer.cli.signals import ForwardedSignals
from containerizer.containerizer import Containerizer
from containerizer.nested import ExecRequest
from containerizer.request import PULL_POLICIES, ContainerRequest
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest

USAGE = "%(prog)s [OPTION ...] CONTAINER [COMMAND ...]"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", metavar="TOOLS", help="what to look with (what the container has)")
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to the command")
    parser.add_argument("-t", "--tty", action="store_true", help="give the command a terminal")
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running, and print its name")
    parser.add_argument("--rm", action="store_true", help="with -d: forget it when it has ended")
    container_options.add_process(parser)
    with_image = parser.add_argument_group("with --image")
    for name, what in (("add", "add"), ("drop", "drop")):
        with_image.add_argument(
            f"--cap-{name}", action="append", default=[], metavar="CAP", help=f"{what} a capability, or ALL"
        )
    with_image.add_argument(
        "--pull", choices=PULL_POLICIES, default="missing", help="when to ask the registry (%(default)s)"
    )
    registry_options.add(with_image)
    container_options.add_served(parser.add_argument_group("with -d or -t"))
    parser.add_argument("container", metavar="CONTAINER", help="its name, or a beginning that no other has")
    parser.add_argument(
        "command_line", metavar="COMMAND", nargs=argparse.REMAINDER, help="and its arguments (a shell)"
    )


def run(arguments: argparse.Namespace) -> int:
    keys = DetachKeys.parse(arguments.detach_keys)
    known = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    target = known.get(arguments.container)
    keep = arguments.detach and not arguments.rm
    containerizer = Containerizer(
        root=arguments.root,
        state=arguments.state,
        isolation=known.get(str(debugging.target_of(target.id))).record.isolation if arguments.image else (),
        registries=registry_options.of(arguments),
        in_process=True,
    )
    with ForwardedSignals() as signals, containerizer, stdio_of(arguments) as stdio:
        if arguments.image is None:
            further = replace(command(arguments), keep=keep)
            container = containerizer.execute(target.id, further, stdio)
        else:
            with layer_bars() as progress:
                container = containerizer.create(tools(arguments, target.id, keep=keep), stdio, progress)
        return attend(container, signals, keys, arguments)


def command(arguments: argparse.Namespace) -> ExecRequest:
    """Without an image. Raises InvalidRequest."""
    if arguments.cap_add or arguments.cap_drop:
        hint = "name an --image: without one a command may do what the container may"
        raise InvalidRequest("capabilities cannot be chosen", hint=hint)
    return ExecRequest(
        command=tuple(arguments.command_line) or debugging.COMMAND,
        environment=container_options.environment(arguments),
        working_directory=container_options.absolute(arguments.workdir),
        user=arguments.user,
    )


def tools(arguments: argparse.Namespace, target: ContainerId, *, keep: bool) -> ContainerRequest:
    """With an image. Raises InvalidRequest."""
    container_id = debugging.new_id(debugging.target_of(target))
    return replace(
        ContainerRequest.of(
            arguments.image,
            arguments.command_line,
            name=str(container_id),
            env=container_options.environment(arguments),
            pull=arguments.pull,
            keep=keep,
            user=arguments.user,
            working_directory=container_options.absolute(arguments.workdir),
            capabilities_add=tuple(arguments.cap_add),
            capabilities_drop=tuple(arguments.cap_drop),
        ),
        debugs=True,
    )
