"""Run a command in a new container, from an image or on the host's own filesystem.

The exit code is the task's own; 128+N when signal N killed it; 125 when the containerizer failed;
126 when the command cannot be executed; 127 when there is no such command.

Without -d and -t the task has this command's own input and output, and neither `logs` nor `attach`
has them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from containerizer.cli import (
    container_options,
    headroom_options,
    health_options,
    network_options,
    registry_options,
)
from containerizer.cli.attribute_options import warn_of_clamped
from containerizer.cli.detach_keys import DetachKeys
from containerizer.cli.progress import layer_bars
from containerizer.cli.signals import ForwardedSignals
from containerizer.containerizer import Containerizer
from launcher.stdio import Inherit, LogLimits, Pipes, Stdio, Terminal

if TYPE_CHECKING:
    from containerizer.container import Container

USAGE = container_options.USAGE


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to the task")
    parser.add_argument("-t", "--tty", action="store_true", help="give the task a terminal")
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running, and print its id")
    parser.add_argument("--rm", action="store_true", help="remove the container when it has ended")
    container_options.add(parser)
    container_options.add_served(parser.add_argument_group("with -d or -t"))


def run(arguments: argparse.Namespace) -> int:
    request = container_options.request(arguments, keep=not arguments.rm)
    health_options.refuse_without_agent(request.health)
    keys = DetachKeys.parse(arguments.detach_keys)
    containerizer = Containerizer(
        root=arguments.root,
        state=arguments.state,
        isolation=container_options.isolation(arguments, request.config),
        flags=network_options.flags(arguments),
        launcher=arguments.launcher,
        registries=registry_options.of(arguments),
        image_backend=arguments.image_provisioner_backend,
        prune_after_pull=headroom_options.of(arguments),
        in_process=True,
    )
    with ForwardedSignals() as signals, containerizer, stdio_of(arguments) as stdio:
        with layer_bars() as progress:
            container = containerizer.create(request, stdio, progress)
        return attend(container, signals, keys, arguments)


def attend(
    container: Container, signals: ForwardedSignals, keys: DetachKeys, arguments: argparse.Namespace
) -> int:
    """Start the task, and stay with it as -d, -t and -i say; the exit code."""
    if arguments.detach:
        return _detach(container)
    if arguments.tty:
        return _in_terminal(container, signals, keys, stdin=arguments.interactive)
    _start(container, signals)
    return _exit_code(container)


def _start(container: Container, signals: ForwardedSignals) -> None:
    signals.hold()
    container.start()
    warn_of_clamped(container)
    signals.forward_to(container.kill)


def _detach(container: Container) -> int:
    container.start()
    warn_of_clamped(container)
    container.detach()
    print(container.id, flush=True)
    return 0


def _in_terminal(container: Container, signals: ForwardedSignals, keys: DetachKeys, *, stdin: bool) -> int:
    from containerizer.cli.session import Detached, Session

    with container.attach() as attachment:
        attachment.attach(paced=True)
        _start(container, signals)
        session = Session(
            attachment,
            stdin=stdin,
            has_terminal=True,
            detach_keys=keys,
            watches=container.watched(),
        )
        try:
            session.run()
        except Detached as detached:
            container.detach()
            return detached.tell(str(container.id))
    return _exit_code(container)


def _exit_code(container: Container) -> int:
    termination = container.wait()
    assert termination is not None
    if termination.limitation:
        print(f"containerizer: container {container.id}: {termination.message}", file=sys.stderr)
    return termination.exit_code


@contextlib.contextmanager
def stdio_of(arguments: argparse.Namespace) -> Iterator[Stdio]:
    """What -d, -t and -i ask for, valid within this context. Raises InvalidRequest."""
    if arguments.tty or arguments.detach:
        yield _served(arguments)
    elif arguments.interactive:
        yield Inherit(0)
    else:
        stdio = Inherit.without_input()
        try:
            yield stdio
        finally:
            os.close(stdio.stdin)


def _served(arguments: argparse.Namespace) -> Stdio:
    from containerizer.cli.session import own_size
    from containerizer.units import parse_size

    log = LogLimits(size=parse_size(arguments.log_max_size), files=arguments.log_max_files)
    if not arguments.tty:
        return Pipes(stdin=arguments.interactive, log=log)
    rows, columns = own_size()
    return Terminal(rows=rows, columns=columns, log=log)
