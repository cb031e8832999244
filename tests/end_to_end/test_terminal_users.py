"""`run -t` in a user namespace: the terminal is its root's, or its user's, as everything else is."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Cli
from tests.end_to_end.person import DETACH, person

pytestmark = pytest.mark.requires("root", "userns", "overlay", "registry", "busybox")

SHELL = ("sh", "-c", "PS1=; echo ready; exec sh -i")
SHOW = b"tty; stty size; stat -c '%u:%g %a' $(tty); stat -c '%t:%T' /dev/console $(tty)\r"


def options(*more: str) -> tuple[str, ...]:
    return ("run", "--rm", "-it", "--userns", "300000:65536", *more)


def test_a_terminal_session(cli: Cli, busybox: str) -> None:
    with person(cli, *options(), busybox, *SHELL) as me:
        me.sees(b"ready")
        me.types(SHOW)
        me.sees(b"/dev/pts/0\r\n24 80\r\n0:5 620\r\n88:0\r\n88:0\r\n")
        me.resizes(50, 132)
        me.types(b"sleep 0.1; until [ \"$(stty size)\" = '50 132' ]; do sleep 0.1; done; echo re''sized\r")
        me.sees(b"resized")
        me.types(b"echo to the con''sole > /dev/console; echo to the t''ty > /dev/tty\r")
        me.sees(b"to the console\r\nto the tty\r\n")
        me.types(b"exit 42\r")
        assert me.sees_the_end() == 42


def test_of_another_user_than_root(cli: Cli, busybox: str) -> None:
    with person(cli, *options("-u", "1000:1000"), busybox, *SHELL) as me:
        me.sees(b"ready")
        me.types(SHOW)
        me.sees(b"/dev/pts/0\r\n24 80\r\n1000:5 620\r\n")
        me.types(b"echo a''gain > $(tty); echo e''rror > /dev/stderr\r")
        me.sees(b"again\r\nerror\r\n")
        me.types(b"exit 0\r")
        assert me.sees_the_end() == 0


def test_further_terminals_are_the_containers_own(cli: Cli, busybox: str) -> None:
    with person(cli, *options(), busybox, *SHELL) as me:
        me.sees(b"ready")
        me.types(b"exec 3<>/dev/ptmx; echo fo''und /dev/pts/*; stat -c %u /dev/pts/1; exit 0\r")
        me.sees(b"found /dev/pts/0 /dev/pts/1 /dev/pts/ptmx\r\n0\r\n")
        assert me.sees_the_end() == 0


def test_ctrl_c_and_detaching(cli: Cli, busybox: str) -> None:
    script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do read line; done"
    with person(cli, *options("--name", "users-left"), busybox, "sh", "-c", script) as me:
        me.sees(b"ready")
        me.types(DETACH)
        assert me.sees_the_end() == 0
        with person(cli, "attach", "users-left") as again:
            again.sees(b"ready")  # replayed
            again.types(b"\x03")
            again.sees(b"interrupted")
            assert again.sees_the_end() == 9
        cli.wait_for_reapers()


def test_without_an_image(cli: Cli) -> None:
    """The host's devpts then, where the namespace's root has no more rights than its user outside."""
    with person(cli, *options(), "host", "sh", "-c", "tty && echo end") as me:
        me.sees(b"/dev/pts/")
        me.sees(b"end")
        assert me.sees_the_end() == 0
