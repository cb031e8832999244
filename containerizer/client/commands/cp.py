"""Copy files between an agent's container, running or ended, and this host.

One of the two is CONTAINER:PATH, the other a path of this host, or `-` for a tar archive on standard
input or output. In a directory SOURCE gets its own name.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from containerizer.cli.cp import USAGE, configure, split
from containerizer.cli.session import write_all
from containerizer.client.client import AgentClient
from containerizer.client.commands import client_of
from containerizer.client.transport import AgentFailed
from containerizer.copying import on_host
from launcher.errors import ContainerizerError, InvalidRequest

_STREAM = "-"
_PIECE = 64 * 1024  # bytes of an archive in a record


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    source, target = split(arguments.source), split(arguments.target)
    if (source is None) == (target is None):
        raise InvalidRequest("one of SOURCE and TARGET must be in a container", hint="write CONTAINER:PATH")
    skipped: list[str] = []
    if target is not None:
        _to(client, arguments, client.find(target[0]), target[1], skipped)
    else:
        assert source is not None
        skipped += _from(client, arguments, client.find(source[0]), source[1])
    for name in skipped:
        print(f"containerizer: left out {name!r}: a device, a socket or the kernel's", file=sys.stderr)
    return 0


def _to(
    client: AgentClient, arguments: argparse.Namespace, container: str, path: str, skipped: list[str]
) -> None:
    try:
        _put(client, arguments, container, path, "", skipped)
    except AgentFailed as error:
        # The agent unpacks into directories. Where there is none of this name, it is the copy's.
        directory, name = os.path.split(path)
        if "no such directory" not in str(error) or not name or arguments.source == _STREAM:
            raise
        skipped.clear()
        _put(client, arguments, container, directory or "/", name, skipped)


def _put(
    client: AgentClient,
    arguments: argparse.Namespace,
    container: str,
    directory: str,
    name: str,
    skipped: list[str],
) -> None:
    with _reading(arguments, name, skipped) as descriptor:
        pieces = iter(lambda: os.read(descriptor, _PIECE), b"")
        client.put_archive(container, directory, pieces, keep_owners=arguments.archive)


@contextlib.contextmanager
def _reading(arguments: argparse.Namespace, name: str, skipped: list[str]) -> Iterator[int]:
    """A descriptor of the archive that is to be sent."""
    if arguments.source == _STREAM:
        yield 0
        return
    readable, writable = os.pipe2(os.O_CLOEXEC)
    failed: list[Exception] = []

    def write() -> None:
        try:
            follow = arguments.follow_link
            skipped.extend(on_host.archive_of(arguments.source, writable, follow=follow, name=name))
        except (ContainerizerError, OSError) as error:
            failed.append(error)
        finally:
            os.close(writable)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield readable
    finally:
        os.close(readable)
        thread.join()
    if failed:
        raise failed[0]


def _from(client: AgentClient, arguments: argparse.Namespace, container: str, path: str) -> list[str]:
    pieces = client.get_archive(container, path, follow=arguments.follow_link)
    if arguments.target == _STREAM:
        if os.isatty(1):
            raise InvalidRequest("a tar archive is nothing for a terminal", hint="redirect the output")
        for piece in pieces:
            write_all(1, piece)
        return []
    return on_host.unpack(pieces, arguments.target, archive=arguments.archive)


__all__ = ["USAGE", "configure", "run"]
