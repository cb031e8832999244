"""Disk limits of an agent's containers: as the agent has launched them, and after it was killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators import catalog
from tests.agent import api
from tests.agent.process import started
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "cgroup")

ISOLATION = "--isolation=" + ",".join((*catalog.DEFAULT, "disk/du"))
LIMIT = {"disk": {"value": 8}}  # MiB


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path / "root", tmp_path / "state")
    yield cli
    assert cli.left() == []
    assert not (cli.state / "disk").exists()


def script(here: Cli, name: str, first: str = "") -> str:
    """On the host's filesystem, where a task finds its sandbox by the host's path."""
    return f"{first}head -c 24m /dev/zero >{here.root}/containers/{name}/file; exec sleep 1000"


def check(told: dict[str, object]) -> None:
    assert told["exit_status"] == 9
    assert (told["state"], told["reason"]) == ("TASK_FAILED", "REASON_CONTAINER_LIMITATION_DISK")
    assert "limit 8.0 MiB" in str(told["message"])
    (limited,) = told["limitation"]["resources"]  # type: ignore[index]
    assert (limited["name"], limited["scalar"]) == ("disk", {"value": 8.0})


def test_a_limit_ends_a_container_and_is_told(here: Cli) -> None:
    name = f"disk-{os.getpid()}"
    with started(here.root, here.state, ISOLATION) as agent:
        api.launch(agent, name, script(here, name), limits=LIMIT)
        check(api.wait(agent, name))
        assert api.remove(agent, name) == 200
        agent.stop()


def test_a_limit_holds_while_no_agent_is_there(here: Cli, tmp_path: Path) -> None:
    name, fifo = f"disk-{os.getpid()}", tmp_path / "fifo"
    os.mkfifo(fifo)
    with started(here.root, here.state, ISOLATION) as agent:
        api.launch(agent, name, script(here, name, f"read line <{fifo}; "), limits=LIMIT)
        agent.kill()
    fifo.write_text("go\n")
    assert here("wait", name).stdout == "137\n"
    with started(here.root, here.state, ISOLATION) as agent:
        check(api.wait(agent, name))
        assert api.remove(agent, name) == 200
        agent.stop()


def test_a_limit_that_is_not_enforced_is_measured(here: Cli) -> None:
    name = f"disk-{os.getpid()}"
    flags = ("--enforce-container-disk-quota=false", "--container-disk-watch-interval=50ms")
    with started(here.root, here.state, ISOLATION, *flags) as agent:
        api.launch(agent, name, script(here, name), limits=LIMIT)
        measured: dict[str, int] = {}
        while int(measured.get("disk_used_bytes", 0)) < 24 << 20:
            (told,) = api.call(agent, "GET_CONTAINERS", show_standalone=True)[1]["get_containers"][
                "containers"
            ]
            measured = told["resource_statistics"]
        assert int(measured["disk_limit_bytes"]) == 8 << 20
        while not (reached := agent.get("/containers")[0]["status"]["limits_reached"]):
            assert agent.process.poll() is None
        assert [each["limitation"]["limit"] for each in reached] == [8 << 20]
        assert api.kill(agent, name) == 200
        assert api.wait(agent, name) == {"exit_status": 9}
        assert api.remove(agent, name) == 200
        agent.stop()


def test_where_others_are_named_a_limit_is_refused(here: Cli) -> None:
    """An agent without a choice of its operator's loads it with the request."""
    with started(here.root, here.state, "--isolation=cgroups/pids") as agent:
        asked = {"container_id": {"value": "refused"}, "command": {"value": "true"}, "limits": LIMIT}
        status, answer = api.call(agent, "LAUNCH_CONTAINER", **asked)
        assert (status, "add disk/du" in str(answer)) == (400, True)
        agent.stop()
