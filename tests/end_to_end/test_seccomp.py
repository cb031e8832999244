"""What a task can call, as real tasks find it: the built-in profile, its openings, and none."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from isolators.linux.syscalls import numbers
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay")

PYTHON = shutil.which("python3", path="/usr/bin:/bin") or ""  # whoever runs in the container may read it
on_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the ABIs of x86_64")

# Makes calls by number; each answer is an errno, or 0.
CALLS = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for number in sys.argv[1:]:
    ctypes.set_errno(0)
    libc.syscall(*(ctypes.c_long(int(part, 0)) for part in number.split(",")))
    print(ctypes.get_errno())
"""


def called(cli: Cli, *calls: str, options: tuple[str, ...] = ()) -> list[str]:
    """The names of the errors of these calls, "name" or "name,argument …"; "0" for none."""
    table = numbers(os.uname().machine)
    words = [
        ",".join([str(table.get(call.split(",")[0], call.split(",")[0])), *call.split(",")[1:]])
        for call in calls
    ]
    done = cli("run", "--rm", *options, "host", PYTHON, "-I", "-c", CALLS, *words)
    assert done.returncode == 0, done.stderr
    return [errno.errorcode.get(int(line), line) for line in done.stdout.split()]


@pytest.mark.requires("registry", "busybox")
def test_the_ways_out_of_a_default_task(cli: Cli, busybox: str) -> None:
    """Each would succeed without the filter: an own user namespace gives all capabilities in it."""
    script = "for way in 'unshare -U true' 'unshare -Ur true' 'unshare -Um true'; do $way && echo open; done"
    done = cli("run", "--rm", busybox, "sh", "-c", script)
    assert (done.stdout, done.stderr.count("Operation not permitted")) == ("", 3)
    unconfined = cli("run", "--rm", "--security-opt", "seccomp=unconfined", busybox, "sh", "-c", script)
    assert unconfined.stdout == "open\n" * 3, unconfined.stderr


def test_calls_that_reach_the_host(cli: Cli) -> None:
    session_keyring = "keyctl,0,-3,0"  # KEYCTL_GET_KEYRING_ID
    calls = (session_keyring, "add_key", "bpf", "userfaultfd", "io_uring_setup", "perf_event_open", "setns")
    assert called(cli, *calls) == ["EPERM"] * len(calls)
    assert called(cli, session_keyring, options=("--security-opt", "seccomp=unconfined")) != ["EPERM"]


def test_calls_that_a_c_library_falls_back_from(cli: Cli) -> None:
    assert called(cli, "clone3", "10000") == ["ENOSYS", "ENOSYS"]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--user", "1000"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges=false"),
        ("--security-opt", "no-new-privileges=false", "--user", "1000"),
        ("--init",),
    ],
    ids=" ".join,
)
def test_whoever_the_task_is_it_is_filtered(cli: Cli, options: tuple[str, ...]) -> None:
    done = cli("run", "--rm", *options, "host", "grep", "Seccomp:", "/proc/self/status")
    assert (done.stdout, done.stderr) == ("Seccomp:\t2\n", "")
    assert called(cli, "keyctl,0,-3,0", "clone3", options=options) == ["EPERM", "ENOSYS"]


@pytest.mark.requires("registry", "busybox")
def test_root_in_a_user_namespace_is_filtered(cli: Cli, busybox: str) -> None:
    for more in ((), ("--security-opt", "no-new-privileges=false")):
        done = cli(
            "run", "--rm", "--userns", "100000", *more, busybox, "grep", "Seccomp:", "/proc/self/status"
        )
        assert done.stdout == "Seccomp:\t2\n", done.stderr


def test_unconfined(cli: Cli) -> None:
    option = ("--security-opt", "seccomp=unconfined")
    assert (
        cli("run", "--rm", *option, "host", "grep", "Seccomp:", "/proc/self/status").stdout == "Seccomp:\t0\n"
    )


@pytest.mark.parametrize(("options", "status"), [((), 1), (("--cap-add", "SYS_ADMIN"), 0)])
@pytest.mark.requires("registry", "busybox")
def test_a_capability_opens_its_calls(cli: Cli, busybox: str, options: tuple[str, ...], status: int) -> None:
    done = cli("run", "--rm", *options, busybox, "mount", "-t", "tmpfs", "none", "/tmp")
    assert (done.returncode != 0) == bool(status), done.stderr


@pytest.mark.requires("registry", "busybox")
def test_a_further_command_is_filtered_too(cli: Cli, busybox: str) -> None:
    with cli.start(
        "run", "--rm", "-i", "--name", "filtered", busybox, "sh", "-c", "echo runs; read line"
    ) as process:
        assert process.stdout and process.stdout.readline() == "runs\n"
        done = cli("exec", "filtered", "sh", "-c", "grep Seccomp: /proc/self/status; unshare -U true")
        process.communicate("end\n")
    assert done.stdout == "Seccomp:\t2\n"
    assert "Operation not permitted" in done.stderr


# Other ABIs: the same numbers mean other calls there.

INT_80 = """
#define CALL(number, first) ({ long result; \\
    __asm__ volatile ("int $0x80" : "=a" (result) \\
                      : "a" (number), "b" (first), "c" (0), "d" (0) : "memory"); \\
    (int) -result; })
#include <stdio.h>
int main(void)
{
    printf("%d %d %d %d %d\\n", CALL(NR_keyctl, 0), CALL(NR_unshare, 0x10000000), CALL(NR_clone3, 0),
           CALL(NR_socketcall, 1), CALL(NR_getpid, 0) < 0);
    return 0;
}
"""


@on_x86_64
@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_no_way_around_by_the_32_bit_abi(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "int80.c").write_text(INT_80)
    table = numbers("i386")
    defined = [
        f"-DNR_{name}={table[name]}" for name in ("keyctl", "unshare", "clone3", "socketcall", "getpid")
    ]
    subprocess.run(["gcc", "-static", *defined, "-o", "int80", "int80.c"], cwd=tmp_path, check=True)
    done = cli("run", "--rm", "host", str(tmp_path / "int80"))
    eperm, enosys = errno.EPERM, errno.ENOSYS
    assert done.stdout.split() == [str(answer) for answer in (eperm, eperm, enosys, enosys, 1)], done.stderr


@on_x86_64
def test_no_way_around_by_the_x32_abi(cli: Cli) -> None:
    x32 = 0x40000000
    table = numbers("x86_64")
    calls = (str(x32 + table[name]) for name in ("getpid", "unshare", "keyctl"))
    assert called(cli, *calls) == ["ENOSYS"] * 3


# What must go on working.

ORDINARY = {
    "threads": "import threading; t = [threading.Thread(target=print, args=(n,)) for n in range(3)];"
    " [x.start() for x in t]; [x.join() for x in t]",
    "processes": "import subprocess;"
    " subprocess.run(['/bin/sh', '-c', 'echo a | cat | tr a b; true &'], check=True)",
    "sockets": "import socket; a = socket.create_server(('127.0.0.1', 0));"
    " b = socket.create_connection(a.getsockname()); a.accept()[0].send(b'x'); print(b.recv(1))",
    "files": "import tempfile, os, shutil;"
    " f = tempfile.TemporaryDirectory(dir='/dev/shm'); p = f.name + '/x';"
    " open(p, 'w').write('x'); os.link(p, p + '2'); os.chmod(p, 0o600); shutil.copy(p, p + '3')",
    "polling": "import asyncio; asyncio.run(asyncio.sleep(0));"
    " import select, os; os.eventfd(0); select.epoll()",
    "memory": "import mmap, os; m = mmap.mmap(-1, 4096); m.resize(8192);"
    " os.memfd_create('x'); os.getrandom(8)",
    "limits": "import resource, os; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); os.nice(1)",
}


@pytest.mark.parametrize("what", ORDINARY)
def test_ordinary_programs_work(cli: Cli, what: str) -> None:
    done = cli("run", "--rm", "host", PYTHON, "-I", "-c", ORDINARY[what])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        ("bash", "-c", 'set -e; read a < <(echo x); test "$a" = x; sleep 0 & wait; echo ok'),
        ("perl", "-e", "pipe(R, W); if (!fork) { print W qq(ok\\n); exit } close W; print <R>; wait"),
        ("sh", "-c", "tar -c /etc/hostname 2>/dev/null | tar -t >/dev/null; ls -lR /etc >/dev/null; echo ok"),
    ],
    ids=lambda command: command[0],
)
def test_ordinary_shells_work(cli: Cli, command: tuple[str, ...]) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = cli("run", "--rm", "host", *command)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
