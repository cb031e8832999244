"""cgroups/pressure: who has to wait for too long is told of, once, by the kernel's measure."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from isolators.cgroups.mem import CgroupsMem
from isolators.cgroups.pressure import CgroupsPressure, Threshold, threshold
from isolators.isolator import IsolatorFlags, Watch
from isolators.resources import Limitation, Resources
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from tests.isolators.support import CONFIG, WEB, go, task

FLAGS = IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}-pressure")
PATIENCE = 60  # seconds until a test gives up
SPIN = "while True: pass"
READ = """
import os
with open("{path}", "wb") as file:
    for _ in range(1000):
        file.write(bytes(1 << 20))
        file.flush()
        os.fdatasync(file.fileno())
        file.seek(0, os.SEEK_END if file.tell() < 200 << 20 else os.SEEK_SET)
"""

pytestmark = pytest.mark.requires("root", "cgroup")


def of_version(version: int, directory: Path) -> CgroupsPressure:
    """On a hybrid host v2 is what would be used."""
    wanted = "cgroup" if version == 1 else "cgroup2"
    with open(cgroups.MOUNTINFO) as file:
        lines = [line for line in file if f" - {wanted} " in line]
    mountinfo = directory / "mountinfo"
    mountinfo.write_text("".join(lines))
    if CgroupsPressure.find(str(mountinfo)) is None:
        pytest.skip(f"this host tells no pressure by cgroup v{version}")
    return CgroupsPressure(FLAGS, str(mountinfo))


@pytest.fixture
def v2(tmp_path: Path) -> Iterator[CgroupsPressure]:
    isolator = of_version(2, tmp_path)
    yield isolator
    isolator.cleanup(WEB)


@pytest.fixture
def v1(tmp_path: Path) -> Iterator[CgroupsPressure]:
    isolator = of_version(1, tmp_path)
    yield isolator
    isolator.cleanup(WEB)


def prepare(isolator: CgroupsPressure, **pressure: str) -> None:
    isolator.prepare(WEB, replace(CONFIG, resources=Resources(pressure=pressure)))


def wait_for(watch: Watch) -> Limitation:
    descriptor = watch.fileno()
    assert descriptor is not None
    for _ in range(2 * PATIENCE):
        assert select.select([descriptor], [], [], PATIENCE)[0]
        if told := watch.check():
            return told
    raise AssertionError("nothing was told")


def test_thresholds_are_read() -> None:
    assert threshold("150ms/1s") == Threshold("some", 150, 1000)
    assert threshold("full 1s/10s") == Threshold("full", 1000, 10_000)
    assert threshold("medium") == Threshold("some", 300, 1000)


@pytest.mark.parametrize("text", ["", "150", "0ms/1s", "2s/1s", "1ms/100ms", "1s/20s", "any 1s/2s", "much"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"invalid pressure {text!r}"):
        threshold(text)


def test_resources_are_known(v2: CgroupsPressure) -> None:
    v2.check(Resources(pressure={"memory": "none", "cpu": "low", "io": "full 150ms/1s"}))
    with pytest.raises(InvalidRequest, match="no pressure is known of 'disk'"):
        v2.check(Resources(pressure={"disk": "low"}))


def test_v1_has_levels_of_memory_only(v1: CgroupsPressure) -> None:
    v1.check(Resources(pressure={"memory": "low"}))
    for resource, text in (("cpu", "low"), ("memory", "150ms/1s")):
        with pytest.raises(InvalidRequest, match=f"cgroup v1 tells no pressure {text!r} of {resource}"):
            v1.check(Resources(pressure={resource: text}))


def test_what_nobody_asks_for_is_not_watched(v2: CgroupsPressure) -> None:
    prepare(v2)
    assert v2.watch(WEB) is None
    v2.update(WEB, Resources(pressure={"cpu": "low", "io": "none"}))
    watch = v2.watch(WEB)
    assert watch is not None
    watch.close()
    v2.update(WEB, Resources(pressure={"cpu": "none"}))
    assert v2.watch(WEB) is None


def test_who_waits_for_a_cpu_is_told_of_once(v2: CgroupsPressure) -> None:
    prepare(v2, cpu="50ms/500ms", memory="full 500ms/500ms")
    watch = v2.watch(WEB)
    assert watch is not None and watch.check() is None
    with ExitStack() as stack:
        for _ in range(2 * (os.cpu_count() or 1)):
            process = stack.enter_context(task(SPIN))
            cgroups.attach(v2.cgroup(WEB), process.pid)
            go(process)
        told = wait_for(watch)
        assert v2.status(WEB)["cpu_pressure"]["some"] >= 0
        assert watch.check() is None
    watch.close()
    assert (told.isolator, told.resource, told.fatal) == ("cgroups/pressure", "cpu_pressure", False)
    assert told.limit == 50 and told.usage and told.usage >= 50
    assert told.message.startswith("some of it waited for cpu: limit 50 ms within 500 ms, it was ")


def test_v1_tells_when_memory_is_hard_to_find(v1: CgroupsPressure, tmp_path: Path) -> None:
    prepare(v1, memory="low")
    mem = CgroupsMem(FLAGS)
    mem.limit(v1.cgroup(WEB), Resources(memory=16 << 20))
    watch = v1.watch(WEB)
    assert watch is not None and watch.check() is None
    with task(READ.format(path=tmp_path / "file")) as process:
        cgroups.attach(v1.cgroup(WEB), process.pid)
        go(process)
        told = wait_for(watch)
        assert watch.check() is None
    watch.close()
    assert (told.resource, told.fatal) == ("memory_pressure", False)
    assert told.message == "it is hard to find memory for it: low pressure"
