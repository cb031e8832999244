"""The leak checks find each kind of leak, and nothing else.

Each test leaks on purpose between two snapshots of its own and cleans up before the fixture looks.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import leaks

AT_ONCE = 0.0  # seconds of patience: what leaks here does not end by itself


@contextmanager
def running(*argv: str) -> Iterator[subprocess.Popen[str]]:
    """A process that lives until its standard input closes."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def test_nothing_leaks_from_doing_nothing() -> None:
    found = leaks.leaked(leaks.take())
    assert (found.own, found.host) == ([], ())


def test_a_process_left_running_is_named() -> None:
    before = leaks.take()
    with running("cat") as process:
        found = leaks.leaked(before, AT_ONCE)
    assert f"process {process.pid}: cat" in found.own


def test_an_orphan_is_found_and_ended() -> None:
    before = leaks.take()
    daemon = "sleep 1000 >/dev/null & echo $!"
    pid = int(subprocess.run(["setsid", "sh", "-c", daemon], stdout=subprocess.PIPE, check=True).stdout)
    found = leaks.leaked(before, AT_ONCE)
    assert f"process {pid}: sleep 1000" in found.own
    leaks.end(found)
    assert leaks.leaked(before, AT_ONCE).own == []


def test_a_process_that_is_ending_is_waited_for() -> None:
    before = leaks.take()
    reader, writer = os.pipe()
    pid = os.posix_spawnp("cat", ["cat"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)])
    os.close(reader)
    os.close(writer)
    assert leaks.leaked(before).own == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_an_ending_process_hands_down_is_waited_for_too() -> None:
    before = leaks.take()
    with running("sh", "-c", "cat & read line; exit") as process:
        os.kill(process.pid, signal.SIGKILL)
    assert leaks.leaked(before).own == []


def test_an_open_descriptor_is_named(tmp_path: Path) -> None:
    before = leaks.take()
    with (tmp_path / "open").open("w") as file:
        found = leaks.leaked(before, AT_ONCE)
        assert found.descriptors == (f"descriptor {file.fileno()}: {file.name}",)


def test_a_descriptor_in_an_unreachable_cycle_is_no_leak() -> None:
    before = leaks.take()
    holder: dict[str, object] = {"socket": socket.socket()}
    holder["self"] = holder
    with pytest.warns(ResourceWarning):
        del holder
        found = leaks.leaked(before, AT_ONCE)
    assert found.descriptors == ()


@pytest.mark.requires("root")
def test_a_mount_is_named(tmp_path: Path) -> None:
    before = leaks.take()
    subprocess.run(["mount", "-t", "tmpfs", "leak", tmp_path], check=True)
    try:
        found = leaks.leaked(before, AT_ONCE)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert any(leak.startswith(f"mount {tmp_path} (tmpfs") for leak in found.host)


@pytest.mark.requires("root", "cgroup1")
def test_a_cgroup_and_the_process_in_it_are_named() -> None:
    before = leaks.take()
    outer = Path("/sys/fs/cgroup/pids/containerizer-leak")
    inner = outer / "inner"
    inner.mkdir(parents=True)
    try:
        with running("sh", "-c", f"echo $$ > {inner}/cgroup.procs && echo && cat") as process:
            assert process.stdout is not None
            process.stdout.readline()
            found = leaks.leaked(before, AT_ONCE)
    finally:
        inner.rmdir()
        outer.rmdir()
    assert {f"cgroup {outer}", f"cgroup {inner}"} <= set(found.host)
    assert any(leak.startswith(f"process {process.pid} in {inner}: ") for leak in found.host)


@pytest.mark.requires("root", "tun")
def test_a_network_device_is_named() -> None:
    before = leaks.take()
    tun_set_iff, iff_tun = 0x400454CA, 0x0001  # linux/if_tun.h
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, tun_set_iff, struct.pack("16sH22x", b"leak0", iff_tun))
        found = leaks.leaked(before, AT_ONCE)
    assert "network device leak0" in found.host


@pytest.mark.parametrize("directory", leaks.STATE_DIRECTORIES)
def test_a_file_of_state_is_named(directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "STATE_DIRECTORIES", (f"{tmp_path}{directory}",))
    before = leaks.take()
    left = Path(f"{tmp_path}{directory}/some/state")
    left.parent.mkdir(parents=True)
    left.touch()
    assert {f"file {left.parent}", f"file {left}"} <= set(leaks.leaked(before, AT_ONCE).host)


def test_a_temporary_directory_of_ours_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "TEMPORARY", (str(tmp_path),))
    before = leaks.take()
    (tmp_path / "containerizer-left").mkdir()
    (tmp_path / "of-another-program").mkdir()
    assert leaks.leaked(before, AT_ONCE).host == (f"file {tmp_path}/containerizer-left",)


def test_two_sessions_see_each_other(tmp_path: Path) -> None:
    first = leaks.Alone(str(tmp_path))
    assert first
    second = leaks.Alone(str(tmp_path))
    assert not first
    assert not second
    second.close()
    assert first
    first.close()


LEAKY = """
import os
def test_that_leaks():
    os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
"""


def test_a_leaking_test_fails(tmp_path: Path) -> None:
    """The fixture is really there for every test: a session of its own, with one test that leaks."""
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    root = Path(__file__).parent.parent
    session = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*session, "-c", "/dev/null", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "left behind: process" in done.stdout
    assert "sleep 1000" in done.stdout


def test_a_child_that_ends_between_two_looks_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a zombie yet when it is tried to be reaped, and one when its end is waited for."""
    before = leaks.take()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    really = leaks._wait_for_an_end

    def ends_first(processes: set[leaks.Process], seconds: float) -> bool:
        child.stdin.close()  # type: ignore[union-attr]
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        return really(processes, seconds)

    monkeypatch.setattr(leaks, "_wait_for_an_end", ends_first)
    assert leaks.leaked(before).processes == {}
    child.returncode = 0  # it has been collected by the check
