"""What the agent tells of a container by isolators that are not among the default ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.agent import api
from tests.agent.process import TIMEOUT, AgentProcess, started

pytestmark = pytest.mark.requires("root", "cgroup")

# The controller net_cls in sight of the agent only, if the host has it nowhere. It takes the kernel a moment
# to have it back of the last one who did so.
_MOUNT = """
grep -q 'cgroup .*net_cls' /proc/mounts && exec "$@"
for each in 1 2 3 4 5 6 7 8 9; do
    mount -t cgroup -o net_cls cgroup /mnt 2>/dev/null && exec "$@"
    sleep 0.3
done
echo "no hierarchy can be mounted" >&2
"""
_WITHIN = ("unshare", "--mount", "sh", "-c", _MOUNT, "sh")
_ISOLATION = "filesystem/linux,docker/runtime,namespaces/pid,cgroups/all"


def looked_at(agent: AgentProcess) -> dict[str, Any]:
    _, answer = api.call(agent, "GET_CONTAINERS", show_nested=True, show_standalone=True)
    (container,) = answer["get_containers"]["containers"]
    return dict(container)


def test_network_classes_and_counted_events(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    flags = ("--isolation", _ISOLATION, "--cgroups-net-cls-primary-handle", "0x12")
    more = ("--cgroups-net-cls-secondary-handles", "0x7,0x20", "--perf-events", "task-clock,page-faults")
    try:
        with started(root, state, *flags, *more, within=_WITHIN) as agent:
            api.launch(agent, "busy", "while :; do :; done")
            answer = looked_at(agent)
            first = answer["resource_statistics"]["perf_seconds"]
            deadline = time.monotonic() + TIMEOUT
            while answer["resource_statistics"]["perf_seconds"] == first:  # what was measured is kept a while
                assert time.monotonic() < deadline
                time.sleep(0.05)
                answer = looked_at(agent)
            assert 0x120007 <= answer["container_status"]["cgroup_info"]["net_cls"]["classid"] <= 0x120020
            second = answer["resource_statistics"]
            assert second["perf_events"]["task-clock"] > 0
            assert set(second["perf_events"]) == {"task-clock", "page-faults"}
            assert api.call(agent, "KILL_CONTAINER", container_id=api.container_id("busy"))[0] == 200
            assert api.call(agent, "WAIT_CONTAINER", container_id=api.container_id("busy"))[0] == 200
            assert api.call(agent, "REMOVE_CONTAINER", container_id=api.container_id("busy"))[0] == 200
            agent.stop()
    except AssertionError as error:
        if "no hierarchy can be mounted" in str(error):
            pytest.skip("no hierarchy with net_cls can be mounted")
        raise
