"""The host's processes, ours among them, as a container finds them: to signal, to trace, to walk through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli, parent
from tests.security.conftest import called, commands, pid_of, running
from tests.support.system_calls import Buffer, Result, on_x86_64

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

PR_GET_DUMPABLE = 3


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _relay_of(cli: Cli) -> int:
    """The process that serves the stdio of containers that run detached."""
    state = os.fsencode(str(cli.state))
    for pid, words in commands():
        if b"relay" in words and state in words:
            return pid
    raise AssertionError("there is no relay")


def test_signals_to_all(cli: Cli, busybox: str) -> None:
    """kill(2) of -1 by the host's root, as whom the task runs, reaches its own processes and no others."""
    script = "sleep 1000 & kill -9 -1; kill -9 0; echo end; exec sleep 1000"
    with running(cli, busybox) as other, running(cli, busybox, script=script) as name:
        supervisor, relay, bystander = parent(pid_of(cli, other)), _relay_of(cli), pid_of(cli, other)
        cli("exec", name, "kill", "-9", "-1")
        for pid in (supervisor, relay, bystander):
            assert _command(pid), "it lives"
        assert cli("exec", other, "echo", "answers").stdout == "answers\n"


def test_nothing_of_the_host_in_proc(cli: Cli, busybox: str) -> None:
    script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; ls -d /proc/[0-9]* | wc -l; ls /proc/1/root/"
    done = cli("run", "--rm", busybox, "sh", "-c", script)
    assert "containerizer" not in done.stdout + done.stderr
    assert str(cli.root) not in done.stdout


def test_our_processes_in_the_hosts_pid_namespace(cli: Cli, busybox: str) -> None:
    """With `--pid host` a task sees supervisors and relays, and may signal them: so it was asked. But with
    the default capabilities it neither traces them nor walks through them to the host's files.
    """
    with running(cli, busybox) as other:
        ours = (parent(pid_of(cli, other)), _relay_of(cli), os.getpid())
        script = ""
        for pid in ours:
            script += f"test -d /proc/{pid} && echo seen;"
            script += f"for f in root cwd exe fd/0 fd/1; do readlink /proc/{pid}/$f; done;"
            script += f"ls /proc/{pid}/root/ /proc/{pid}/cwd/ /proc/{pid}/task/{pid}/root/;"
            script += f"cat /proc/{pid}/environ /proc/{pid}/maps /proc/{pid}/fd/0;"
            script += f"ln /proc/{pid}/exe /tmp/program; ln /proc/{pid}/root/etc/passwd /tmp/passwd;"
            script += f"(: >> /proc/{pid}/mem) && echo memory;"
        done = cli("run", "--rm", "--pid", "host", busybox, "sh", "-c", script)
    assert done.stdout == "seen\n" * 3


@on_x86_64
def test_tracing_ours_in_the_hosts_pid_namespace(cli: Cli, busybox: str) -> None:
    with running(cli, busybox) as other:
        for pid in (parent(pid_of(cli, other)), _relay_of(cli)):
            answers = called(
                cli,
                busybox,
                ("ptrace", 16, pid, 0, 0),  # PTRACE_ATTACH
                ("ptrace", 0x4206, pid, 0, 0),  # PTRACE_SEIZE
                ("pidfd_open", pid, 0),
                ("pidfd_getfd", Result(2), 0, 0),
                ("kcmp", pid, pid, 0, 0, 0),
                options=("--pid", "host"),
            )
            assert answers[2] > 0
            assert [answer for place, answer in enumerate(answers) if place != 2] == [-1] * 4


@on_x86_64
def test_hard_links_to_what_is_open(cli: Cli, busybox: str) -> None:
    """What is inherited as stdin is the host's: no link to it in the container's own files, to keep it."""
    at_empty_path, at_symlink_follow = 0x1000, 0x400
    calls = (
        ("linkat", 0, b"", -100, b"/tmp/one", at_empty_path),
        ("linkat", -100, b"/proc/self/fd/0", -100, b"/tmp/two", at_symlink_follow),
        ("openat", 0, b"..", 0),
        ("fchdir", 0),
        ("readlink", b"/proc/self/fd/0", Buffer(256), 256),
    )
    answers = called(cli, busybox, *calls)
    assert answers[0] < 0
    assert answers[1] < 0
    assert answers[2:4] == [-20, -20], "a file, no directory: ENOTDIR"


def test_cve_2020_15257(cli: Cli, busybox: str) -> None:
    """An abstract socket has no file mode: whoever shares the host's network may call it. We have none."""
    with running(cli, busybox) as name:
        ours = {parent(pid_of(cli, name)), _relay_of(cli)}
        inodes = set()
        for pid in ours:
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
        lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        abstract = [line for line in lines if line[6] in inodes and len(line) > 7 and line[7].startswith("@")]
        named = [line[7] for line in lines if line[6] in inodes and len(line) > 7]
        inside = cli("exec", name, "cat", "/proc/net/unix").stdout
    assert abstract == []
    assert named, "the attach socket is there"
    assert all(os.stat(os.path.dirname(path)).st_mode & 0o077 == 0 for path in named if os.path.exists(path))
    assert "@" not in inside
