"""docs/run.svg, the README's recording: real commands at a real terminal, and what they print.

Each command runs in a pty; when a line came is kept, so the picture moves as the terminal did. Who does
not play animations, or asks for less motion, sees the end of it. Colours are by the viewer's scheme, light
or dark. `make picture` records anew.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.support: this runs from a checkout

PICTURE = Path(__file__).with_name("run.svg")
REGISTRY = (
    "my.registry.lan"  # stands for the one on loopback, whose name is as long: tables stay as they were
)
IMAGE = f"{REGISTRY}/busybox"

SCENES = (
    f"containerizer pull {IMAGE}",
    f"containerizer run -d --name web -m 64m --cpus 0.5 {IMAGE} httpd -f",
    f"containerizer run -d --name web.log {IMAGE} sleep 1000  # in it, with its network",
    "containerizer ps --tree",
    "containerizer exec web ps",
    "containerizer stats --no-stream --tree",
    f"containerizer run --rm -m 32m {IMAGE} dd if=/dev/zero of=/dev/null bs=64M",
    "containerizer rm -f web",
)

COLUMNS = 104
_ROWS = 40  # of the terminal while it is recorded; the picture is as high as what was printed
_WIDTH, _HEIGHT = 8.2, 19  # of a character, in pixels
_MARGIN, _BAR = 18, 34
_A_KEY = 0.025  # seconds that typing one takes
_PAUSE = 0.7  # seconds between commands
_CONTROL = re.compile(r"\x1b\[(\d*)(;\d*)*([A-Za-z])")  # ECMA-48, control sequences

_STYLE = """
svg {
  --back: #ffffff; --bar: #eceff3; --edge: #d0d7de;
  --text: #24292f; --dim: #6e7781; --prompt: #1a7f37; --typed: #0550ae;
}
@media (prefers-color-scheme: dark) {
  svg {
    --back: #0d1117; --bar: #161b22; --edge: #30363d;
    --text: #d7dde4; --dim: #8b949e; --prompt: #3fb950; --typed: #79c0ff;
  }
}
text {
  font: 13.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: var(--text); white-space: pre;
}
.typed { fill: var(--typed) } .prompt { fill: var(--prompt) } .dim { fill: var(--dim) }
.row { animation: appear 1ms backwards } .keys { animation: type linear backwards }
@keyframes appear { from { opacity: 0 } }
@keyframes type { from { clip-path: inset(0 100% 0 0) } to { clip-path: inset(0) } }
@media (prefers-reduced-motion: reduce) { .row, .keys { animation: none } }
"""


@dataclass(frozen=True)
class Line:
    """A line of the terminal when the command had ended."""

    text: str
    at: float  # seconds after the command's start when it was last changed


@dataclass(frozen=True)
class Scene:
    """One command, and what was seen of it."""

    command: str
    lines: tuple[Line, ...]
    seconds: float  # that it took


class Screen:
    """As much of a terminal as our commands need: lines, and the cursor at the beginning of one."""

    def __init__(self) -> None:
        self._lines: list[Line] = [Line("", 0)]
        self._row = 0

    def feed(self, text: str, at: float) -> None:
        while text:
            control = _CONTROL.match(text)
            if control:
                self._obey(control[3], int(control[1] or 1), at)
                text = text[control.end() :]
                continue
            if text[0] == "\n":
                self._row += 1
                while len(self._lines) <= self._row:
                    self._lines.append(Line("", at))
            elif text[0] != "\r":
                self._lines[self._row] = Line(self._lines[self._row].text + text[0], at)
            text = text[1:]

    def _obey(self, letter: str, count: int, at: float) -> None:
        if letter == "F":  # to the beginning of a line above
            self._row = max(0, self._row - count)
        elif letter == "K":  # this line is erased
            self._lines[self._row] = Line("", at)
        elif letter == "J":  # and all below
            self._lines[self._row :] = [Line("", at)]

    def lines(self) -> tuple[Line, ...]:
        found = list(self._lines)
        while found and not found[-1].text:
            found.pop()
        return tuple(found)


def record(command: str, environment: dict[str, str], replaced: dict[str, str]) -> Scene:
    """Run it at a terminal. `replaced`: what is typed and shown, by what is meant."""
    real = command
    for meant, shown in replaced.items():
        real = real.replace(shown, meant)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "-c", real], environment)  # a comment is one
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, COLUMNS, 0, 0))
    screen, began, rest = Screen(), time.monotonic(), b""
    for data in _output(terminal):
        rest += data
        text, rest = _whole(rest)
        for meant, shown in replaced.items():
            text = text.replace(meant, shown)
        screen.feed(text, time.monotonic() - began)
    os.close(terminal)
    os.waitpid(pid, 0)
    return Scene(command, screen.lines(), time.monotonic() - began)


def _output(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # EIO: nobody has it open any more
            return
        if not data:
            return
        yield data


def _whole(data: bytes) -> tuple[str, bytes]:
    """The lines that are whole, as text, and the beginning of the next."""
    end = data.rfind(b"\n") + 1
    return data[:end].decode("utf-8", "replace"), data[end:]


def draw(scenes: Sequence[Scene]) -> str:
    """The SVG."""
    rows: list[str] = []
    now = 0.6
    y = _BAR + _MARGIN + 6.0
    for scene in scenes:
        typing = len(scene.command) * _A_KEY
        rows.append(_prompt(scene.command, y, now, typing))
        y += _HEIGHT
        now += typing + 0.2
        for line in scene.lines:
            rows += [
                _row(part, y + number * _HEIGHT, now + line.at) for number, part in enumerate(_cut(line.text))
            ]
            y += _HEIGHT * len(_cut(line.text))
        now += scene.seconds + _PAUSE
        y += 5
    width, height = COLUMNS * _WIDTH + 2 * _MARGIN, y + 4
    lights = "".join(
        f'<circle cx="{20 + 20 * number}" cy="{_BAR / 2}" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' role="img" aria-label="a terminal: {escape(scenes[0].command)} …">\n<style>{_STYLE}</style>\n'
        f'<rect x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="9"'
        ' style="fill: var(--back); stroke: var(--edge)"/>\n'
        f'<path d="M1 {_BAR}V10a9 9 0 0 1 9-9H{width - 10:.0f}a9 9 0 0 1 9 9V{_BAR}z"'
        ' style="fill: var(--bar)"/>\n'
        f"{lights}\n" + "\n".join(rows) + "\n</svg>\n"
    )


def _cut(text: str) -> list[str]:
    """As a terminal goes on in the next line."""
    return [text[start : start + COLUMNS] for start in range(0, len(text), COLUMNS)] or [""]


def _prompt(command: str, y: float, at: float, typing: float) -> str:
    words, mark, comment = command.partition("  # ")
    parts = f'<tspan class="typed">{escape(words)}</tspan>' + (
        f'<tspan class="dim">{escape(mark + comment)}</tspan>' if mark else ""
    )
    shown = command[: COLUMNS - 2]
    assert shown == command, f"too long for the picture: {command}"
    return (
        f'<text class="row prompt" x="{_MARGIN}" y="{y:.0f}" style="animation-delay: {at - 0.3:.2f}s">$'
        "</text>"
        f'<text class="keys" x="{_MARGIN + 2 * _WIDTH:.1f}" y="{y:.0f}" {_length(command)}'
        f' style="animation-delay: {at:.2f}s; animation-duration: {typing:.2f}s;'
        f' animation-timing-function: steps({len(command)})">{parts}</text>'
    )


def _row(text: str, y: float, at: float) -> str:
    if not text.strip():
        return ""
    return (
        f'<text class="row" x="{_MARGIN}" y="{y:.0f}" {_length(text)} style="animation-delay: {at:.2f}s">'
        f"{escape(text)}</text>"
    )


def _length(text: str) -> str:
    """Columns stay under each other in whatever font there is."""
    return f'xml:space="preserve" textLength="{len(text) * _WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'


@contextmanager
def _place() -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """(the environment, what is shown for what) of a host with a registry, and nothing else yet."""
    from tests.support import images
    from tests.support.registry import Registry

    work = Path(tempfile.mkdtemp(prefix="containerizer-picture-"))
    program = work / "containerizer"
    options = f"--root {work}/root --state {work}/state"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m containerizer {options} "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{work}:{os.environ['PATH']}", "TERM": "xterm-256color"}
    try:
        with Registry.start(work / "registry") as registry:
            images.push(images.busybox(), registry.host, "busybox", "latest")
            yield environment, {registry.host: REGISTRY}
    finally:
        shutil.rmtree(work)


def main() -> int:
    with _place() as (environment, replaced):
        scenes = [record(command, environment, replaced) for command in SCENES]
    PICTURE.write_text(draw(scenes))
    for scene in scenes:
        print(f"$ {scene.command}", *(line.text for line in scene.lines), sep="\n")
    print(f"drawn: {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
