"""Processes of a cgroup are stopped, resumed and killed: by v2, by v1's freezer, and without either."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.cgroups.freezer import CgroupsFreezer
from isolators.isolator import IsolatorFlags
from launcher.container_id import ContainerId
from launcher.kernel import cgroups, freezer
from launcher.kernel.cgroups import CgroupError
from tests.isolators.support import CONFIG, WEB, task

pytestmark = pytest.mark.requires("root")

ROOT = f"containerizer-test-{os.getpid()}"

ECHO = "for line in sys.stdin: print(line, end='', flush=True)"

# One process at a time, which forks the next and ends: whoever chases it by pid comes late.
HOPS = """
import ctypes, os
assert ctypes.CDLL(None).unshare(0x20000000) == 0  # CLONE_NEWPID: its init collects the dead
if os.fork():
    os.wait()
elif os.fork():
    while True: os.wait()
else:
    os.write(1, b'x')
    while True:
        if os.fork(): os._exit(0)
"""


@pytest.fixture(params=["v1 freezer", "v1 pids", "v1 cpu", "v2"])
def cgroup(request: pytest.FixtureRequest) -> Iterator[str]:
    """A cgroup in a hierarchy that can freeze, can forbid forks, can do neither, can do both."""
    version, _, controller = request.param.partition(" ")
    found = [
        h
        for h in cgroups.hierarchies()
        if f"v{h.version}" == version and (not controller or controller in h.controllers)
    ]
    if not found or not os.access(found[0].mount_point, os.W_OK):
        pytest.skip(f"no writable cgroup {request.param} hierarchy")
    yield cgroups.create(found[0], f"{ROOT}/ct-a", controller)
    cgroups.remove(os.path.join(found[0].mount_point, ROOT))


freezers = pytest.mark.parametrize("cgroup", ["v1 freezer", "v2"], indirect=True)


def write(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdin
    process.stdin.write(text)
    process.stdin.flush()


def answers(process: subprocess.Popen[bytes], seconds: float) -> bool:
    assert process.stdout
    return bool(select.select([process.stdout], [], [], seconds)[0])


@contextlib.contextmanager
def thawed_at_the_end(cgroup: str) -> Iterator[None]:
    """A test that fails must not leave what cannot even be killed."""
    try:
        yield
    finally:
        freezer.thaw(cgroup)


@freezers
def test_what_is_frozen_does_nothing_until_it_is_thawed(cgroup: str) -> None:
    with task(ECHO) as process, thawed_at_the_end(cgroup):
        cgroups.attach(cgroup, process.pid)
        freezer.freeze(cgroup)
        freezer.freeze(cgroup)
        assert freezer.is_frozen(cgroup)
        write(process, b"\nhello\n")
        assert not answers(process, 0.1)
        freezer.thaw(cgroup)
        freezer.thaw(cgroup)
        assert not freezer.is_frozen(cgroup)
        assert process.stdout
        assert process.stdout.readline() == b"hello\n"


@freezers
def test_an_empty_cgroup_is_frozen_at_once(cgroup: str) -> None:
    freezer.freeze(cgroup)
    assert freezer.is_frozen(cgroup)


@freezers
def test_a_frozen_process_is_killed(cgroup: str) -> None:
    with task(ECHO) as process, thawed_at_the_end(cgroup):
        cgroups.attach(cgroup, process.pid)
        freezer.freeze(cgroup)
        freezer.kill(cgroup)
        assert process.wait(10) == -signal.SIGKILL


def test_a_stopped_process_is_killed_and_those_below_too(cgroup: str) -> None:
    below = os.path.join(cgroup, "ct-b")
    os.mkdir(below)
    with task(ECHO) as one, task(ECHO) as other:
        cgroups.attach(cgroup, one.pid)
        cgroups.attach(below, other.pid)
        assert sorted(freezer.processes(cgroup)) == sorted([one.pid, other.pid])
        one.send_signal(signal.SIGSTOP)
        freezer.kill(cgroup)
        assert (one.wait(10), other.wait(10)) == (-signal.SIGKILL, -signal.SIGKILL)
    assert freezer.processes(cgroup) == []


def test_what_forks_while_it_is_killed_does_not_escape(cgroup: str) -> None:
    with task(HOPS) as process:
        cgroups.attach(cgroup, process.pid)
        write(process, b"\n")
        assert answers(process, 10)
        freezer.kill(cgroup)
        assert freezer.processes(cgroup) == []
        assert process.wait(10) == -signal.SIGKILL


def test_who_does_not_end_is_named(cgroup: str) -> None:
    """A process that nothing has killed yet stands for one that cannot be."""
    with task(ECHO) as process:
        cgroups.attach(cgroup, process.pid)
        with pytest.raises(CgroupError, match=rf"still there: {process.pid} \(python.*, state \w\)"):
            freezer._wait(cgroup, "cannot kill what is in", lambda: not freezer.processes(cgroup), 0.01)


def test_a_cgroup_that_is_gone_is_fine(cgroup: str) -> None:
    missing = os.path.join(cgroup, "missing")
    freezer.kill(missing)
    assert freezer.processes(missing) == []


@pytest.fixture(params=[1, 2])
def isolator(request: pytest.FixtureRequest, tmp_path: Path) -> CgroupsFreezer:
    """On v2 as on a host that has nothing else."""
    lines = [line for line in Path(cgroups.MOUNTINFO).read_text().splitlines() if " - cgroup" in line]
    fstype = " - cgroup2 " if request.param == 2 else " - cgroup "
    (tmp_path / "mountinfo").write_text("".join(f"{line}\n" for line in lines if fstype in line))
    hierarchy = CgroupsFreezer.find(str(tmp_path / "mountinfo"))
    if hierarchy is None or not os.access(hierarchy.mount_point, os.W_OK):
        pytest.skip(f"no writable cgroup v{request.param} with a freezer")
    return CgroupsFreezer(IsolatorFlags(cgroups_root=ROOT), str(tmp_path / "mountinfo"))


def test_a_container_is_paused_with_what_is_nested_in_it(isolator: CgroupsFreezer) -> None:
    nested = ContainerId("debug", WEB)
    isolator.prepare(WEB, CONFIG)
    try:
        isolator.prepare(nested, CONFIG)
        with task(ECHO) as process, thawed_at_the_end(isolator.cgroup(WEB)):
            cgroups.attach(isolator.cgroup(nested), process.pid)
            isolator.pause(WEB)
            assert isolator.paused(WEB)
            assert isolator.status(WEB)["paused"]
            write(process, b"\nhello\n")
            assert not answers(process, 0.1)
            isolator.resume(WEB)
            assert answers(process, 10)
            isolator.pause(WEB)
            isolator.kill(WEB, 10)
            assert process.wait(10) == -signal.SIGKILL
    finally:
        isolator.cleanup(nested)
        isolator.cleanup(WEB)
