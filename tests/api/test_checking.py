"""Checks that a launch asks for: what they say, what fails by them, and that the next agent goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containerizer.api.proto.extensions_pb2 import Event
from containerizer.client import AgentClient
from containerizer.client.client import Stream
from tests.agent import api
from tests.agent.process import AgentProcess, started
from tests.support import images

pytestmark = pytest.mark.requires("root")

SOON = {"delay_seconds": 0, "interval_seconds": 0.05}


def command(script: str) -> dict[str, Any]:
    return {"shell": True, "value": script}


def launch(agent: AgentProcess, **options: Any) -> str:
    name = f"checked-{os.urandom(3).hex()}"
    api.launch(agent, name, "trap 'exit 9' TERM; while :; do sleep 0.01; done", options=options)
    return name


def said(events: Stream[Event], name: str, **expected: str) -> None:
    """Wait until the checks say so."""
    for event in events:
        if (event.kind, event.subject) == ("health", name) and expected.items() <= event.details.items():
            return
    raise AssertionError("the stream has ended")


def health(agent: AgentProcess, name: str) -> Any:
    _, answer = api.call(agent, "GET_CONTAINERS", show_standalone=True)
    (own,) = [
        c for c in answer["get_containers"]["containers"] if c["container_id"] == api.container_id(name)
    ]
    return own["health"]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    yield tmp_path / "root", tmp_path / "state"
    with started(tmp_path / "root", tmp_path / "state") as agent:
        client = AgentClient(f"unix://{agent.socket}")
        for each in client.containers(ended=True):
            if not each.container_id.HasField("parent"):
                client.remove(each.container_id.value, force=True)
        agent.stop()


def test_a_check_tells_and_the_next_agent_asks_again(places: tuple[Path, Path], tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    check = {"type": "COMMAND", "command": {"command": command(f"test -e {flag}")}, **SOON}
    with started(*places) as agent, AgentClient(f"unix://{agent.socket}").events() as events:
        name = launch(agent, check=check)
        said(events, name, passing="False", code="1")
        flag.touch()
        said(events, name, passing="True", code="0")
        assert health(agent, name) == {"passing": True, "code": 0, "message": ""}
        told = b'containerizer_health_reports_total{said="passing"} 1.0'
        assert told in agent.request("GET", "/metrics")[1]
        agent.kill()
    with started(*places) as agent, AgentClient(f"unix://{agent.socket}").events() as events:
        flag.unlink()
        said(events, name, passing="False")
        events.close()
        agent.stop()


def test_who_is_unhealthy_is_stopped(places: tuple[Path, Path]) -> None:
    asked = {"type": "COMMAND", "command": command("exit 4"), "grace_period_seconds": 0, **SOON}
    with started(*places) as agent, AgentClient(f"unix://{agent.socket}").events() as events:
        name = launch(agent, health_check={**asked, "consecutive_failures": 2})
        said(events, name, healthy="False", message="exited with 4")
        assert os.waitstatus_to_exitcode(api.wait(agent, name)["exit_status"]) == 9
        events.close()
        agent.stop()


@pytest.fixture
def image(tmp_path: Path) -> str:
    """One with a HEALTHCHECK."""
    test = ["CMD-SHELL", "test -e /flag"]
    config = {"Healthcheck": {"Test": test, "Interval": 50_000_000, "Retries": 2}}
    images.write_layout([("v1", images.busybox(config))], tmp_path / "layout")
    return f"oci:{tmp_path / 'layout'}:v1"


@pytest.mark.requires("overlay", "busybox")
def test_what_an_image_says_is_tried_and_ends_nothing(
    places: tuple[Path, Path], tmp_path: Path, image: str
) -> None:
    """It changes its mind, as with Docker; and the next agent goes on."""
    with started(*places) as agent, AgentClient(f"unix://{agent.socket}").events() as events:
        far = [sys.executable, "-m", "containerizer", "--agent", f"unix://{agent.socket}"]

        def run(*words: str) -> str:
            return subprocess.run([*far, *words], capture_output=True, text=True, timeout=60).stdout.strip()

        name = run("run", "-d", image, "sleep", "1000")
        said(events, name, healthy="False", message="exited with 1")
        assert "(unhealthy)" in run("ps")
        run("exec", name, "touch", "/flag")
        said(events, name, healthy="True")
        assert "(healthy)" in run("ps")
        none = run("run", "-d", "--no-healthcheck", image, "sleep", "1000")
        own = run("run", "-d", "--health-cmd", "exit 7", "--health-interval", "50ms", image, "sleep", "1000")
        said(events, own, healthy="False", message="exited with 7")
        shown = {line.split()[0]: line for line in run("ps").splitlines()}
        assert "health" not in shown[none]
        agent.kill()
    with started(*places) as agent, AgentClient(f"unix://{agent.socket}").events() as events:
        run("exec", name, "rm", "/flag")
        said(events, name, healthy="False")
        events.close()
        agent.stop()


def test_a_health_check_needs_a_command_and_an_agent(tmp_path: Path) -> None:
    def says(*words: str) -> str:
        places = ["--root", str(tmp_path / "r"), "--state", str(tmp_path / "s")]
        argv = [sys.executable, "-m", "containerizer", *places, "run", *words, "host", "true"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert done.returncode == 125
        return done.stderr

    assert "tried by an agent" in says("--health-cmd", "true")
    assert "invalid --health-interval '3'" in says("--health-interval", "3")
    assert "invalid --health-retries 0" in says("--health-retries", "0")
    assert "leave out one" in says("--no-healthcheck", "--health-cmd", "true")


def test_checks_that_make_no_sense_are_refused(places: tuple[Path, Path]) -> None:
    with started(*places) as agent:
        asked = {"container_id": api.container_id("never"), "command": command("true")}
        secret = {"name": "A", "type": "SECRET", "secret": {"type": "VALUE", "value": {"data": ""}}}
        for check in (
            {"type": "TCP"},
            {"type": "TCP", "tcp": {"port": 0}},
            {"type": "HTTP"},
            {"type": "HTTP", "http": {"port": 1, "statuses": [200]}},
            {"type": "COMMAND", "command": {**command("true"), "uris": [{"value": "http://x/y"}]}},
            {"type": "COMMAND", "command": {**command("true"), "environment": {"variables": [secret]}}},
        ):
            status, answer = api.call(agent, "LAUNCH_CONTAINER", **asked, options={"health_check": check})
            assert (status, "check" in answer) == (400, True), answer
        agent.stop()
