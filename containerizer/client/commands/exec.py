"""Run a further command in a running container of an agent.

The exit code is the command's own. With -d its name is printed, by which `attach`, `logs`, `kill` and
`wait` reach it.
"""

from __future__ import annotations

import argparse

from containerizer.cli import container_options
from containerizer.cli.exec import USAGE, configure
from containerizer.client.commands import client_of
from containerizer.client.commands.attach import attend
from containerizer.client.commands.run import stdio_of
from containerizer.nested import ExecRequest


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    request = ExecRequest(
        command=tuple(arguments.command_line),
        environment=container_options.environment(arguments),
        working_directory=container_options.absolute(arguments.workdir),
        user=arguments.user,
    )
    container = client.find(arguments.container)
    own = str(client.execute(container, request, stdio_of(arguments)))
    if arguments.detach:
        print(own, flush=True)
        return 0
    code = attend(client, own, arguments, stdin=arguments.interactive)
    client.remove(own, force=True)
    return code


__all__ = ["USAGE", "configure", "run"]
