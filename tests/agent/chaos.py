"""Chaos: clients launch, nest, execute, update, attach and end, while what serves them is killed at random.

    python -m tests.agent.chaos --rounds 300        # longer than the suite has time for

Each client keeps accounts of its own containers. In the end, after a last start of the agent, they are
compared with what the agent tells: whatever was launched has exactly one termination until it is
removed, what failed has left nothing, and after the removal of all nothing is there.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from containerizer import record as records
from containerizer.paths import Paths
from launcher.container_id import ContainerId
from tests.agent import api
from tests.agent.process import TIMEOUT, AgentProcess, started

CLIENTS = 8
_REAPING = 0.02  # seconds between looks: to wait for any child would take the agent's status away
BROKEN = (OSError, http.client.HTTPException)  # the agent was killed while it answered
SCRIPTS = (
    "exit 3",
    "sleep 60",
    "echo some output; sleep 0.05; exit 4",
    "trap 'exit 5' TERM; sleep 60 & wait",
)


class Served:
    """Directories that always have an agent, but for moments."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths.of(str(directory / "root"), str(directory / "state"))
        self._directory = directory
        self._stack = contextlib.ExitStack()
        self._there = threading.Condition()
        self._agent: AgentProcess | None = None
        self._over = threading.Event()
        self._reaper = threading.Thread(target=self._reap, name="reaper")

    def __enter__(self) -> Served:
        self.start()
        self._reaper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._reaper.join(TIMEOUT)
        self._stack.close()

    def _reap(self) -> None:
        """Collect the orphans that come to a test session, a subreaper, as init would.

        A PID namespace does not end before every process in it was collected: pid_namespaces(7).
        """
        while not self._over.wait(_REAPING):
            agent = self._agent
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
                found = [each.read_text() for each in Path("/proc/self/task").glob("*/children")]
                for pid in map(int, " ".join(found).split()):
                    if agent is not None and pid != agent.process.pid:
                        with contextlib.suppress(ChildProcessError):
                            os.waitpid(pid, os.WNOHANG)

    def start(self) -> None:
        agent = self._stack.enter_context(started(self._directory / "root", self._directory / "state"))
        with self._there:
            self._agent = agent
            self._there.notify_all()

    def agent(self) -> AgentProcess:
        with self._there:
            assert self._there.wait_for(lambda: self._agent is not None, TIMEOUT)
            assert self._agent is not None
            return self._agent

    def kill_agent(self) -> None:
        agent = self.agent()
        with self._there:
            self._agent = None
        agent.kill()
        self._stack.close()
        self.start()

    def kill_lane(self, chance: random.Random) -> None:
        pid, lanes = self.agent().process.pid, list[int]()
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().startswith("ctz:lane"):
                    lanes.append(int(child))
        if lanes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(lanes), signal.SIGKILL)

    def kill_supervisor(self, chance: random.Random) -> None:
        running = [each for each in records.load_all(self.paths) if each.supervisor and not each.termination]
        if running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(running).supervisor or 0, signal.SIGKILL)


class Accounts:
    """What one client knows of its containers."""

    def __init__(self) -> None:
        self.launched: set[str] = set()
        self.failed: set[str] = set()
        self.unknown: set[str] = set()  # the agent was killed before it could say
        self.ended: dict[str, Any] = {}  # as it was told


class Client(threading.Thread):
    """Does a number of things, and keeps account."""

    def __init__(self, served: Served, number: int, rounds: int) -> None:
        super().__init__(name=f"client-{number}")
        self.accounts = Accounts()
        self.error: BaseException | None = None
        self._served = served
        self._number = number
        self._rounds = rounds
        self._chance = random.Random(number)

    def run(self) -> None:
        try:
            for number in range(self._rounds):
                self._round(f"chaos-{self._number}-{number}")
        except BaseException as error:
            self.error = error

    def _round(self, name: str) -> None:
        self._launch(name, self._chance.choice(SCRIPTS))
        if self._chance.random() < 0.5:
            self._launch(f"{name}.inner", self._chance.choice(SCRIPTS))
        if self._chance.random() < 0.3:
            self._call("EXEC", name, command={"value": "echo executed"})
        if self._chance.random() < 0.3:
            self._call("UPDATE_CONTAINER", name, limits={"mem": {"value": 64}})
        if self._chance.random() < 0.3:
            self._call("ATTACH_CONTAINER_OUTPUT", name, timeout=0.1)
        if self._chance.random() < 0.5:
            self._call("KILL_CONTAINER", name, signal=signal.SIGKILL)
            self._wait(name)
        if self._chance.random() < 0.3 and name in self.accounts.ended:
            status = self._call("REMOVE_CONTAINER", name)[0]
            removed = (name, f"{name}.inner")
            for each in removed:
                if each in self.accounts.launched and status in (0, 200):
                    self.accounts.launched.discard(each)
                    self.accounts.unknown |= {each} if status == 0 else set()

    def _launch(self, name: str, script: str) -> None:
        command = {"shell": False, "value": "/bin/sh", "arguments": ["sh", "-c", script]}
        status, _ = self._call("LAUNCH_CONTAINER", name, command=command)
        accounts = self.accounts
        (accounts.unknown if status == 0 else accounts.launched if status == 200 else accounts.failed).add(
            name
        )

    def _wait(self, name: str) -> None:
        status, answer = self._call("WAIT_CONTAINER", name)
        if status == 200:
            told = answer["wait_container"]
            assert self.accounts.ended.setdefault(name, told) == told

    def _call(self, kind: str, name: str, timeout: float | None = None, **fields: Any) -> tuple[int, Any]:
        """Status 0: nobody knows."""
        try:
            identity = api.container_id(name)
            return api.call(self._served.agent(), kind, timeout, container_id=identity, **fields)
        except BROKEN as error:
            assert timeout or not isinstance(error, TimeoutError), f"{kind} {name} hangs"
            return 0, None


def storm(directory: Path, rounds: int, seed: int = 1) -> None:
    """Raises AssertionError if the accounts do not balance."""
    chance = random.Random(seed)
    with Served(directory) as served:
        clients = [Client(served, number, rounds) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            chance.choice(
                [served.kill_agent, lambda: served.kill_lane(chance), lambda: served.kill_supervisor(chance)]
            )()
            clients[chance.randrange(CLIENTS)].join(chance.random())
        for client in clients:
            if client.error is not None:
                raise client.error
        assert any(client.accounts.launched or client.accounts.ended for client in clients), "nothing ran"
        served.kill_agent()
        balance(served, [client.accounts for client in clients])


def balance(served: Served, accounts: list[Accounts]) -> None:
    agent = served.agent()
    there = {each["id"] for each in agent.get("/state")["containers"]}
    for name in there:
        if "." not in name:
            api.kill(agent, name)
    ended = {name: _end(served, agent, name) for name in there}
    for account in accounts:
        assert account.launched <= there, f"forgotten: {account.launched - there}"
        assert not account.failed & there, f"failed, and yet there: {account.failed & there}"
        for name, told in account.ended.items():
            assert ended.get(name, told) == told
    there = {name for name in there if not ContainerId.parse(name).is_command}
    assert there <= {name for account in accounts for name in account.launched | account.unknown}
    for name in there:
        if "." not in name:
            assert api.remove(agent, name) == 200
    assert agent.get("/state")["containers"] == []
    assert agent.get("/state")["failing_destroys"] == []
    agent.stop()
    left = list(left_behind(served.paths))
    assert left == [], left


def _end(served: Served, agent: AgentProcess, name: str) -> Any:
    try:
        return api.wait(agent, name)
    except TimeoutError:
        record = records.load(served.paths, ContainerId.parse(name))
        raise AssertionError(f"{record} does not end; {agent.get('/state')['failing_destroys']}") from None


def left_behind(paths: Paths) -> Iterator[str]:
    for directory in (f"{paths.root}/containers", f"{paths.state}/containers", f"{paths.root}/store/leases"):
        with contextlib.suppress(FileNotFoundError):
            yield from (f"{directory}/{name}" for name in os.listdir(directory))
    mounts = Path("/sys/fs/cgroup")  # of v2 alone, or a directory of those of v1
    for hierarchy in (mounts, *mounts.iterdir()):
        yield from map(str, hierarchy.glob("containerizer*/ct-chaos-*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each client")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ct-chaos-") as directory:
        storm(Path(directory), arguments.rounds, arguments.seed)
    print("the accounts balance", file=sys.stderr)


if __name__ == "__main__":
    main()
