"""`make demo` keeps its promise, with a registry and without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.ordinary_user import ordinary_user

DEMO = Path(__file__).parent.parent / "docs" / "demo.py"
NOTHING_LEFT = "no process, mount, cgroup or file of all this is left"

pytestmark = pytest.mark.requires("root", "cgroup", "overlay", "busybox")


def demo(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, DEMO],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def seen(output: str, label: str) -> str:
    """What the task printed for one of the demo's sights."""
    lines = [line for line in output.splitlines() if line.startswith(f"   | {label} ")]
    return lines[-1].removeprefix(f"   | {label}").strip()


@pytest.mark.requires("registry")
def test_it_shows_what_the_task_sees() -> None:
    output = demo()
    assert "docker-registry listens on 127.0.0.1:" in output
    assert seen(output, "process id") == "1"
    assert seen(output, "processes").startswith("PID COMMAND 1 sh")
    assert seen(output, "network devices") == "lo"
    assert seen(output, "memory limit") == str(64 << 20)
    assert seen(output, "CPU quota, period") == "50000 100000"
    assert seen(output, "process limit") == "20"
    assert seen(output, "capabilities") == "00000000a80425fb"  # Docker's default set
    assert seen(output, "no new privileges") == "1"
    assert "memory limitation by cgroups/mem" in output
    assert "   | 20 processes\n" in output
    assert NOTHING_LEFT in output


def test_without_a_registry_it_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "busybox").symlink_to("/bin/busybox")
    output = demo(PATH=str(tmp_path))
    assert "docker-registry is not installed (apt-get install docker-registry); going on" in output
    assert seen(output, "process id") == "1"
    assert NOTHING_LEFT in output


@pytest.mark.requires("registry", "userns", "uidmap")
def test_an_ordinary_user_can_show_it(tmp_path: Path) -> None:
    with ordinary_user() as user:
        done = subprocess.run(
            user.python("/mnt/docs/demo.py"), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        user.run(user.image, "true")  # for those who leave
    assert seen(done.stdout, "user") == "root"
    assert seen(done.stdout, "capabilities") == "00000000a80425fb"
    assert "memory is not limited: cgroups/mem does, and lacks permission to make cgroups" in done.stdout
    assert "no-such-command" in done.stdout
    assert NOTHING_LEFT in done.stdout


@pytest.mark.requires("registry")
def test_stopped_half_way_it_still_cleans_up() -> None:
    with subprocess.Popen([sys.executable, DEMO], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "$ containerizer run" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
    assert process.returncode == 128 + signal.SIGINT
    assert NOTHING_LEFT in output
