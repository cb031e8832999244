"""Somebody at a terminal, for the tests of what people do there."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence

from launcher.kernel import terminal
from tests.end_to_end.conftest import Cli

TIMEOUT = 30  # seconds until a session counts as hung
DETACH = b"\x10\x11"  # ctrl-p, ctrl-q


class Person:
    """Somebody at a terminal who runs one command there."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.screen = b""
        self._master = master

    def types(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resizes(self, rows: int, columns: int) -> None:
        terminal.set_size(self._master, rows, columns)
        self.process.send_signal(signal.SIGWINCH)  # it is not in the terminal's foreground group

    def sees(self, text: bytes) -> None:
        """Wait until `text` is on the screen, and forget all up to it."""
        while text not in self.screen:
            assert select.select([self._master], [], [], TIMEOUT)[0], f"only {self.screen!r} is seen"
            self.screen += os.read(self._master, 65536)
        self.screen = self.screen.partition(text)[2]

    def sees_the_end(self) -> int:
        """The command's exit code."""
        return self.process.wait(TIMEOUT)

    @property
    def modes(self) -> list[object]:
        return termios.tcgetattr(self._master)


@contextlib.contextmanager
def at_terminal(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Person]:
    """With a terminal of 24 lines of 80 characters."""
    master, slave = os.openpty()
    os.set_blocking(master, True)
    terminal.set_size(slave, 24, 80)
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment)
    try:
        yield Person(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(slave)
        os.close(master)


@contextlib.contextmanager
def person(cli: Cli, *arguments: str) -> Iterator[Person]:
    try:
        with at_terminal([*cli.argv, *arguments]) as somebody:
            yield somebody
    finally:
        cli.kill_containers()
