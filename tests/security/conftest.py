"""Escapes as they were published: staged from inside a container, looked at from the host.

One file a family, one test an escape. Where this kernel cannot show an attack, the test sees to the
defence (a flag, a mount option, a table of descriptors), and its docstring says so.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import tarfile  # noqa: TID251 - as tests.support.images
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli, busybox, cli, directories, manifest, registry
from tests.support import images, system_calls
from tests.support.registry import Registry
from tests.support.system_calls import Call

__all__ = ("busybox", "cli", "directories", "manifest", "registry")

Build = Callable[..., str]

# What of every other process there is to be seen: while they are made, too.
LOOK = """
echo ready > /ready
while :; do
    for process in /proc/[0-9]*; do
        [ $process = /proc/1 ] && continue
        ls -l $process/fd $process/cwd $process/root 2>/dev/null | grep -e '->' >> /seen
        cat $process/environ $process/maps >> /memory 2>/dev/null
    done
done
"""

_numbers = itertools.count()


@pytest.fixture
def build(registry: Registry, busybox: str) -> Build:
    """Makes an image of busybox and these members, which win; its reference."""

    def built(
        *entries: tuple[tarfile.TarInfo, bytes], without: tuple[str, ...] = (), **config: object
    ) -> str:
        gone = [images.entry(_whiteout(path)) for path in without]
        base = images.busybox()
        layers = (*base.layers, *([images.layer(gone)] if gone else ()), images.layer(entries))
        name = f"escape-{next(_numbers)}"
        image = images.image(*layers, config={"Env": ["PATH=/bin"], "Cmd": ["sh"], **config})
        images.push(image, registry.host, name, "latest")
        return f"{registry.host}/{name}"

    return built


def _whiteout(path: str) -> str:
    directory, _, name = path.rpartition("/")
    return f"{directory}/.wh.{name}" if directory else f".wh.{name}"


@contextlib.contextmanager
def running(cli: Cli, image: str, *options: str, script: str = "exec sleep 1000") -> Iterator[str]:
    """A container that does this, and says `ready` before; its name."""
    name = f"escape-{os.getpid()}-{next(_numbers)}"
    done = cli("run", "-d", "--name", name, *options, image, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    try:
        yield name
    finally:
        assert cli("rm", "-f", name).returncode == 0


def pid_of(cli: Cli, name: str) -> int:
    """The host's, of the container's first process."""
    return int(str(next(c["pid"] for c in cli.containers() if c["id"] == name)))


def commands() -> Iterator[tuple[int, bytes]]:
    """The host's processes, and their command lines; those that end meanwhile are left out."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            yield int(name), Path(f"/proc/{name}/cmdline").read_bytes()


def called(cli: Cli, image: str, *calls: Call, options: tuple[str, ...] = ()) -> list[int]:
    """What these system calls return in a container; a negative one is an errno."""
    done = cli("run", "--rm", *options, image, "sh", "-c", calling(*calls))
    assert done.returncode == 0, done.stderr
    return system_calls.results(done.stdout)


def calling(*calls: Call) -> str:
    """A script that makes these system calls, and prints what they return."""
    text = base64.b64encode(system_calls.program(*calls)).decode()
    return f"echo {text} | base64 -d > /tmp/attack && chmod 755 /tmp/attack && exec /tmp/attack"
