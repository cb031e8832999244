"""Many runs at once, and pulls at once: what is left is what was there."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import leaks
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

RUNS = 200
AT_ONCE = 8


def tree(top: Path) -> dict[str, str]:
    """Every path below, with what identifies its contents."""
    return {
        str(path.relative_to(top)): _identity(path) for path in sorted(top.rglob("*")) if path.name != "lock"
    }


def _identity(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return oct(path.lstat().st_mode)


def test_two_hundred_runs_leave_the_host_and_the_store_as_they_were(
    cli: Cli, busybox: str, alone: leaks.Alone
) -> None:
    assert cli("run", "--rm", busybox, "true").returncode == 0
    before, store = leaks.take(), tree(cli.root)

    def run(number: int) -> tuple[int, str]:
        limits = ("-m", "64m", "--cpus", "0.5", "--pids-limit", "20")
        done = cli("run", "--rm", *limits, busybox, "sh", "-c", f"echo {number}; exit {number % 7}")
        return done.returncode, done.stdout + done.stderr

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(run, range(RUNS)))
    assert results == [(number % 7, f"{number}\n") for number in range(RUNS)]
    left = leaks.leaked(before)
    assert left.own == []
    assert left.host == () or not alone, "another session of these tests may have made it"
    assert tree(cli.root) == store


def test_two_pulls_at_once_end_in_one_store_whole(fresh: Cli, busybox: str) -> None:
    with fresh.start("pull", busybox) as first, fresh.start("pull", busybox) as second:
        processes = (first, second)
        outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(fresh("images", "-q").stdout.split()) == 1
    done = fresh("run", "--rm", "--pull", "never", busybox, "echo", "whole")
    assert done.stdout == "whole\n"
    reference = Cli(fresh.root.parent / "alone", fresh.state)
    assert reference("pull", busybox).returncode == 0
    assert tree(fresh.root / "store" / "layers") == tree(reference.root / "store" / "layers")
