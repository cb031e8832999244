"""Containers in containers, as deep as the kernel nests PID namespaces; and not one level deeper."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from containerizer import record as records
from containerizer.nested import ExecRequest
from isolators.catalog import DEFAULT
from launcher.container_id import MAX_DEPTH, MAX_NAME, ContainerId
from launcher.errors import InvalidRequest
from launcher.stdio import Inherit, LogLimits, Pipes
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

SHARED_PIDS = tuple(name for name in DEFAULT if name != "namespaces/pid")
WITH_USERS = (*DEFAULT, "namespaces/user")
WAITS = ["sleep", "1000"]


def levels(length: int) -> Iterator[ContainerId]:
    """The ids of one container in each other; with the process' number, for cgroups are the host's."""
    container_id: ContainerId | None = None
    for level in range(1, MAX_DEPTH + 1):
        name = f"{os.getpid()}-{level}"
        container_id = ContainerId(name.ljust(length, "x"), container_id)
        yield container_id


def level_of_pid(pid: int) -> int:
    """How many PID namespaces a process is in, the host's included."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(len(line.split()) - 1 for line in status if line.startswith("NSpid:"))


def output_of(containerizer: Containerizer, container_id: ContainerId, *command: str) -> str:
    """Of a further command in a container."""
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        done = containerizer.execute(
            container_id, ExecRequest(command=command), Inherit(null, writer, writer)
        )
        done.start()
    finally:
        os.close(null)
        os.close(writer)
    with open(reader) as stream:
        text = stream.read()
    termination = done.wait()
    done.remove()
    assert termination is not None
    assert termination.exit_code == 0, text
    return text


@pytest.mark.parametrize(
    ("isolation", "length", "userns", "pid_namespaces"),
    [
        (DEFAULT, 0, None, MAX_DEPTH),
        (DEFAULT, MAX_NAME, None, MAX_DEPTH),
        (SHARED_PIDS, 0, None, 0),
        pytest.param(WITH_USERS, 0, "auto", MAX_DEPTH, marks=pytest.mark.requires("userns")),
    ],
    ids=["own PID namespaces", "the longest names", "the host's PID namespace", "a user namespace"],
)
def test_as_deep_as_it_goes(
    fresh: Cli, busybox: str, isolation: tuple[str, ...], length: int, userns: str | None, pid_namespaces: int
) -> None:
    paths = {"root": str(fresh.root), "state": str(fresh.state)}
    with Containerizer(isolation=isolation, **paths) as c:
        for deepest in levels(length):
            options = {"userns": userns if deepest.parent is None else None, "name": str(deepest)}
            stdio = Pipes(log=LogLimits()) if deepest.depth == MAX_DEPTH else None
            container = c.launch(busybox, WAITS, stdio=stdio, **options)
            assert container.pid is not None
        assert level_of_pid(container.pid) == level_of_pid(os.getpid()) + pid_namespaces
        assert output_of(c, deepest, "sh", "-c", "cat /proc/1/comm; kill -0 1 && echo seen").endswith(
            "seen\n"
        )
        with container.attach() as attachment:  # its path is longer than an address of a socket
            attachment.attach()

        with pytest.raises(InvalidRequest, match="deeper than 32 levels"):
            c.launch(busybox, WAITS, name=f"{deepest}.below")
        assert records.nested(c.paths, deepest) == []

        top = c.get(deepest.lineage[0])
        top.remove(force=True)
        assert container.wait() is not None
    assert fresh.left() == []


def test_a_command_has_a_name_that_no_container_gets(fresh: Cli) -> None:
    done = fresh("run", "--rm", "--name", "web.exec-0123456789ab", "host", "true")
    assert (done.returncode, "is a name of commands of `exec`" in done.stderr) == (125, True)
    assert not Path(fresh.state).exists()
