"""Examples of the pages, as somebody would type them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

STAND_IN = "registry.local:5000"  # the pages' registry
TIMEOUT = 120  # seconds until a block counts as hung


def blocks(page: Path, kind: str = "console") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each with what it has to print. A here-document goes with its command."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    for part in parts:
        command, _, output = part.partition("\n")
        if command.endswith("<<END"):
            body, _, output = output.partition("END\n")
            command = f"{command}\n{body}END"
        yield command, output


class Shell:
    """One bash for the whole page, so that $? and jobs are as they would be."""

    def __init__(self, directory: Path, replaced: dict[str, str], prefix: tuple[str, ...]) -> None:
        self._replaced = replaced
        environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
        self._process = subprocess.Popen(
            [*prefix, "bash"],
            cwd=directory,
            env=environment,
            text=True,
            bufsize=1,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, command: str) -> str:
        for shown, real in self._replaced.items():
            command = command.replace(shown, real)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\n__code=$?; echo __end__; (exit $__code)\n")
        self._process.stdin.flush()
        lines = []
        for line in self._process.stdout:
            if line.endswith("__end__\n"):
                output = "".join([*lines, line.removesuffix("__end__\n")])
                for shown, real in self._replaced.items():
                    output = output.replace(real, shown)
                return output
            lines.append(line)
        raise AssertionError(f"the shell ended: {lines}")

    def close(self) -> None:
        """What it has left in the background ends with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        assert self._process.stdout is not None
        self._process.stdout.close()


def check(shell: Shell, block: list[tuple[str, str]]) -> None:
    for command, wanted in block:
        printed = shell.run(command)
        pattern = ".*".join(map(re.escape, wanted.split("…")))
        assert re.fullmatch(pattern, printed, re.DOTALL), f"$ {command}\n{printed}instead of\n{wanted}"
