"""The posix launcher from the command line, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from launcher.errors import InvalidRequest
from launcher.stdio import Inherit

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def as_user(uid: int, home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of the user's, with its default directories."""
    environment = {"PATH": os.defpath, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(
        [sys.executable, "-m", "containerizer", *arguments],
        cwd=ROOT,
        env=environment,
        user=uid,
        group=uid,
        extra_groups=(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """Of an ordinary user, who may not reach what pytest makes for root."""
    ways = [*Path(sys.executable).parents, *Path(sys.executable).resolve().parents, ROOT]
    if not all(way.stat().st_mode & stat.S_IXOTH for way in ways):
        pytest.skip("this checkout or its interpreter lies where no other user may pass")
    with tempfile.TemporaryDirectory(prefix="containerizer-test-home-") as directory:
        if os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
        yield Path(directory)


@pytest.mark.requires("root")
def test_an_ordinary_user_runs_a_command(home: Path) -> None:
    command = ("run", "--launcher", "posix", "--ulimit", "nofile=64", "host", "sh", "-c")
    done = as_user(NOBODY, home, *command, "id -u; ulimit -n; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{NOBODY}\n64\n", "")
    (listed,) = json.loads(as_user(NOBODY, home, "ps", "--all", "--json").stdout)
    assert listed["running"] is False
    name = os.listdir(home / ".local/share/containerizer/containers")[0]
    assert as_user(NOBODY, home, "rm", name).returncode == 0
    assert json.loads(as_user(NOBODY, home, "ps", "--all", "--json").stdout) == []


@pytest.mark.requires("root")
def test_the_directories_are_those_of_xdg(home: Path) -> None:
    variables = {"XDG_DATA_HOME": f"{home}/data", "XDG_RUNTIME_DIR": f"{home}/runtime"}
    for directory in variables.values():
        Path(directory).mkdir()
        os.chown(directory, NOBODY, NOBODY)
    command = ("run", "--launcher", "posix", "--name", "web", "host", "true")
    assert as_user(NOBODY, home, *command, **variables).returncode == 0
    assert (home / "data/containerizer/containers/web").is_dir()
    assert (home / "runtime/containerizer/containers/web").is_dir()


@pytest.mark.requires("root")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--isolation", "namespaces/pid"), "isolator namespaces/pid does not work with the posix launcher"),
        (("--nice", "3"), "no loaded isolator enforces nice"),
        (("--memory", "64m"), "no loaded isolator enforces memory"),
    ],
)
def test_what_it_cannot_do_is_refused(home: Path, options: tuple[str, ...], text: str) -> None:
    done = as_user(NOBODY, home, "run", "--launcher", "posix", *options, "host", "true")
    assert done.returncode == 125
    assert text in done.stderr


def test_an_image_is_refused(tmp_path: Path) -> None:
    containerizer = Containerizer(root=str(tmp_path / "r"), state=str(tmp_path / "s"), launcher="posix")
    with pytest.raises(InvalidRequest, match="the posix launcher cannot change the root filesystem"):
        containerizer.launch("busybox", ["true"])
    with pytest.raises(InvalidRequest, match="unknown launcher 'vm'"):
        Containerizer(root=str(tmp_path / "r"), state=str(tmp_path / "s"), launcher="vm")


def test_a_program_launches_without_namespaces(tmp_path: Path) -> None:
    root, state = str(tmp_path / "r"), str(tmp_path / "s")
    with Containerizer(root=root, state=state, launcher="posix") as containerizer:
        container = containerizer.launch("host", ["sleep", "1000"])
        assert container.pid is not None
        assert os.getsid(container.pid) == container.pid
        termination = container.destroy()
    assert termination is not None
    assert termination.exit_status.signal == 9


@pytest.mark.requires("root")
def test_what_a_task_uses_is_measured_for_an_ordinary_user(home: Path) -> None:
    program = "held = bytearray(24 << 20); print('held', flush=True); import sys; sys.stdin.read()"
    options = ("--rm", "--name", "used", "--launcher", "posix", "-i", "--memory-reservation", "4m")
    with subprocess.Popen(
        [sys.executable, "-m", "containerizer", "run", *options, "host", sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.defpath, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        stats = ("stats", "--no-stream", "--json", "--interval", "0.05", "used")
        (told,) = json.loads(as_user(NOBODY, home, *stats).stdout)
        assert (told["processes"], told["memory_soft_limit_bytes"]) == (1, 4 << 20)
        assert 24 << 20 <= told["memory_bytes"] < 64 << 20
        assert told["cpu_user_seconds"] + told["cpu_system_seconds"] > 0
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert os.listdir(home / ".local/share/containerizer/run") == ["containers"]


@pytest.mark.requires("root")
def test_a_soft_limit_is_told_to_who_waits(tmp_path: Path) -> None:
    program = "held = bytearray(24 << 20); import sys; sys.stdin.read()"
    with Containerizer(root=str(tmp_path / "root"), state=str(tmp_path / "state"), launcher="posix") as owner:
        readable, writable = os.pipe()
        with open(readable), open(writable, "w") as held:
            stdio = Inherit(readable, 1, 2)
            argv = [sys.executable, "-c", program]
            container = owner.launch("host", argv, memory_reservation=4 << 20, stdio=stdio)
            container.on_reached = lambda _: held.close()  # which lets the task end
            termination = container.wait(60)
        assert termination is not None
        assert (termination.exit_code, termination.limitation) == (0, None)
        assert [each.isolator for each in container.reached] == ["posix/mem"]
