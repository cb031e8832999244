"""What a pull shows on a terminal."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer.cli.progress import LayerBars, Meter
from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.images import entry, layer


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
    assert any("downloading" in line for line in lines)
    assert columns == 40 or any("  [" in line for line in lines)
    assert lines[-1].split()[1] == "done"
    assert all(len(line) < (columns or 80) for line in lines)
    assert columns == 40 or lines[-1].endswith("iB"), "nothing is cut where there is room"


@pytest.mark.requires("root")
def test_more_layers_than_the_terminal_has_lines(fresh: Cli, tmp_path: Path) -> None:
    layers = [layer([entry(str(number), b"x")]) for number in range(40)]
    path = images.write_layout([("", images.image(*layers))], tmp_path / "layout")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 80, 0, 0))
    argv = [*fresh.argv, "pull", f"oci:{path}"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave) as pull:
        os.close(slave)
        shown = _read_to_end(master)
    assert pull.returncode == 0
    assert "40 of 40 layers" in shown.splitlines()[-1]
    assert all(int(up) < 10 for up in _between(shown, "\x1b[", "F"))


def _between(text: str, before: str, after: str) -> Iterator[str]:
    for part in text.split(before)[1:]:
        digits, found, _ = part.partition(after)
        if found and digits.isdigit():
            yield digits


@pytest.mark.requires("root", "registry", "busybox")
def test_plain_lines_and_lines_of_json(fresh: Cli, busybox: str) -> None:
    plain = fresh("pull", busybox)
    assert [line.split()[1] for line in plain.stderr.splitlines()] == ["downloading", "done"]
    fresh("rmi", busybox)
    done = fresh("pull", "--json", busybox)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    phases = [event["phase"] for event in events]
    assert phases[0] == "waiting" and "downloading" in phases and phases[-1] == "done"
    assert events[-1]["done"] == events[-1]["total"] > 0 and events[-1]["layer"].startswith("sha256:")
    assert json.loads(done.stdout)[0]["reference"] == f"{busybox}:latest"


class _Stalling(http.server.BaseHTTPRequestHandler):
    """A registry whose second layer stops in the midst, until the test is done."""

    parts: images.ImageParts
    stalled = threading.Event()
    over = threading.Event()
    stall = True

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        body = self.parts.blobs.get(name, self.parts.manifest)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", self.parts.manifest_type)
        self.end_headers()
        if self.stall and name == images.digest(self.parts.layers[1].blob):
            self.wfile.write(body[:1000])
            self.stalled.set()
            self.over.wait(60)
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_rate_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pull before had of a layer comes at once, and is not what the network gives."""
    clock = [0.0]
    monkeypatch.setattr("containerizer.cli.progress.time.monotonic", lambda: clock[0])
    meter = Meter()
    for second in range(9):
        clock[0] = float(second)
        meter.update("downloading", (100 << 20) + second * 1000, 200 << 20)
        assert meter.rate == (1000 if second else 0)
    clock[0] = 100.0
    meter.update("downloading", 101 << 20, 200 << 20)
    meter.update("unpacking", 200 << 20, 200 << 20)
    assert 0 < meter.rate < 20_000


def test_the_rate_shows_on_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("containerizer.cli.progress.time.monotonic", lambda: clock[0])
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(slave, "w") as terminal:
        bars = LayerBars(terminal)
        for done in (0, 1000 << 10):
            bars("sha256:0123456789abcdef", "downloading", done, 1000 << 20)
            clock[0] += 1.0
    line = _read_to_end(master).splitlines()[-1].rpartition("\x1b[2K")[2]
    assert line == "0123456789ab  downloading  [----------]  1000.0 KiB of 1000.0 MiB  1000.0 KiB/s"


@pytest.mark.requires("root")
def test_ctrl_c_keeps_what_was_verified(fresh: Cli) -> None:
    first, second = layer([entry("a", b"1")]), layer([entry("b", os.urandom(100_000))])
    _Stalling.parts = images.image(first, second)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stalling)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    name = f"127.0.0.1:{server.server_address[1]}/stalls"
    try:
        with fresh.start("pull", "--json", name) as pull:
            assert pull.stderr is not None
            while json.loads(pull.stderr.readline())["phase"] != "done":
                pass
            assert _Stalling.stalled.wait(60)
            pull.send_signal(signal.SIGINT)
            assert pull.wait(20) == 130
        _Stalling.stall = False
        again = [json.loads(line) for line in fresh("pull", "--json", name).stderr.splitlines()]
    finally:
        _Stalling.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
    last = {event["layer"]: event["phase"] for event in again}
    assert [last[images.digest(one.blob)] for one in (first, second)] == ["exists", "done"]


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
