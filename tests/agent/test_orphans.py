"""What nobody would come for: removed when an agent starts, and nothing of anybody else's with it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from containerizer.agent.engine import Engine
from containerizer.containerizer import Containerizer
from containerizer.request import ContainerRequest
from isolators import ownership
from isolators.isolator import IsolatorFlags
from launcher.container_id import ContainerId
from launcher.io.loop import is_ready
from launcher.kernel import cgroups
from launcher.stdio import Pipes
from tests.agent import api
from tests.agent.conftest import Agents
from tests.agent.process import started
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "cgroup")

WEB = ContainerId("web")


def detached(agents: Agents, name: str = "web", **limits: Any) -> int:
    """A container that a process that is gone has launched; the pid of its task."""
    with Containerizer(root=str(agents.root), state=str(agents.state)) as owner:
        request = ContainerRequest.of("host", ["sleep", "1000"], name=name, pids=7, keep=True, **limits)
        container = owner.create(request, Pipes())
        container.start()
        container.detach()
        assert container.pid is not None
        return container.pid


def cgroup(agents: Agents, name: str = "web") -> str:
    return Cli(agents.root, agents.state).cgroup("pids", name)


def test_the_cgroups_of_a_container_whose_record_is_gone(agents: Agents) -> None:
    """Its task runs, and would for ever: no command finds it."""
    pidfd = os.pidfd_open(detached(agents))
    detached(agents, "web.inner")
    detached(agents, "other")
    shutil.rmtree(agents.state / "containers" / "web")

    async def scenario(engine: Engine) -> None:
        assert not os.path.exists(cgroup(agents))
        assert is_ready(pidfd)
        assert [record.container_id for record in await engine.containers()] == ["other"]
        assert cgroups.pids(cgroup(agents, "other"))

    agents.run(scenario)
    os.close(pidfd)


def test_those_of_a_nested_one_in_a_container_that_goes_on(agents: Agents) -> None:
    detached(agents)
    inner = os.pidfd_open(detached(agents, "web.inner"))
    shutil.rmtree(agents.state / "containers" / "web" / "containers" / "inner")

    async def scenario(engine: Engine) -> None:
        assert not os.path.exists(cgroup(agents, "web.inner"))
        assert is_ready(inner)
        assert (await engine.status(WEB)).running

    agents.run(scenario)
    os.close(inner)


def test_a_container_of_another_state_directory_is_left_alone(agents: Agents, tmp_path: Path) -> None:
    """It may have the same name."""
    other = Agents(tmp_path / "other")
    detached(agents)
    pid = detached(other)
    shutil.rmtree(agents.state / "containers" / "web")

    async def scenario(_: Engine) -> None:
        assert cgroup(agents) != cgroup(other)
        assert not os.path.exists(cgroup(agents))
        assert pid in cgroups.pids(cgroup(other))
        assert cgroups.read(cgroup(other), "pids.max") == "7"

    agents.run(scenario)
    other.remove_all()


def test_after_an_agent_that_was_killed(agents: Agents) -> None:
    with started(agents.root, agents.state) as agent:
        for name in ("web", "other"):
            api.launch(agent, name, "exec sleep 1000")
        (task,) = cgroups.pids(cgroup(agents))
        pidfd = os.pidfd_open(task)
        agent.kill()
    shutil.rmtree(agents.state / "containers" / "web")
    with started(agents.root, agents.state) as agent:
        assert not os.path.exists(cgroup(agents))
        assert is_ready(pidfd)
        assert [each["id"] for each in agent.get("/state")["containers"]] == ["other"]
        assert cgroups.pids(cgroup(agents, "other"))
        agent.stop()
    os.close(pidfd)


def test_what_is_given_out_once_is_given_back_for_who_is_gone(agents: Agents, tmp_path: Path) -> None:
    host = tmp_path / "host"
    users, gpus = host / "users", host / "gpus"
    detached(agents)
    flags = IsolatorFlags(own_state=str(agents.state), state=str(host))
    gone, web = (ownership.holder(flags, ContainerId(name)) for name in ("gone", "web"))
    elsewhere = ownership.holder(IsolatorFlags(own_state=str(tmp_path / "elsewhere")), WEB)
    os.makedirs(elsewhere)
    for directory, first in ((users, 0), (gpus, 10)):
        for number, holder in enumerate((gone, web, elsewhere), first):
            ownership.take(str(directory), holder, [str(number)], 1)
        os.symlink("web", directory / "old")  # of a version that did not say whose

    async def scenario(_: Engine) -> None:
        assert sorted(os.listdir(users)) == ["1", "2", "old"]
        assert sorted(os.listdir(gpus)) == ["11", "12", "old"]

    agents.run(scenario, isolator_flags=IsolatorFlags(state=str(host)))


def test_what_a_memory_cgroup_was_told_goes_with_it(agents: Agents) -> None:
    """A later container of the name must not inherit that it goes on without a victim."""
    detached(agents, oom_group=False, mem="64m")
    detached(agents, "other", oom_group=False, mem="64m")
    shutil.rmtree(agents.state / "containers" / "web")

    async def scenario(_: Engine) -> None:
        spared = agents.state / "oom-victims"
        assert not spared.exists() or os.listdir(spared) == ["ct-other"]

    agents.run(scenario)
