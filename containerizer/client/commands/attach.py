"""Attach to a container of an agent: see what its task writes, and type for it.

The exit code is the task's own; 0 after the detach keys. Begins with the last 64 KiB of the output.
Several may watch one container, and one of them may type.
"""

from __future__ import annotations

import argparse

from containerizer.api.proto.process_io_pb2 import ProcessIO
from containerizer.cli.attach import configure
from containerizer.cli.detach_keys import DetachKeys
from containerizer.cli.session import Detached, Session
from containerizer.cli.signals import ForwardedSignals
from containerizer.client.bridge import attached
from containerizer.client.client import AgentClient, Stream, exit_code
from containerizer.client.commands import client_of
from containerizer.client.commands.logs import show
from containerizer.client.transport import AgentFailed

_CONCLUDING = 10.0  # seconds from the end of a task, when nobody attaches any more, to its termination
_KILLED = 137  # with its supervisor, by SIGKILL


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    name = client.find(arguments.container)
    return _attend(client, name, arguments, stdin=not arguments.no_stdin, signals=not arguments.no_signals)


def attend_first(
    client: AgentClient,
    container: str,
    arguments: argparse.Namespace,
    output: Stream[ProcessIO],
    *,
    stdin: bool,
) -> int:
    """The same with the output of a session, which has all that the task writes."""
    return _attend(client, container, arguments, stdin=stdin, signals=True, output=output)


def attend(
    client: AgentClient, container: str, arguments: argparse.Namespace, *, stdin: bool, signals: bool = True
) -> int:
    """Stay with a container to its end; the exit code. Raises AgentFailed, AgentUnreachable.

    One that has ended before we came is told from its log.
    """
    try:
        return _attend(client, container, arguments, stdin=stdin, signals=signals)
    except AgentFailed:
        ended = client.wait(container, _CONCLUDING)
        if ended is None:
            raise
    with client.logs(container) as entries:
        show(entries, timestamps=False)
    return exit_code(ended)


def _attend(
    client: AgentClient,
    container: str,
    arguments: argparse.Namespace,
    *,
    stdin: bool,
    signals: bool,
    output: Stream[ProcessIO] | None = None,
) -> int:
    has_terminal = client.inspect(container).stdio == "terminal"
    keys = DetachKeys.parse(arguments.detach_keys)
    with attached(client, container, has_terminal=has_terminal, has_stdin=stdin, output=output) as attachment:
        attachment.attach()
        session = Session(attachment, stdin=stdin, has_terminal=has_terminal and stdin, detach_keys=keys)
        try:
            with ForwardedSignals() as forwarded:
                if signals and stdin:
                    forwarded.forward_to(attachment.signal)
                status = session.run()
        except Detached as detached:
            return detached.tell(container)
    return status.exit_code if status else _KILLED


__all__ = ["attend", "attend_first", "configure", "run"]
