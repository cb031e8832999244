"""System calls that reach the kernel's or other tasks' things, as a default container makes them."""

from __future__ import annotations

import errno
import os
import secrets
import select
import struct
import sys
from dataclasses import replace

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import called, calling, running
from tests.support.system_calls import Buffer, Call, Result, on_x86_64, results

pytestmark = [pytest.mark.requires("root", "overlay", "registry", "busybox"), on_x86_64]

_SESSION_KEYRING = -3
_KEYCTL_READ, _KEYCTL_SEARCH = 11, 10
_CLONE_NEWUSER = 0x10000000
_SYSLOG_READ_ALL = 3
_AF_VSOCK, _AF_ALG, _AF_NETLINK, _AF_PACKET = 40, 38, 16, 17
_SOCK_STREAM, _SOCK_SEQPACKET = 1, 5
_PTRACE_TRACEME = 0

EPERM = -errno.EPERM

REFUSED: dict[str, tuple[Call, ...]] = {
    "bpf": (("bpf", 5, Buffer(128), 128),),  # BPF_PROG_LOAD
    "perf": (("perf_event_open", Buffer(128), 0, -1, -1, 0),),
    "userfaultfd": (("userfaultfd", 1), ("userfaultfd", 0)),  # 1: UFFD_USER_MODE_ONLY
    "io_uring": (
        ("io_uring_setup", 8, Buffer(128)),
        ("io_uring_enter", 0, 1, 0, 0, 0, 0),
        ("io_uring_register",),
    ),
    "keyrings": (
        ("keyctl", 0, _SESSION_KEYRING, 0),
        ("keyctl", _KEYCTL_READ, _SESSION_KEYRING, Buffer(64), 64),
        ("add_key", b"user", b"name", b"value", 5, _SESSION_KEYRING),
        ("request_key", b"user", b"name", 0, _SESSION_KEYRING),
    ),
    "namespaces": (
        ("unshare", _CLONE_NEWUSER),
        ("clone", _CLONE_NEWUSER | 17, 0, 0, 0, 0),
        ("setns", 0, 0),
        ("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, 0),
        ("fsopen", b"tmpfs", 0),
        ("open_tree", -100, b"/", 1),
        ("pivot_root", b"/", b"/tmp"),
    ),
    "sockets": (("socket", _AF_VSOCK, _SOCK_STREAM, 0), ("socket", _AF_ALG, _SOCK_SEQPACKET, 0)),
    "modules": (("init_module", 0, 0, b""), ("finit_module", 0, b"", 0), ("delete_module", b"x", 0)),
    "kernels": (("kexec_load", 0, 0, 0, 0), ("reboot", 0xFEE1DEAD, 672274793, 0x1234567)),
    "clocks": (("settimeofday", 0, 0), ("clock_settime", 0, Buffer(16))),
    "handles": (("open_by_handle_at", 0, Buffer(32), 0),),  # CVE-2014-3519 and "shocker"
    "ports": (("iopl", 3), ("ioperm", 0, 1, 1)),
    "swap": (("swapon", b"/tmp/swap", 0), ("acct", 0), ("quotactl", 0, 0, 0, 0)),
}


@pytest.mark.parametrize("options", [(), ("--userns", "auto"), ("-u", "1000")], ids=" ".join)
def test_refused(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    """To whoever the task is: by the filter, before the kernel looks at capabilities and arguments."""
    calls = [call for calls in REFUSED.values() for call in calls]
    answers = zip(calls, called(cli, busybox, *calls, options=options), strict=True)
    assert {call[0]: answer for call, answer in answers if answer != EPERM} == {}


def test_clone3_is_not_there(cli: Cli, busybox: str) -> None:
    """Its flags are in memory, where a filter does not look: so C libraries fall back on clone(2)."""
    assert called(cli, busybox, ("clone3", Buffer(88), 88)) == [-errno.ENOSYS]


# Somebody who has a ticket in the session's keyring, and launches.
WITH_TICKET = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.syscall(250, 1, None)  # keyctl: join a new session keyring
key = libc.syscall(248, b"user", sys.argv[1].encode(), b"ticket", 6, -3)  # add_key
assert key > 0
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.requires("keyctl")
@pytest.mark.parametrize("way", ["run", "exec"])
def test_keys_of_the_launcher(cli: Cli, busybox: str, way: str) -> None:
    """Whoever launches may have tickets in the session's keyring, which every fork inherits.

    Even without a filter the task finds none of them: it has a keyring of its own.
    """
    name = f"ticket-{secrets.token_hex(4)}"
    has_ticket = replace(cli, within=(sys.executable, "-c", WITH_TICKET, name))
    unconfined = ("--security-opt", "seccomp=unconfined")
    searched = calling(("keyctl", _KEYCTL_SEARCH, _SESSION_KEYRING, b"user", name.encode(), 0))
    if way == "run":
        done = has_ticket("run", "--rm", *unconfined, busybox, "sh", "-c", searched)
    else:
        with running(cli, busybox, *unconfined) as container:
            done = has_ticket("exec", container, "sh", "-c", searched)
    assert results(done.stdout) == [-errno.ENOKEY], done.stderr


def test_the_kernels_messages(cli: Cli, busybox: str) -> None:
    """dmesg: addresses and hardware of the host's; by the call, and by the device."""
    assert called(cli, busybox, ("syslog", _SYSLOG_READ_ALL, Buffer(4096), 4096)) == [EPERM]
    script = "dmesg; mknod /tmp/kmsg c 1 11; cat /dev/kmsg /proc/kmsg /tmp/kmsg"
    done = cli("run", "--rm", busybox, "sh", "-c", script)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_terminal_that_is_shared(cli: Cli, busybox: str) -> None:
    """TIOCSTI, CVE-2016-2568 and others: what a task types into the terminal that it was started at, a shell
    of the host's would read once it has ended. It has a session of its own, and that terminal is none of it.
    """
    tiocsti, tiocsctty, tioclinux = 0x5412, 0x540E, 0x541C
    attack = calling(
        ("ioctl", 0, tiocsti, b"#"),
        ("ioctl", 0, tiocsctty, 0),
        ("ioctl", 0, tiocsctty, 1),
        ("ioctl", 0, tiocsti, b"#"),
        ("open", b"/dev/tty", os.O_RDWR),
        ("ioctl", 0, tioclinux, b"\3"),
    )
    master, slave = os.openpty()
    pid = os.fork()
    if pid == 0:  # somebody's shell, whose controlling terminal it is
        try:
            os.login_tty(slave)
            os.execv(cli.argv[0], [*cli.argv, "run", "--rm", busybox, "sh", "-c", attack])
        finally:
            os._exit(1)
    os.close(slave)
    seen = b""
    while select.select([master], [], [], 60)[0]:
        try:
            seen += os.read(master, 65536)
        except OSError:  # the last has closed it
            break
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0, seen
    answers = [int(line, 16) - (1 << 64) for line in seen.split()]
    assert all(answer in (EPERM, -errno.EIO, -errno.ENXIO, -errno.ENOTTY) for answer in answers), answers
    assert b"#" not in seen
    assert len(answers) == 6


def test_a_terminal_of_the_container(cli: Cli, busybox: str) -> None:
    """`-t` has a terminal of the container's own: what is typed into it stays there."""
    script = "readlink /proc/self/fd/0; ls /dev/pts"
    done = cli("run", "--rm", "-t", busybox, "sh", "-c", script)
    assert done.stdout.split() == ["/dev/pts/0", "0", "ptmx"], done.stderr


def test_tracing_its_own_processes_only(cli: Cli, busybox: str) -> None:
    """ptrace is allowed, as by Docker since Linux 4.8; pids of the host's mean nothing here."""
    attach, host, part = 16, os.getpid(), struct.pack("=QQ", 0x400000, 8)
    assert called(cli, busybox, ("getppid",), ("ptrace", _PTRACE_TRACEME, 0, 0, 0))[0] == 0
    answers = called(
        cli,
        busybox,
        ("ptrace", attach, host, 0, 0),
        ("process_vm_readv", host, part, 1, part, 1, 0),
        ("pidfd_open", host, 0),
        ("kill", host, 9),
    )
    assert answers == [-errno.ESRCH] * 4


def test_network_of_the_host(cli: Cli, busybox: str) -> None:
    """A raw socket is allowed, as by Docker, and finds a network namespace with nothing but loopback."""
    done = cli("run", "--rm", busybox, "sh", "-c", "ls /sys/class/net; ip link set lo down")
    assert done.stdout.split() == ["lo"]
    assert "not permitted" in done.stderr
    opened = called(cli, busybox, ("socket", _AF_PACKET, 3, 0), ("close", Result(0)))
    assert opened[1] == 0
