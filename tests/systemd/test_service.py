"""The agent as the service that docs/ has the units of."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.kernel import cgroups
from tests.systemd.control import TIMEOUT, TOP, inner_with_processes, journal, shown, systemctl, tree

pytestmark = pytest.mark.requires("root", "cgroup2", "systemd")

DOCS = Path(__file__).parents[2] / "docs"
UNITS = Path("/etc/systemd/system")
PROGRAM = Path("/usr/local/bin/containerizer")
AGENT, CONTAINERS = "containerizer-agent.service", "containerizer-containers.service"
DELEGATED = TOP / "system.slice" / CONTAINERS
PLACE = DELEGATED / "containers"


def command(*arguments: str) -> str:
    """What `containerizer` says, with the default directories; it must succeed."""
    argv = [sys.executable, "-m", "containerizer", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, (arguments, done.stderr, journal())
    return done.stdout.strip()


def of_agent(*arguments: str) -> str:
    return command("--agent", "unix:///run/containerizer/agent.sock", *arguments)


@pytest.fixture
def installed() -> Iterator[None]:
    """As the units say that they are."""
    for unit in (AGENT, CONTAINERS):
        shutil.copy(DOCS / unit, UNITS)
    PROGRAM.write_text(f'#!/bin/sh\nexec {sys.executable} -m containerizer "$@"\n')
    PROGRAM.chmod(0o755)
    settings = Path("/etc/containerizer")
    settings.mkdir(exist_ok=True)
    (settings / "agent.toml").write_text('gc_delay = "1weeks"\n')
    systemctl("daemon-reload")
    try:
        yield
    finally:
        subprocess.run([sys.executable, "-m", "containerizer", "rm", "-f", "web"], capture_output=True)
        systemctl("stop", AGENT, CONTAINERS)
        for unit in (AGENT, CONTAINERS):
            (UNITS / unit).unlink()
        PROGRAM.unlink()
        shutil.rmtree(settings)
        shutil.rmtree("/run/containerizer", ignore_errors=True)
        for left in Path("/var/lib/containerizer").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        systemctl("daemon-reload")


def around() -> dict[str, str]:
    """All cgroups that are none of its containers'."""
    return {path: controllers for path, controllers in tree(TOP).items() if not path.startswith(str(PLACE))}


def test_its_containers_are_in_what_is_delegated_and_outlive_it(installed: None) -> None:
    systemctl("start", AGENT)
    assert shown(CONTAINERS, "ControlGroup") == f"/system.slice/{CONTAINERS}"
    assert shown(AGENT, "Delegate") == shown(CONTAINERS, "Delegate") == "yes"
    before = around()
    of_agent(
        "run",
        "-d",
        "--name",
        "web",
        "-m",
        "32m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "9",
        "host",
        "sleep",
        "1000",
    )
    command("exec", "web", "true")
    web = PLACE / "ct-web"
    limits = {name: (web / name).read_text().strip() for name in ("memory.max", "cpu.max", "pids.max")}
    assert limits == {"memory.max": str(32 << 20), "cpu.max": "50000 100000", "pids.max": "9"}
    changed = {path: controllers for path, controllers in around().items() if before.get(path) != controllers}
    handed_on = changed.pop(str(DELEGATED))  # ours: nothing above it is written
    assert {"cpu", "memory", "pids"} <= set(handed_on.split())
    assert changed == {}
    assert inner_with_processes(TOP / "system.slice") == []
    (task,) = cgroups.pids(str(web))

    first = shown(AGENT, "MainPID")
    systemctl("restart", AGENT)
    assert shown(AGENT, "MainPID") != first
    assert "running" in of_agent("ps")
    of_agent("run", "--rm", "-m", "16m", "host", "true")

    systemctl("stop", AGENT)
    assert cgroups.pids(str(web)) == [task]
    systemctl("start", AGENT)
    assert "running" in of_agent("ps")
    of_agent("rm", "-f", "web")
    assert not web.exists()
    assert DELEGATED.is_dir()


def test_containers_outlive_the_reexecution_of_systemd_and_the_end_of_their_unit(installed: None) -> None:
    systemctl("start", AGENT)
    of_agent("run", "-d", "--name", "web", "-m", "32m", "host", "sleep", "1000")
    (task,) = cgroups.pids(str(PLACE / "ct-web"))
    systemctl("daemon-reexec")
    of_agent("update", "-m", "24m", "web")
    systemctl("stop", CONTAINERS)
    assert cgroups.pids(str(PLACE / "ct-web")) == [task]
    assert (PLACE / "ct-web" / "memory.max").read_text() == f"{24 << 20}\n"
    systemctl("restart", AGENT)  # systemd 252 cannot start the other one below containers
    of_agent("run", "--rm", "-m", "16m", "host", "true")
    of_agent("rm", "-f", "web")
