"""Processes that launch: what passes to them and back, and what a killed one costs."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from pathlib import Path

import pytest

from containerizer import cgroups_root, codec
from containerizer import record as records
from containerizer.agent.engine import Engine
from containerizer.agent.lanes.messages import Error, LaneFailed
from containerizer.agent.lanes.pool import LaneGone
from containerizer.agent.settings import EngineSettings
from containerizer.fetcher.options import FetchOptions
from containerizer.nested import ExecRequest
from containerizer.paths import Paths
from containerizer.request import ContainerRequest
from isolators import catalog
from isolators.isolator import IsolatorFlags, ProcessAttributes
from launcher.container_id import ContainerId
from launcher.data import Data, replace
from launcher.errors import CommandNotFound, ContainerizerError, InvalidRequest, LaunchFailed
from launcher.io.loop import is_ready
from launcher.kernel.libc import SyscallError
from launcher.launch_info import Mount
from launcher.process_attributes import CpuAffinity, Nice, OomScoreAdj, Policy, Rlimit
from launcher.stdio import Pipes
from provisioner.registry.options import Credentials, RegistryOptions
from tests.agent.conftest import Agents

WEB = ContainerId("web")

kernel = pytest.mark.requires("root", "cgroup")


def shell(script: str, name: str = "web", **options: object) -> ContainerRequest:
    return ContainerRequest.of("host", ["sh", "-c", script], name=name, **options)


def kill_lane(paths: Paths, container_id: ContainerId = WEB) -> None:
    """The one that has launched the container, or is about to; returns when it is dead."""
    pid = records.load(paths, container_id).owner
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert is_ready(pidfd, timeout=None)
    os.close(pidfd)


REQUEST = replace(
    ContainerRequest.of("busybox", ["a", "b"], name="web.inner", mem="64m", cpus=0.5, env={"A": ""}),
    mounts=(Mount(target="/a", fstype="tmpfs", flags=("ro",), options=(("size", "1m"), ("mode", "0700"))),),
)


@pytest.mark.parametrize(
    "item",
    [
        REQUEST,
        replace(REQUEST, config=replace(REQUEST.config, entrypoint=())),
        replace(
            REQUEST,
            config=replace(
                REQUEST.config,
                attributes=ProcessAttributes(
                    rlimits={"nofile": Rlimit(soft=1, hard=None)},
                    oom_score_adj=OomScoreAdj(value=5),
                    nice=Nice(value=3, policy=Policy.CLAMP),
                    cpu_affinity=CpuAffinity(cpus=(0, 1)),
                    sysctls={"net.core.somaxconn": "1"},
                ),
            ),
        ),
        ContainerRequest.of("host", ["true"], fetch=["/etc/hostname"]),
        ExecRequest(command=("true",), environment={"A": "b"}, container_id=ContainerId("exec-0", WEB)),
        EngineSettings(),
        EngineSettings(
            isolation=("namespaces/pid",),
            registries=RegistryOptions(insecure=("a:1",), credentials=Credentials(username="u")),
            fetch_options=FetchOptions(timeout=1.5),
            isolator_flags=IsolatorFlags(cgroups_root="other"),
        ),
    ],
)
def test_what_is_asked_arrives_unchanged(item: Data) -> None:
    import json

    arrived = codec.decode(type(item), json.loads(json.dumps(codec.encode(item))))
    if isinstance(item, EngineSettings) and item.isolation is not None:
        arrived = replace(arrived, isolation=tuple(arrived.isolation))  # type: ignore[attr-defined]
    assert arrived == item


def test_errors_keep_their_class_their_hint_and_their_notes() -> None:
    error = CommandNotFound("no such command", hint="look for it")
    error.add_note("and cleaning up failed")
    back = codec.decode(Error, codec.encode(Error.of(error))).exception()
    assert type(back) is CommandNotFound
    assert (str(back), back.hint) == (str(error), "look for it")
    assert back.__notes__ == ["and cleaning up failed"]


def test_errors_of_the_system_keep_their_number() -> None:
    back = Error.of(SyscallError("mount", errno.EBUSY, "/a")).exception()
    assert isinstance(back, SyscallError)
    assert (back.errno, back.operation, back.filename) == (errno.EBUSY, "mount", "/a")
    plain = Error.of(OSError(errno.ENOSPC, "no space", "/b")).exception()
    assert isinstance(plain, OSError)
    assert (plain.errno, plain.filename) == (errno.ENOSPC, "/b")


def test_a_defect_is_no_error_of_ours() -> None:
    back = Error.of(ValueError("odd")).exception()
    assert type(back) is LaneFailed
    assert str(back) == "ValueError: odd"


@kernel
def test_what_a_killed_one_has_launched_goes_on(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        await engine.launch(shell("read line; exit 7"), Pipes(stdin=True))
        waiter = asyncio.create_task(engine.wait(WEB))
        await asyncio.sleep(0)
        kill_lane(engine.paths)
        await engine.launch(shell("exit 0", "next"))
        async with await engine.attach(WEB) as stream:
            await stream.write(b"go\n")
        assert (await waiter).exit_code == 7
        await engine.remove(WEB)

    agents.run(scenario, launching_lanes=1)


@kernel
def test_a_limit_is_watched_when_the_one_that_did_is_killed(agents: Agents) -> None:
    eater = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $x"

    async def scenario(engine: Engine) -> None:
        # Its first process is not who is killed: without a watch it would go on.
        request = shell(f'read line; sh -c "{eater}"; sleep 60', mem="32m")
        await engine.launch(request, Pipes(stdin=True))
        kill_lane(engine.paths)
        await engine.launch(shell("exit 0", "next"))
        async with await engine.attach(WEB) as stream:
            await stream.write(b"go\n")
        termination = await engine.wait(WEB)
        assert termination.limitation is not None
        assert termination.limitation.resource == "memory"

    agents.run(scenario, launching_lanes=1)


@kernel
@pytest.mark.parametrize("fetch", [(), ("/etc/passwd",)])
def test_what_a_killed_one_is_launching_fails_and_leaves_nothing(
    agents: Agents, fetch: tuple[str, ...]
) -> None:
    async def scenario(engine: Engine) -> None:
        for _ in range(3):
            with pytest.raises(LaneGone):
                await engine.launch(
                    shell("sleep 60", fetch=fetch),
                    first=lambda owner: kill_lane(owner.paths),
                )
            assert await engine.containers() == []
            root = cgroups_root.own(str(agents.state))
            assert not list(Path("/sys/fs/cgroup").glob(f"*/{root}/ct-web"))
        await engine.launch(shell("exit 3", fetch=fetch))
        assert (await engine.wait(WEB)).exit_code == 3

    agents.run(scenario)


@kernel
def test_a_command_that_a_killed_one_is_launching_leaves_nothing(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        await engine.launch(shell("sleep 60"))
        own = ContainerId("session", WEB)
        with pytest.raises(LaneGone):
            await engine.execute(
                WEB,
                ExecRequest(command=("sleep", "60"), container_id=own),
                first=lambda owner: kill_lane(owner.paths, own),
            )
        assert [record.id for record in await engine.containers()] == [WEB]
        await engine.destroy(WEB)

    agents.run(scenario)


@kernel
def test_one_that_was_killed_at_rest_is_replaced(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        await engine.launch(shell("exit 3"))
        await engine.wait(WEB)
        kill_lane(engine.paths)
        await engine.remove(WEB)
        await engine.launch(shell("exit 4"))
        assert (await engine.wait(WEB)).exit_code == 4

    agents.run(scenario, launching_lanes=1)


@kernel
def test_who_waits_for_consent_can_be_given_up(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        loop = asyncio.get_running_loop()

        def destroy(_: object) -> None:
            asyncio.run_coroutine_threadsafe(engine.destroy(WEB), loop).result()

        with pytest.raises(LaunchFailed, match="destroyed"):
            await engine.launch(shell("sleep 60"), first=destroy)
        assert await engine.containers() == []
        await engine.launch(shell("exit 4"))  # by the same process
        assert (await engine.wait(WEB)).exit_code == 4

    agents.run(scenario, launching_lanes=1)


@kernel
def test_what_fails_before_the_task_runs_takes_the_launch_back(agents: Agents) -> None:
    def refuse(_: object) -> None:
        raise ContainerizerError("no")

    async def scenario(engine: Engine) -> None:
        with pytest.raises(ContainerizerError, match=r"^no$"):
            await engine.launch(shell("sleep 60"), first=refuse)
        assert await engine.containers() == []
        await engine.launch(shell("exit 4"))
        assert (await engine.wait(WEB)).exit_code == 4

    agents.run(scenario, launching_lanes=1)


@kernel
def test_what_few_ask_for_is_loaded_for_who_asks(agents: Agents) -> None:
    """By one process, before and after those who do not; if isolators are named, no other is loaded."""
    clock = "read up rest < /proc/uptime; test ${up%.*} -gt 5000000"

    async def scenario(engine: Engine) -> None:
        for name, options, code in (
            ("first", {}, 1),
            ("shifted", {"time_offsets": {"boottime": 6_000_000}}, 0),
            ("again", {"time_offsets": {"boottime": 7_000_000}}, 0),
            ("last", {}, 1),
        ):
            record = (await engine.launch(shell(clock, name, **options))).record
            assert ("namespaces/time" in record.isolation) == bool(options)
            assert (await engine.wait(record.id)).exit_code == code
            await engine.remove(record.id)

    agents.run(scenario, launching_lanes=1)

    async def fixed(engine: Engine) -> None:
        with pytest.raises(InvalidRequest, match="time_offsets"):
            await engine.launch(shell(clock, time_offsets={"boottime": 6_000_000}))

    agents.run(fixed, isolation=catalog.DEFAULT)


@kernel
def test_they_end_with_the_engine(agents: Agents) -> None:
    async def scenario(engine: Engine) -> int:
        await engine.launch(shell("sleep 60"))
        return records.load(engine.paths, WEB).owner

    assert not Path(f"/proc/{agents.run(scenario)}").exists()
