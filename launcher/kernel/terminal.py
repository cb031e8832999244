"""Terminals: their size, their raw mode, and pseudoterminals. See pty(7), ioctl_tty(2), termios(3)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Iterator

# Numbers that Python's termios lacks; asm-generic/ioctls.h, and another direction's bits on POWER.
_POWER = os.uname().machine.startswith("ppc")
TIOCSPTLCK = 0x80045431 if _POWER else 0x40045431
TIOCGPTPEER = 0x20005441 if _POWER else 0x5441  # Linux 4.13

_WINSIZE = "HHHH"  # struct winsize: rows, columns, and two that nobody uses
_LOCAL_MODES = 3  # the index of c_lflag in what tcgetattr returns
_CONTROL_CHARACTERS = 6


def size(descriptor: int) -> tuple[int, int]:
    """(rows, columns). Raises OSError (ENOTTY)."""
    packed = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(struct.calcsize(_WINSIZE)))
    rows, columns, _, _ = struct.unpack(_WINSIZE, packed)
    return rows, columns


def set_size(descriptor: int, rows: int, columns: int) -> None:
    """Resize; the processes in the foreground get SIGWINCH if that is a change."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack(_WINSIZE, rows, columns, 0, 0))


def open_peer(master: int) -> int:
    """The slave of `master`, without going by a path that somebody else may have changed."""
    return fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def end_of_file(descriptor: int) -> bytes:
    """What to type for the end of the input; b"" where the task reads raw, and there is no such key,
    or where the terminal was hung up.
    """
    try:
        attributes = termios.tcgetattr(descriptor)
    except termios.error:  # no OSError
        return b""
    if not attributes[_LOCAL_MODES] & termios.ICANON:
        return b""
    character: bytes = attributes[_CONTROL_CHARACTERS][termios.VEOF]
    return character


@contextlib.contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Raw mode, as cfmakeraw(3) sets it: each byte passes as it is. Restored at the end."""
    before = termios.tcgetattr(descriptor)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, _raw_attributes(before))
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _raw_attributes(before: list[int | list[bytes | int]]) -> list[int | list[bytes | int]]:
    input_modes, output_modes, control_modes, local_modes, *rest = before
    assert isinstance(input_modes, int)
    assert isinstance(output_modes, int)
    assert isinstance(control_modes, int)
    assert isinstance(local_modes, int)
    ignored = termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
    input_modes &= ~(ignored | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
    output_modes &= ~termios.OPOST
    control_modes = control_modes & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    local_modes &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    return [input_modes, output_modes, control_modes, local_modes, *rest]
