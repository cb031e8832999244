"""A destroy that fails is tried again until it succeeds, and can be seen meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import cgroups_root
from containerizer.agent.engine import Engine
from containerizer.agent.metrics import Metrics
from containerizer.cleanup import CleanupFailed
from containerizer.request import ContainerRequest
from launcher.container_id import MAX_DEPTH
from tests.agent.conftest import Agents

pytestmark = pytest.mark.requires("root", "cgroup1")


@contextlib.contextmanager
def mounted_on(directory: Path, source: Path) -> Iterator[None]:
    source.mkdir()
    subprocess.run(["mount", "--bind", source, directory], check=True)
    try:
        yield
    finally:
        if directory.is_mount():
            subprocess.run(["umount", directory], check=True)


def test_what_cannot_be_taken_back_just_now_is_listed_and_tried_again(agents: Agents, tmp_path: Path) -> None:
    """The kernel removes no directory that something is mounted on: EBUSY."""

    async def scenario(engine: Engine) -> None:
        metrics = Metrics(engine)
        launch = await engine.launch(ContainerRequest.of("host", ["sleep", "60"], name="stuck"))
        cgroup = Path("/sys/fs/cgroup/pids", cgroups_root.own(str(agents.state)), "ct-stuck")
        with mounted_on(cgroup, tmp_path / "obstacle"), engine.events.subscribed() as events:
            with pytest.raises(CleanupFailed):
                await engine.destroy(launch.record.id)
            (failure,) = engine.keeper.failures.values()
            assert (failure.container_id, "ct-stuck" in failure.message) == ("stuck", True)
            while (event := await events.next()).kind != "destroy-failed" or event.details["attempts"] < 4:
                pass
            assert (await metrics.snapshot())["containerizer/mesos/container_destroy_errors"] >= 4
            assert b"containerizer_destroys_failing 1.0" in await metrics.text()
            subprocess.run(["umount", cgroup], check=True)
            assert (await engine.wait(launch.record.id)).exit_code == 137
            assert engine.keeper.failures == {}

    agents.run(scenario)


def test_a_tree_of_every_level_is_destroyed_from_its_top(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        ended: list[str] = []
        names = [".".join(["a"] * depth) for depth in range(1, MAX_DEPTH + 1)]
        for name in names:
            await engine.launch(ContainerRequest.of("host", ["sleep", "60"], name=name))
        engine.events.observe(lambda event: ended.append(event.subject) if event.kind == "ended" else None)
        await engine.destroy(await engine.find("a"))
        assert ended == names[::-1]

    agents.run(scenario)
