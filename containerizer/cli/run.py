"""Run a command in a new container, from an image or on the host's own filesystem.

The exit code is the task's own; 128+N when signal N killed it; 125 when the containerizer failed;
126 when the command cannot be executed; 127 when there is no such command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator

from containerizer.cli import container_options
from containerizer.cli.attribute_options import warn_of_clamped
from containerizer.cli.progress import layer_bars
from containerizer.cli.signals import ForwardedSignals
from containerizer.containerizer import Containerizer
from launcher.stdio import Inherit

USAGE = container_options.USAGE


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to the task")
    parser.add_argument("--rm", action="store_true", help="remove the container when it has ended")
    container_options.add(parser)


def run(arguments: argparse.Namespace) -> int:
    request = container_options.request(arguments, keep=not arguments.rm)
    containerizer = Containerizer(
        root=arguments.root,
        state=arguments.state,
        isolation=container_options.isolation(arguments),
        insecure_registries=arguments.insecure_registry,
        in_process=True,
    )
    with ForwardedSignals() as signals, containerizer, _stdio(arguments.interactive) as stdio:
        with layer_bars() as progress:
            container = containerizer.create(request, stdio, progress)
        signals.hold()
        container.start()
        warn_of_clamped(container)
        signals.forward_to(container)
        termination = container.wait()
    assert termination is not None
    if termination.limitation:
        print(f"containerizer: container {container.id}: {termination.message}", file=sys.stderr)
    return termination.exit_code


@contextlib.contextmanager
def _stdio(interactive: bool) -> Iterator[Inherit]:
    if interactive:
        yield Inherit(0)
        return
    stdio = Inherit.without_input()
    try:
        yield stdio
    finally:
        os.close(stdio.stdin)
