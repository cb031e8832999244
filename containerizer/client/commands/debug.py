"""Look into a running container of an agent: with a shell of its own, or with --image by other tools.

The exit code is the command's own. The agent pulls the image, with its own credentials or --authfile's.
"""

from __future__ import annotations

import argparse

from containerizer.cli.debug import USAGE, command, configure, tools
from containerizer.client.client import AgentClient
from containerizer.client.commands import client_of
from containerizer.client.commands.attach import attend, attend_first
from containerizer.client.commands.run import stdio_of
from containerizer.client.registries import credentials_of
from launcher.container_id import ContainerId


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    target = client.find(arguments.container)
    if arguments.image is not None:
        return _with_tools(client, ContainerId.parse(target), arguments)
    own = str(client.execute(target, command(arguments), stdio_of(arguments)))
    if arguments.detach:
        print(own, flush=True)
        return 0
    code = attend(client, own, arguments, stdin=arguments.interactive)
    client.remove(own, force=True)
    return code


def _with_tools(client: AgentClient, target: ContainerId, arguments: argparse.Namespace) -> int:
    request = tools(arguments, target, keep=True)
    known = credentials_of(arguments, request.image)
    own = str(request.container_id)
    if arguments.detach:
        client.launch(request, stdio_of(arguments), credentials=known)
        print(own, flush=True)
        return 0
    with client.launch_session(request, stdio_of(arguments), credentials=known) as output:
        code = attend_first(client, own, arguments, output, stdin=arguments.interactive)
    client.remove(own, force=True)
    return code


__all__ = ["USAGE", "configure", "run"]
