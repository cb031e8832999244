"""What a pull shows on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest

from tests.end_to_end.conftest import Cli


@pytest.mark.requires("root", "registry", "busybox")
@pytest.mark.parametrize("columns", [0, 40, 120])
def test_a_bar_a_layer_that_fits_the_terminal(fresh: Cli, busybox: str, columns: int) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    argv = [*fresh.argv, "pull", busybox]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave) as pull:
        os.close(slave)
        shown = _read_to_end(master)
    assert pull.returncode == 0
    lines = [line.rpartition("\x1b[2K")[2] for line in shown.splitlines()]
    assert any("downloading  [" in line for line in lines)
    assert lines[-1].split()[1] == "done"
    assert all(len(line) < (columns or 80) for line in lines)
    assert columns == 40 or lines[-1].endswith("iB"), "nothing is cut where there is room"


def _read_to_end(master: int) -> str:
    """Everything until the other side is closed, which a terminal tells by EIO."""
    chunks = []
    try:
        while chunk := os.read(master, 65536):
            chunks.append(chunk)
    except OSError:
        pass
    os.close(master)
    return b"".join(chunks).decode()
