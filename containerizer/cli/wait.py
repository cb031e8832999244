"""Wait until containers have ended, and print their exit codes, one a line in the order given."""

from __future__ import annotations

import argparse
import contextlib

from containerizer.cli.several import add_names
from containerizer.containerizer import Containerizer


def configure(parser: argparse.ArgumentParser) -> None:
    add_names(parser)


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    containers = [containerizer.get(name) for name in arguments.containers]
    with contextlib.ExitStack() as held:
        for container in containers:  # one may be removed while another is waited for
            held.enter_context(container.held())
        for container in containers:
            termination = container.wait()
            assert termination is not None
            print(termination.exit_code, flush=True)
    return 0
