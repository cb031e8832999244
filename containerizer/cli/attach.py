"""Attach to a container that runs: see what its task writes, and type for it.

The exit code is the task's own, as that of `run`; 0 after the detach keys. Begins with the last
64 KiB of the output. Several may attach to one container, and all of them may type.
"""

from __future__ import annotations

import argparse

from containerizer.cli import container_options
from containerizer.cli.detach_keys import DetachKeys
from containerizer.cli.session import Detached, Session
from containerizer.cli.signals import ForwardedSignals
from containerizer.containerizer import Containerizer
from launcher.attach import Attachment, Hello, NotServed

_KILLED = 137  # with its supervisor, by SIGKILL


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-stdin", action="store_true", help="watch only")
    parser.add_argument("--no-signals", action="store_true", help="do not pass signals on to the task")
    container_options.add_detach_keys(parser)
    parser.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    keys = DetachKeys.parse(arguments.detach_keys)
    with containerizer.attach(containerizer.get(arguments.container).id) as attachment:
        hello = attachment.receive()
        if not isinstance(hello, Hello):
            raise NotServed(f"container {arguments.container} has just ended")
        attachment.attach(paced=not arguments.no_stdin)
        session = Session(
            attachment,
            stdin=not arguments.no_stdin and hello.has_stdin,
            has_terminal=hello.has_terminal,
            detach_keys=keys,
        )
        session.resize()
        try:
            return _run(session, attachment, arguments)
        except Detached as detached:
            return detached.tell(arguments.container)


def _run(session: Session, attachment: Attachment, arguments: argparse.Namespace) -> int:
    if arguments.no_signals or arguments.no_stdin:
        status = session.run()
    else:
        with ForwardedSignals() as signals:
            signals.forward_to(attachment.signal)
            status = session.run()
    return status.exit_code if status else _KILLED
