"""The client library, which asks in protobuf, against an agent of its own."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile  # noqa: TID251 - of our own making
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer.api.describing import NANOSECONDS
from containerizer.api.proto.extensions_pb2 import ContainerSummary
from containerizer.api.proto.process_io_pb2 import ProcessIO
from containerizer.client import AgentClient, AgentFailed, AgentUnreachable, Credentials, returning
from containerizer.client.bridge import attached
from containerizer.client.client import NoSuchName, exit_code
from containerizer.nested import ExecRequest
from containerizer.request import ContainerRequest
from isolators.resources import Resources
from launcher import attach_protocol as wire
from launcher.attach import Hello, Output
from launcher.errors import InvalidRequest
from launcher.exit_status import ExitStatus
from launcher.process_attributes import Rlimit
from launcher.stdio import Pipes, Terminal
from tests.agent.process import started
from tests.api.conftest import Agent, new_id

pytestmark = pytest.mark.requires("root")


@pytest.fixture
def remote(agent: Agent) -> Iterator[AgentClient]:
    client = AgentClient(f"unix://{agent.socket}")
    yield client
    for container in others(client, ended=True):
        if not container.container_id.HasField("parent"):
            client.remove(container.container_id.value, force=True)


def others(client: AgentClient, *, ended: bool = False) -> list[ContainerSummary]:
    """Its containers but the first, which is not a test's."""
    first, *found = client.containers(ended=ended)
    assert first.container_id.value.startswith("first-")
    return found


def shell(script: str, **options: object) -> ContainerRequest:
    name = new_id("client")["value"]
    return ContainerRequest.of("host", ["sh", "-c", script], name=name, **options)  # type: ignore[arg-type]


def said(client: AgentClient, container: str) -> bytes:
    """All that it has written, once it has ended."""
    with client.logs(container, follow=True) as entries:
        return b"".join(entry.data for entry in entries)


# Life ------------------------------------------------------------------------------------------


def test_from_launch_to_removal(remote: AgentClient) -> None:
    name = str(remote.launch(shell("echo out; echo err >&2; exit 4")))
    ended = remote.wait(name)
    assert ended is not None
    assert exit_code(ended) == 4
    assert ended.created_at.nanoseconds <= ended.started_at.nanoseconds <= ended.finished_at.nanoseconds
    with remote.logs(name) as entries:
        assert {(each.stream, each.data) for each in entries} == {
            (ProcessIO.Data.STDOUT, b"out\n"),
            (ProcessIO.Data.STDERR, b"err\n"),
        }
    assert others(remote) == []
    remote.remove(name)
    with pytest.raises(AgentFailed) as caught:
        remote.wait(name)
    assert caught.value.status == 404


def test_a_wait_has_a_limit(remote: AgentClient) -> None:
    name = str(remote.launch(shell("exec sleep 1000")))
    assert remote.wait(name, 0.01) is None
    assert remote.inspect(name).running
    remote.kill(name)
    ended = remote.wait(name)
    assert ended is not None
    assert (exit_code(ended), ended.termination.message) == (137, "killed by SIGKILL")


def test_stop_asks_first(remote: AgentClient) -> None:
    name = str(remote.launch(shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")))
    with remote.output(name) as output:
        assert next(each.data.data for each in output if each.type == ProcessIO.DATA) == b"ready\n"
    remote.stop(name, 30)
    assert exit_code(remote.inspect(name)) == 7


def test_what_is_asked_arrives(remote: AgentClient) -> None:
    script = "echo $WORD; pwd; id -u; umask; ulimit -n; hostname; grep CapEff /proc/self/status"
    request = shell(
        script,
        env={"WORD": "çedilla"},
        working_directory="/usr",
        umask=0o027,
        hostname="afar",
        capabilities_drop=("ALL",),
        capabilities_add=("KILL",),
    )
    attributes = type(request.config.attributes)(rlimits={"nofile": Rlimit(soft=123, hard=456)})
    config = type(request.config)(**{**request.config.__dict__, "attributes": attributes})
    request = type(request)(**{**request.__dict__, "config": config})
    lines = said(remote, str(remote.launch(request))).decode().splitlines()
    assert lines == ["çedilla", "/usr", "0", "0027", "123", "afar", "CapEff:\t0000000000000020"]


def test_what_is_fetched_is_there_before_the_task(remote: AgentClient, agent: Agent) -> None:
    (agent.directory / "brought").write_text("from the agent's host\n")
    request = shell("cat brought", fetch=[f"{agent.directory}/brought"])
    assert said(remote, str(remote.launch(request))) == b"from the agent's host\n"


@pytest.mark.requires("cgroup")
def test_limits_and_their_change(remote: AgentClient) -> None:
    name = str(remote.launch(shell("exec sleep 1000", mem="64m", cpus=0.5, pids=20)))
    remote.update(name, Resources(memory=96 << 20))
    (container,) = others(remote)
    assert container.container_id.value == name
    with pytest.raises(AgentFailed) as caught:
        remote.update(new_id("nobody")["value"], Resources(memory=1 << 20))
    assert caught.value.status == 404


def test_what_an_agent_cannot_be_asked_is_refused_here(remote: AgentClient) -> None:
    with pytest.raises(InvalidRequest, match="hooks_dirs cannot be asked"):
        remote.launch(shell("true", hooks_dirs=("/hooks",)))


@pytest.mark.requires("cgroup")
def test_pause(remote: AgentClient) -> None:
    name = str(remote.launch(shell("exec sleep 1000")))
    remote.pause(name)
    assert [each.paused for each in others(remote)] == [True]
    remote.unpause(name)
    assert [each.paused for each in others(remote)] == [False]


def test_names_and_beginnings(remote: AgentClient) -> None:
    name = str(remote.launch(shell("exec sleep 1000")))
    own = str(remote.execute(name, ExecRequest(command=("sleep", "1000"))))
    assert remote.find(name) == remote.find(name[:-1]) == name
    assert remote.find(own) == own
    for text in ("nobody", f"{name}.nobody"):
        with pytest.raises(NoSuchName):
            remote.find(text)


def test_a_further_command(remote: AgentClient) -> None:
    name = str(remote.launch(shell("exec sleep 1000")))
    request = ExecRequest(
        command=("sh", "-c", "pwd; echo $WORD; exit 6"), environment={"WORD": "w"}, working_directory="/usr"
    )
    own = str(remote.execute(name, request))
    assert said(remote, own) == b"/usr\nw\n"
    ended = remote.wait(own)
    assert ended is not None
    assert exit_code(ended) == 6


# Streams ---------------------------------------------------------------------------------------


def test_a_log_is_followed_to_its_end(remote: AgentClient) -> None:
    name = str(remote.launch(shell("echo one; read line; echo $line"), Pipes(stdin=True)))
    with (
        remote.logs(name, follow=True) as entries,
        attached(remote, name, has_terminal=False, has_stdin=True) as attachment,
    ):
        assert next(entries).data == b"one\n"
        attachment.write(b"two\n")
        assert [entry.data for entry in entries] == [b"two\n"]
    with remote.logs(name, tail=1) as entries:
        assert [entry.data for entry in entries] == [b"two\n"]
    with remote.logs(name, since="9999") as entries:
        assert list(entries) == []


def test_a_bridge_is_an_attachment(remote: AgentClient) -> None:
    name = str(remote.launch(shell("cat; exit 3"), Pipes(stdin=True)))
    with attached(remote, name, has_terminal=False, has_stdin=True) as attachment:
        attachment.write(b"x" * wire.CHUNK)
        attachment.write(b"y\n")
        attachment.end_input()
        first, *events, last = attachment.events()
    assert first == Hello(False, True)
    assert b"".join(each.data for each in events if isinstance(each, Output)) == b"x" * wire.CHUNK + b"y\n"
    assert last == ExitStatus(code=3)


def test_a_bridge_passes_signals_and_sizes_on(remote: AgentClient) -> None:
    script = "trap 'stty size; exit 8' USR1; echo ready; while :; do sleep 0.01; done"
    name = str(remote.launch(shell(script), Terminal(rows=1, columns=2)))
    seen = b""
    with attached(remote, name, has_terminal=True, has_stdin=True) as attachment:
        for event in attachment.events():
            if isinstance(event, Output):
                seen += event.data
                if seen == b"ready\r\n":
                    attachment.resize(5, 6)
                    attachment.write(b"typed\n")  # which is echoed: the size is there by then
                if seen == b"ready\r\ntyped\r\n":
                    attachment.signal(10)
    assert seen.endswith(b"5 6\r\n")
    assert event == ExitStatus(code=8)


def test_a_session_outlives_its_agent(tmp_path: Path) -> None:
    """Whoever is attached comes back to the next agent: nothing is shown twice, or lost."""
    os.mkfifo(tmp_path / "fifo")
    script = (
        f"echo ready; read x < {tmp_path}/fifo; echo $x; while read line; do echo got $line; done; exit 6"
    )
    places = tmp_path / "root", tmp_path / "state"
    shown = b""

    def until(end: bytes) -> None:
        nonlocal shown
        while not shown.endswith(end):
            event = attachment.receive()
            shown += event.data if isinstance(event, Output) else b""

    with contextlib.ExitStack() as held:
        agent = held.enter_context(started(*places))
        remote = AgentClient(f"unix://{agent.socket}")
        name = str(remote.launch(shell(script), Pipes(stdin=True)))
        with attached(remote, name, has_terminal=False, has_stdin=True) as attachment:
            attachment.attach()
            until(b"ready\n")
            agent.kill()
            (tmp_path / "fifo").write_text("while nobody looks\n")
            agent = held.enter_context(started(*places))
            until(b"while nobody looks\n")
            attachment.write(b"one\n")
            until(b"got one\n")
            agent.kill()
            attachment.write(b"two\n")
            agent = held.enter_context(started(*places))
            until(b"got two\n")
            attachment.end_input()
            *_, last = attachment.events()
        assert last == ExitStatus(code=6)
        assert shown == b"ready\nwhile nobody looks\ngot one\ngot two\n"
        remote.remove(name)
        agent.stop()


@pytest.mark.parametrize(
    ("seen", "replay", "known"),
    [
        (b"", b"abc", 0),
        (b"abc", b"abc", 3),
        (b"xyzabc", b"abcd", 3),
        (b"abc", b"bcd", 2),
        (b"abc", b"xyz", 0),
        (b"line\n" * 9, b"line\n" * 10, 45),
        (b"x" * 90 + b"y" * 40, b"y" * 40 + b"z", 40),
        (b"abcabc", b"ab", 6),
    ],
)
def test_what_of_a_replay_was_seen(seen: bytes, replay: bytes, known: int) -> None:
    assert returning.overlap(seen, replay) == known


def test_to_leave_a_bridge_is_to_detach(remote: AgentClient) -> None:
    name = str(remote.launch(shell("echo up; exec sleep 1000")))
    with attached(remote, name, has_terminal=False, has_stdin=False) as attachment:
        attachment.receive()
        assert attachment.receive() == Output(wire.STDOUT, b"up\n")
    assert remote.inspect(name).running


def test_events_tell_of_a_life(remote: AgentClient) -> None:
    with remote.events() as events:
        name = str(remote.launch(shell("exit 2")))
        kinds = []
        for event in events:
            if event.subject == name:
                kinds.append(event.kind)
                if event.kind == "ended":
                    break
            else:
                assert event.kind == "heartbeat"
    assert kinds == ["launching", "launched", "ended"]
    assert event.details["exit_code"] == "2"
    assert abs(event.time.nanoseconds - remote.inspect(name).finished_at.nanoseconds) < 60 * NANOSECONDS


# Files -----------------------------------------------------------------------------------------


def archive_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_files_go_in_and_out(remote: AgentClient, agent: Agent) -> None:
    name = str(remote.launch(shell("exec sleep 1000")))
    directory = agent.directory / "copied"
    directory.mkdir()
    content = bytes(range(256)) * 4096  # more than a pipe holds
    archive = archive_of("file", content)
    remote.put_archive(
        name, str(directory), (archive[start : start + 70_000] for start in range(0, len(archive), 70_000))
    )
    assert (directory / "file").read_bytes() == content
    back = io.BytesIO(b"".join(remote.get_archive(name, str(directory / "file"))))
    with tarfile.open(fileobj=back) as read:
        member = read.extractfile("file")
        assert member is not None
        assert member.read() == content


def test_files_that_are_not_there(remote: AgentClient, agent: Agent) -> None:
    name = str(remote.launch(shell("exec sleep 1000")))
    with pytest.raises(AgentFailed, match="no such"):
        list(remote.get_archive(name, "/no/such/file"))
    with pytest.raises(AgentFailed):
        remote.put_archive(name, "/no/such/directory", [archive_of("file", b"x")])
    with pytest.raises(AgentFailed, match="no tar archive"):
        remote.put_archive(name, str(agent.directory), [b"this is none" * 100])


# The agent -------------------------------------------------------------------------------------


def test_the_agent_itself(remote: AgentClient) -> None:
    assert remote.metrics() == {"slave/cpus_total": 2.0, "slave/uptime_secs": 1.5}
    assert remote.version()
    assert remote.images() == []
    with pytest.raises(AgentFailed) as caught:
        remote.remove_image("nobody:latest")
    assert caught.value.status == 404
    with pytest.raises(AgentFailed, match="invalid pull policy"):
        remote.pull("busybox", policy="perhaps")


def test_nobody_at_the_url() -> None:
    with pytest.raises(AgentUnreachable, match="no agent at"):
        AgentClient("unix:///no/such/socket").version()


@pytest.mark.parametrize("url", ["", "agent", "ftp://x", "unix://", "https://", "https://me:secret@x"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(InvalidRequest):
        AgentClient(url)


def test_secrets_stay_here_without_tls() -> None:
    with pytest.raises(InvalidRequest, match="without TLS"):
        AgentClient("http://localhost:1", Credentials(token="secret"))
