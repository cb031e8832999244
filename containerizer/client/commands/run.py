"""Run a command in a new container of an agent.

The exit code is the task's own, as that of `run` on the host itself.
"""

from __future__ import annotations

import argparse

from containerizer.cli import container_options
from containerizer.cli.run import USAGE, configure
from containerizer.cli.session import own_size
from containerizer.client.commands import client_of
from containerizer.client.commands.attach import attend_first
from containerizer.client.registries import credentials_of, refuse
from launcher.errors import InvalidRequest
from launcher.stdio import Pipes, Terminal


def run(arguments: argparse.Namespace) -> int:
    if arguments.isolation is not None or arguments.launcher != "linux":
        hint = "the agent has been started with them"
        raise InvalidRequest("isolators and launcher cannot be chosen with --agent", hint=hint)
    if arguments.volumes_from:
        raise InvalidRequest("--volumes-from cannot be asked of an agent", hint="name the volumes with -v")
    refuse(arguments, ("seccomp_listener",))
    client = client_of(arguments)
    request = container_options.request(arguments, keep=not arguments.rm)
    known = credentials_of(arguments, request.image)
    if arguments.detach:
        print(client.launch(request, stdio_of(arguments), credentials=known), flush=True)
        return 0
    container = str(request.container_id)
    with client.launch_session(request, stdio_of(arguments), credentials=known) as output:
        code = attend_first(client, container, arguments, output, stdin=arguments.interactive)
    if arguments.rm:
        client.remove(container, force=True)
    return code


def stdio_of(arguments: argparse.Namespace) -> Pipes | Terminal:
    """What -t and -i ask for."""
    if not arguments.tty:
        return Pipes(stdin=arguments.interactive)
    rows, columns = own_size()
    return Terminal(rows=rows, columns=columns)


__all__ = ["USAGE", "configure", "run"]
