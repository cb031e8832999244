"""Agents that are killed: the next one takes everything back, and knows how what ended has ended."""

from __future__ import annotations

import os
import select
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import record as records
from containerizer.agent.lock import DirectoryLocks
from containerizer.paths import Paths
from isolators import ownership
from isolators.isolator import IsolatorFlags
from launcher.container_id import ContainerId
from tests.agent import api
from tests.agent.process import TIMEOUT, AgentProcess, started
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "cgroup")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Cli]:
    """The agents' directories; whatever runs is removed at the end by a last agent."""
    cli = Cli(tmp_path / "root", tmp_path / "state")
    yield cli
    with started(cli.root, cli.state) as agent:
        for container in agent.get("/state")["containers"]:
            api.kill(agent, container["id"])
            api.wait(agent, container["id"])
        for container in agent.get("/state")["containers"]:
            api.remove(agent, container["id"])
        assert agent.get("/state")["failing_destroys"] == []
        agent.stop()
    assert cli.left() == []
    shutil.rmtree(cli.state)  # whose a chosen cgroups root is as long as it is there
    ownership.sweep(f"{IsolatorFlags().state}/cgroup-roots")


def paths(here: Cli) -> Paths:
    return Paths.of(str(here.root), str(here.state))


def states(agent: AgentProcess) -> dict[str, str]:
    return {each["id"]: each["state"] for each in agent.get("/state")["containers"]}


def end_of(pid: int) -> None:
    """Wait for a process that is not ours."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(TIMEOUT * 1000)
    os.close(pidfd)


def test_a_tree_is_taken_back_and_ends_as_it_would_have(here: Cli, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with started(here.root, here.state) as agent:
        api.launch(agent, "top", "sleep 60")
        api.launch(agent, "top.inner", f"read line < {fifo}; exit 6")
        api.launch(agent, "gone", "exit 5")
        api.wait(agent, "gone")
        agent.kill()
    with started(here.root, here.state) as agent:
        assert states(agent) == {"gone": "terminated", "top": "running", "top.inner": "running"}
        told: list[object] = []
        waiter = threading.Thread(target=lambda: told.append(api.wait(agent, "top.inner")))
        waiter.start()
        fifo.write_text("go\n")
        waiter.join(TIMEOUT)
        assert told == [{"exit_status": 6 << 8}]
        assert api.wait(agent, "gone") == {"exit_status": 5 << 8}
        agent.kill()


def test_what_ends_while_there_is_no_agent_is_known(here: Cli, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with started(here.root, here.state) as agent:
        api.launch(agent, "web", f"read line < {fifo}; exit 7")
        record = records.load(paths(here), ContainerId("web"))
        assert record.supervisor is not None
        agent.kill()
    fifo.write_text("go\n")
    end_of(record.supervisor)
    with started(here.root, here.state) as agent:
        assert api.wait(agent, "web") == {"exit_status": 7 << 8}
        agent.stop()


@pytest.fixture
def missed(here: Cli, tmp_path: Path) -> Cli:
    """`web` has ended with 7 under an agent that died before it saw that, but after the supervisor did so."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with started(here.root, here.state) as agent:
        api.launch(agent, "web", f"read line < {fifo}; exit 7")
        record = records.load(paths(here), ContainerId("web"))
        assert record.supervisor is not None
        agent.kill()
    locks = DirectoryLocks(str(here.state))
    fifo.write_text("go\n")
    end_of(record.supervisor)
    locks.close()
    assert records.load(paths(here), ContainerId("web")).termination is None, "no reaper has seen to it"
    return here


def test_the_next_agent_takes_back_what_its_predecessor_missed(missed: Cli) -> None:
    with started(missed.root, missed.state) as agent:
        assert api.wait(agent, "web") == {"exit_status": 7 << 8}
        agent.stop()


def test_anybody_takes_back_what_an_agent_missed(missed: Cli) -> None:
    assert "lost" in missed("ps").stdout
    assert missed("wait", "web").stdout == "7\n"
    assert missed("rm", "web").returncode == 0


def test_a_supervisor_that_looks_at_the_lock_does_not_turn_an_agent_away(here: Cli) -> None:
    held = DirectoryLocks(str(here.state), str(here.root))
    held.share()
    soon = threading.Timer(0.1, held.close)
    soon.start()
    DirectoryLocks(str(here.state), str(here.root)).close()  # here: a new process is too late to meet it
    soon.join()


def test_what_ends_after_an_agent_was_stopped_is_reaped(here: Cli, tmp_path: Path) -> None:
    """It shares its lock before it lets go, and until its end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with started(here.root, here.state) as agent:
        api.launch(agent, "web", f"read line < {fifo}; exit 7")
        supervisor = records.load(paths(here), ContainerId("web")).supervisor
        assert supervisor is not None
        agent.stop()
    locks = DirectoryLocks(str(here.state))
    locks.share()
    fifo.write_text("go\n")
    end_of(supervisor)
    locks.close()
    ended = records.load(paths(here), ContainerId("web")).ended
    assert ended is not None and ended.exit_code == 7


def test_a_limit_is_watched_by_the_next_agent_too(here: Cli, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    eater = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $x"
    limits = {"mem": {"value": 32}}
    with started(here.root, here.state) as agent:
        # Its first process is not who is killed: without a watch it would go on.
        script = f'read line < {fifo}; sh -c "{eater}"; sleep 60'
        api.launch(agent, "eater", script, limits=limits)
        agent.kill()
    with started(here.root, here.state) as agent:
        fifo.write_text("go\n")
        assert "memory" in api.wait(agent, "eater")["message"].lower()
        agent.stop()


@pytest.mark.parametrize("kind", ["WAIT_NESTED_CONTAINER", "WAIT_CONTAINER"])
def test_how_nested_containers_ended_is_told_by_the_next_agent(here: Cli, kind: str) -> None:
    """Until they are removed, by either call: a code, a signal, and a limit with its reason."""
    eater = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $x"
    scripts = {"code": "exit 7", "signal": "exec sleep 1000", "limit": eater}
    with started(here.root, here.state) as agent:
        api.launch(agent, "outer", "exec sleep 1000")
        for name, script in scripts.items():
            limits = {"limits": {"mem": {"value": 32}}} if name == "limit" else {}
            api.launch(agent, f"outer.{name}", script, **limits)
            if name == "signal":
                assert api.kill(agent, f"outer.{name}") == 200
            api.wait(agent, f"outer.{name}")
        agent.kill()
    told = {}
    with started(here.root, here.state) as agent:
        for name in scripts:
            status, answer = api.call(agent, kind, container_id=api.container_id(f"outer.{name}"))
            assert status == 200, answer
            told[name] = answer[kind.lower()]
        assert told["code"] == {"exit_status": 7 << 8}
        assert told["signal"] == {"exit_status": signal.SIGKILL}
        limited = told["limit"]
        assert (limited["state"], limited["reason"]) == ("TASK_FAILED", "REASON_CONTAINER_LIMITATION_MEMORY")
        assert [each["name"] for each in limited["limitation"]["resources"]] == ["mem"]
        assert "memory" in limited["message"].lower()
        agent.stop()


def test_who_has_lost_its_supervisor_is_destroyed(here: Cli) -> None:
    with started(here.root, here.state) as agent:
        api.launch(agent, "orphan", "sleep 60")
        record = records.load(paths(here), ContainerId("orphan"))
        agent.kill()
    assert record.supervisor is not None
    os.kill(record.supervisor, signal.SIGKILL)
    with started(here.root, here.state) as agent:
        assert api.wait(agent, "orphan") == {"exit_status": signal.SIGKILL}
        agent.stop()


def test_a_supervisor_that_is_killed_ends_its_container_only(here: Cli) -> None:
    with started(here.root, here.state) as agent:
        api.launch(agent, "one", "sleep 60")
        api.launch(agent, "two", "sleep 60")
        supervisor = records.load(paths(here), ContainerId("one")).supervisor
        assert supervisor is not None
        os.kill(supervisor, signal.SIGKILL)
        assert api.wait(agent, "one") == {"exit_status": signal.SIGKILL}
        assert states(agent) == {"one": "terminated", "two": "running"}
        agent.stop()


def test_half_a_launch_is_taken_back(here: Cli) -> None:
    dead = {"owner": 4194303, "owner_started": 1, "state": "provisioning"}
    record = records.ContainerRecord(container_id="half", image="host", keep=True, created_at=1e10, **dead)  # type: ignore[arg-type]
    records.reserve(paths(here), record)
    with started(here.root, here.state) as agent:
        assert api.wait(agent, "half") == {"exit_status": signal.SIGKILL}
        agent.stop()


def test_a_torn_record_is_no_obstacle(here: Cli) -> None:
    with started(here.root, here.state) as agent:
        api.launch(agent, "torn", "sleep 60")
        record = records.load(paths(here), ContainerId("torn"))
        agent.kill()
    Path(paths(here).record(ContainerId("torn"))).write_text('{"container_id"')
    assert record.supervisor is not None
    with started(here.root, here.state) as agent:
        end_of(record.supervisor)
        assert agent.get("/metrics/snapshot")["slave/recovery_errors"] == 1
        api.launch(agent, "after", "exit 0")
        api.wait(agent, "after")
        agent.stop()
    assert not os.path.exists(paths(here).container_state(ContainerId("torn")))


def test_cleanup_instead_of_recovery(here: Cli) -> None:
    with started(here.root, here.state) as agent:
        api.launch(agent, "old", "sleep 60")
        agent.stop()
    with started(here.root, here.state, "--recover=cleanup") as agent:
        assert api.wait(agent, "old") == {"exit_status": signal.SIGKILL}
        agent.stop()


@pytest.mark.requires("cgroup1")
def test_a_cgroups_root_of_the_operators_choice_is_everybodys(here: Cli) -> None:
    """Who ends a container after its agent is gone was not told of it."""
    root = f"containerizer-test-{os.getpid()}"
    cgroup = Path("/sys/fs/cgroup/pids", root)
    with started(here.root, here.state, f"--cgroups-root={root}") as agent:
        for name in ("first", "second"):
            api.launch(agent, name, "exec sleep 60")
        assert sorted(each.name for each in cgroup.glob("ct-*")) == ["ct-first", "ct-second"]
        agent.kill()
    assert here("update", "--pids-limit", "9", "first").returncode == 0
    assert (cgroup / "ct-first" / "pids.max").read_text() == "9\n"
    assert here("kill", "first").returncode == 0
    assert here("wait", "first").stdout == "137\n"
    assert not (cgroup / "ct-first").exists()
    with started(here.root, here.state) as agent:
        assert states(agent)["second"] == "running"
        assert (cgroup / "ct-second").exists()
        agent.stop()
