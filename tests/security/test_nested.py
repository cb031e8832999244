"""Containers in containers: what a parent may do to those in it, and what it may not; docs/security.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import LOOK, pid_of, running

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

# The nested one's own root is an image's; its descriptors are as any task's.
KNOWN = ("/proc/", "/dev/null", "/seen", "/memory", "/ready", "pipe:[", "socket:[", "/bin", "(deleted)")
TRACER = ("--userns", "auto", "--cap-add", "SYS_PTRACE")


@pytest.mark.parametrize("options", [(), TRACER], ids=" ".join)
def test_who_makes_a_nested_one_is_not_to_be_had(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    """It has the host's privileges and descriptors of its files, in a PID namespace below the parent's.

    In a user namespace not even SYS_PTRACE is any over it.
    """
    with running(cli, busybox, *options, script=LOOK) as name:
        inside = Path(f"/proc/{pid_of(cli, name)}/root")
        for number in range(4):
            done = cli("run", "--rm", "--name", f"{name}.n{number}", busybox, "true")
            assert (done.returncode, done.stderr) == (0, "")
        seen, memory = (inside / "seen").read_text(), (inside / "memory").read_bytes()
    links = {line.partition(" -> ")[2] for line in seen.splitlines()}
    assert not {link for link in links if link != "/" and not link.startswith(KNOWN)}
    for path in (os.fsencode(str(cli.root)), os.fsencode(str(cli.state))):
        assert path not in memory


def test_no_nested_one_where_that_would_be_traced(cli: Cli, busybox: str) -> None:
    """Neither tools beside a task: but a further command is no more than the task, and comes in."""
    with running(cli, busybox, "--cap-add", "SYS_PTRACE") as name:
        for words in (
            ("run", "--rm", "--name", f"{name}.inner", busybox, "true"),
            ("debug", "--image", busybox, name, "true"),
        ):
            done = cli(*words)
            assert (done.returncode, "has CAP_SYS_PTRACE" in done.stderr) == (125, True), done.stderr
        assert cli("exec", name, "true").returncode == 0
        assert [each["id"] for each in cli.containers()] == [name]
    with running(cli, busybox, "--privileged") as name:
        assert cli("run", "--rm", "--name", f"{name}.inner", busybox, "true").returncode == 0


def test_what_a_parent_may(cli: Cli, busybox: str) -> None:
    """Its root is root over the nested ones that are no more than it: their memory, secrets and signals."""
    with running(cli, busybox) as name:
        inner = f"{name}.inner"
        run = ("run", "-d", "--name", inner, "-e", "TOKEN=of-the-nested", busybox, "sleep", "1000")
        assert cli(*run).returncode == 0
        each, token = "for p in /proc/[0-9]*", "tr '\\0' '\\n' < $p/environ 2>/dev/null | grep ^TOKEN="
        assert cli("exec", name, "sh", "-c", f"{each}; do {token}; done").stdout == "TOKEN=of-the-nested\n"
        cli("exec", name, "sh", "-c", f"{each}; do {token} && kill -9 ${{p#/proc/}}; done")
        assert cli("wait", inner).stdout == "137\n"


def test_what_a_parent_may_not(cli: Cli, busybox: str) -> None:
    """Read or trace a nested one that may do more than it; and none of them sees its parent's processes."""
    with running(cli, busybox) as name:
        inner = f"{name}.inner"
        run = ("run", "-d", "--name", inner, "-e", "TOKEN=x", "--cap-add", "NET_ADMIN", busybox)
        assert cli(*run, "sleep", "1000").returncode == 0
        reads = "for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ; done 2>/dev/null | grep -c ^TOKEN="
        assert cli("exec", name, "sh", "-c", reads).stdout == "0\n"
        opens = "for p in /proc/[0-9]*; do ls $p/root/ $p/fd/; done 2>&1 | grep -c denied"
        assert int(cli("exec", name, "sh", "-c", opens).stdout) >= 1
        assert cli("exec", inner, "sh", "-c", "ls -d /proc/[0-9]* | wc -l").stdout in ("3\n", "4\n")
