"""An agent as systemd starts a service with Delegate=: in a cgroup that it may change, and no other.

The cgroup is made here as systemd makes it, with the mark that says whose it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from isolators import ownership
from isolators.isolator import IsolatorFlags
from launcher.kernel import cgroups
from tests.agent import api
from tests.agent.process import started
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "cgroup2")

SLICE = f"agents{os.getpid()}.slice"
SERVICE = f"{SLICE}/agent.service"
ROOT = f"--cgroups-root={SERVICE}/containers"
DELEGATED = {"cpu", "memory", "pids"}


@pytest.fixture
def top() -> Path:
    return Path(next(h.mount_point for h in cgroups.hierarchies() if h.version == 2))


@pytest.fixture
def service(top: Path) -> Iterator[Path]:
    service = top / SERVICE
    service.mkdir(parents=True)
    for above in (top, service.parent):
        (above / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in DELEGATED))
    os.setxattr(service, "trusted.delegate", b"1")
    before = [(each / "cgroup.subtree_control").read_text() for each in (top, service.parent)]
    yield service
    assert before == [(each / "cgroup.subtree_control").read_text() for each in (top, service.parent)]
    assert [each.name for each in service.iterdir() if each.is_dir()] == [cgroups.LEAF]
    cgroups.remove(str(service.parent))


@pytest.fixture
def here(tmp_path: Path, service: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path / "root", tmp_path / "state")
    yield cli
    assert cli.left() == []
    shutil.rmtree(cli.state)
    ownership.sweep(f"{IsolatorFlags().state}/cgroup-roots")


def inside(cgroup: Path) -> Sequence[str]:
    """Executes a command there."""
    return ("sh", "-c", f'echo $$ >{cgroup}/cgroup.procs && exec "$@"', "sh")


def test_a_service_keeps_to_what_is_delegated_to_it(here: Cli, service: Path) -> None:
    containers = service / "containers"
    with started(here.root, here.state, ROOT, within=inside(service)) as agent:
        limits = {"mem": {"value": 32}, "cpus": {"value": 0.5}}
        api.launch(agent, "web", "exec sleep 60", limits=limits)
        api.launch(agent, "web.inner", "exec sleep 60")
        assert cgroups.pids(str(service)) == []
        assert agent.process.pid in cgroups.pids(str(service / cgroups.LEAF))
        assert len(cgroups.pids(str(containers / "ct-web" / "ct-inner"))) == 1
        assert (containers / "ct-web" / "memory.max").read_text() == f"{32 << 20}\n"
        assert (containers / "ct-web" / "cpu.max").read_text() == "50000 100000\n"
        done = here("run", "--isolation", "cgroups/hugetlb", "host", "true")
        assert done.returncode == 125
        assert f"controller hugetlb is not delegated to {service}" in done.stderr
        assert f"enable it in {service.parent}, by Delegate= of systemd's unit" in done.stderr
        agent.stop()
    # What runs stays, so the next agent has to begin in a subgroup: DelegateSubgroup= of systemd 254.
    with started(here.root, here.state, ROOT, within=inside(service / cgroups.LEAF)) as agent:
        assert {each["state"] for each in agent.get("/state")["containers"]} == {"running"}
        assert api.kill(agent, "web") == 200
        api.wait(agent, "web")
        assert api.remove(agent, "web") == 200
        agent.stop()
