"""The agent as a process: how it starts and stops, who it listens to, and its endpoints."""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer.agent.credentials import hash_secret
from tests.agent import api, process
from tests.agent.process import AgentProcess, started
from tests.end_to_end.conftest import Cli
from tests.support.authority import Authority
from tests.support.disks import loop_device, numbers_of

pytestmark = pytest.mark.requires("root", "cgroup")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Cli]:
    """Commands on the agent's directories, whose containers are removed at the end."""
    cli = Cli(tmp_path / "root", tmp_path / "state")
    yield cli
    for container in reversed(cli.containers()):
        cli("rm", "--force", str(container["id"]))
    assert cli.left() == []


def test_only_its_owner_may_use_the_socket(here: Cli) -> None:
    with started(here.root, here.state) as agent:
        assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
        assert agent.request("GET", "/health") == (200, b"")
        assert agent.get("/version")["version"]
        assert agent.get("/flags")["flags"]["recover"] == "reconnect"
        assert agent.request("GET", "/no/such/thing")[0] == 404
        agent.stop()


def test_a_second_agent_on_the_same_directories_is_refused(here: Cli) -> None:
    with started(here.root, here.state) as agent:
        elsewhere = str(here.state) + "-other"
        for state in (str(here.state), elsewhere):
            argv = process.argv(here.root, Path(state))
            second = subprocess.run(argv, capture_output=True, text=True, timeout=process.TIMEOUT)
            assert second.returncode == 125
            assert f"agent {agent.process.pid} serves {here.root}" in second.stderr
        agent.stop()
    with started(here.root, here.state) as agent:
        agent.kill()
    with started(here.root, here.state) as agent:  # whose socket file was there
        agent.stop()


def test_an_unknown_flag_is_refused(here: Cli) -> None:
    done = subprocess.run(
        process.argv(here.root, here.state, "--no-such-flag=1"), capture_output=True, text=True
    )
    assert done.returncode == 125
    assert "--no-such-flag" in done.stderr


def test_a_container_outlives_agents_and_is_never_forgotten(here: Cli) -> None:
    script = "trap 'exit 9' TERM; while :; do sleep 0.1; done"
    launched = here("run", "-d", "host", "sh", "-c", script)
    name = launched.stdout.strip()
    with started(here.root, here.state) as agent:
        assert [each["id"] for each in agent.get("/state")["containers"]] == [name]
        agent.kill()
    with started(here.root, here.state) as agent:
        assert [each["container_id"] for each in agent.get("/containers")] == [name]
        agent.stop()
    assert here("stop", name).returncode == 0
    with started(here.root, here.state) as agent:
        (container,) = agent.get("/state")["containers"]
        assert (container["state"], container["exit_code"]) == ("terminated", 9)
        agent.stop()


def test_what_runs_is_measured(here: Cli) -> None:
    name = here("run", "-d", "-m", "64m", "host", "sleep", "60").stdout.strip()
    with started(here.root, here.state) as agent:
        (container,) = agent.get("/containers")
        assert container["status"]["state"] == "running"
        assert container["statistics"]["mem_limit_bytes"] == 64 << 20
        (statistics,) = agent.get("/monitor/statistics")
        assert statistics["executor_id"] == name
        assert agent.get("/containers?container_id=other") == []
        snapshot = agent.get("/metrics/snapshot")
        assert snapshot["slave/executors_running"] == 1
        assert snapshot["containerizer/mesos/container_destroy_errors"] == 0
        text = agent.request("GET", "/metrics")[1].decode()
        assert f'containerizer_container_memory_limit_bytes{{container="{name}"}} 6.7108864e+07' in text
        assert "containerizer_recovered_total 1.0" in text
        agent.stop()


# What the predecessor tells of every container, pressure and what takes flags of its own left out.
_TOLD = {
    *("timestamp", "processes", "threads", "cpus_user_time_secs", "cpus_system_time_secs", "cpus_limit"),
    *("cpus_nr_periods", "cpus_nr_throttled", "cpus_throttled_time_secs"),
    *("mem_total_bytes", "mem_limit_bytes", "mem_soft_limit_bytes", "mem_file_bytes", "mem_anon_bytes"),
    *("mem_cache_bytes", "mem_rss_bytes", "mem_mapped_file_bytes", "mem_unevictable_bytes"),
}


def test_everything_that_is_counted_is_told(here: Cli, tmp_path: Path) -> None:
    limits = ("-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--hugetlb", "2MB:4m")
    with loop_device(tmp_path / "image") as disk, started(here.root, here.state) as agent:
        read = f"dd if={disk} of=/dev/null bs=4k count=3 iflag=direct; exec sleep 1000"
        rate = ("--device-read-iops", f"{disk}:1000")
        launched = here("run", "-d", *limits, *rate, "host", "sh", "-c", read)
        name = launched.stdout.strip()
        assert name, launched.stderr
        while "sleep" not in here("top", name).stdout:
            os.sched_yield()
        (statistics,) = (each["statistics"] for each in agent.get("/monitor/statistics"))
        assert statistics.keys() >= _TOLD
        assert (statistics["cpus_limit"], statistics["mem_soft_limit_bytes"]) == (0.5, 32 << 20)
        assert statistics["hugetlb_bytes"]["2MB"] == 0
        (throttled,) = statistics["blkio_statistics"]["throttling"]
        assert ":".join(map(str, throttled["device"].values())) == numbers_of(disk)
        assert {"op": "READ", "value": 3 * 4096} in throttled["io_service_bytes"]
        text = agent.request("GET", "/metrics")[1].decode()
        assert f'containerizer_container_io_read_bytes_total{{container="{name}"}} 12288.0' in text
        assert f'containerizer_container_hugetlb_bytes{{container="{name}",size="2MB"}} 0.0' in text
        here("rm", "-f", name)
        agent.stop()


def test_files_of_a_sandbox(here: Cli) -> None:
    name = here("run", "-d", "host", "echo", "a line").stdout.strip()
    here("wait", name)
    with started(here.root, here.state) as agent:
        listed = [info["path"] for info in agent.get(f"/files/browse?path=/containers/{name}")]
        log = f"/containers/{name}/log"
        assert log in listed
        assert agent.get(f"/files/read?path={log}&offset=-1")["offset"] > 0
        assert "a line" in agent.get(f"/files/read?path={log}&offset=0")["data"]
        assert b"a line" in agent.request("GET", f"/files/download?path={log}")[1]
        assert f"/containers/{name}" in agent.get("/files/debug")
        for path, status in ((f"/containers/{name}/../../x", 404), ("/etc/passwd", 404), ("", 404)):
            assert agent.request("GET", f"/files/read?path={path}&offset=0")[0] == status
        assert agent.request("GET", f"/files/read?path={log}&offset=x")[0] == 400
        assert agent.request("GET", "/files/read")[0] == 400
        agent.stop()


# TCP ---------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("flags", [[], ["--tls-cert-file=c", "--tls-key-file=k"]])
def test_tcp_needs_tls_and_a_way_to_know_who_asks(here: Cli, flags: list[str]) -> None:
    argv = process.argv(here.root, here.state, "--listen=tcp:127.0.0.1:0", *flags)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=process.TIMEOUT)
    assert done.returncode == 125
    assert "the agent listens at TCP" in done.stderr


def over_tls(
    port: int, authority: Authority, headers: dict[str, str], client: str | None = None
) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if client is not None:
        certificate = authority.issue(client, client=True)
        context.load_cert_chain(certificate.certificate, certificate.key)
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=process.TIMEOUT)
    try:
        connection.request("GET", "/state", headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.requires("openssl")
def test_tcp_by_a_password_and_rules(here: Cli, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca")
    server = authority.issue("agent")
    pairs = ("ops", "guest")
    entries = [{"principal": name, "secret": hash_secret(f"{name}'s")} for name in pairs]
    (tmp_path / "credentials").write_text(json.dumps({"credentials": entries}))
    (tmp_path / "acls").write_text('rules = [{principals = ["ops"], calls = ["*"]}]')
    port = free_port()
    flags = [
        f"--listen=unix:{here.state}/agent.sock,tcp:127.0.0.1:{port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-key-file={server.key}",
        f"--http-credentials={tmp_path}/credentials",
        f"--acls={tmp_path}/acls",
    ]

    def ask(pair: str | None) -> int:
        encoded = base64.b64encode((pair or "").encode()).decode()
        return over_tls(port, authority, {"Authorization": f"Basic {encoded}"} if pair else {})[0]

    with started(here.root, here.state, *flags) as agent:
        assert ask("ops:ops's") == 200
        assert ask("guest:guest's") == 403
        assert ask("ops:guest's") == 401
        assert ask(None) == 401
        assert agent.request("GET", "/state")[0] == 403  # uid:0 is in no rule
        agent.stop()


@pytest.mark.requires("openssl")
def test_tcp_by_certificates(here: Cli, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca")
    server = authority.issue("agent")
    (tmp_path / "acls").write_text('rules = [{principals = ["ops"], calls = ["*"]}]')
    port = free_port()
    flags = [
        f"--listen=tcp:127.0.0.1:{port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-key-file={server.key}",
        f"--tls-ca-file={authority.certificate}",
        f"--acls={tmp_path}/acls",
    ]
    with started(here.root, here.state, *flags) as agent:
        assert over_tls(port, authority, {}, "ops")[0] == 200
        assert over_tls(port, authority, {}, "guest")[0] == 403
        with pytest.raises((ssl.SSLError, ConnectionError)):
            over_tls(port, authority, {})
        agent.stop()


def test_a_rule_hides_containers_everywhere(here: Cli, tmp_path: Path) -> None:
    everybody = 'principals = ["*"], calls = ["*"]'
    rules = f'rules = [{{{everybody}, containers = ["db*"], allow = false}}, {{{everybody}}}]'
    (tmp_path / "acls").write_text(rules)
    for name in ("db", "web"):
        here("run", "-d", "--name", name, "host", "sleep", "60")
    with started(here.root, here.state, f"--acls={tmp_path}/acls") as agent:
        for kind in ("KILL_CONTAINER", "WAIT_CONTAINER", "REMOVE_CONTAINER", "ATTACH_CONTAINER_OUTPUT"):
            for name in ("db", "db.inner"):
                assert api.call(agent, kind, container_id=api.container_id(name))[0] == 403
        assert api.call(agent, "LIST_FILES", path="/containers/db")[0] == 403
        assert agent.request("GET", "/files/browse?path=/containers/db/log")[0] == 403
        _, answer = api.call(agent, "GET_CONTAINERS", show_standalone=True)
        shown = [each["container_id"]["value"] for each in answer["get_containers"]["containers"]]
        assert shown == ["web"]
        assert [each["id"] for each in agent.get("/state")["containers"]] == ["web"]
        assert [each["container_id"] for each in agent.get("/containers")] == ["web"]
        assert list(agent.get("/files/debug")) == ["/containers/web"]
        assert api.kill(agent, "web") == 200
        agent.stop()


# Limits ------------------------------------------------------------------------------------------


def test_a_request_that_does_not_arrive_is_given_up(here: Cli) -> None:
    with started(here.root, here.state, "--request-timeout=200ms") as agent:
        with socket.socket(socket.AF_UNIX) as slow:
            slow.settimeout(process.TIMEOUT)
            slow.connect(str(agent.socket))
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            assert slow.recv(1024) == b""
        assert agent.request("GET", "/health")[0] == 200
        agent.stop()


def _posted(agent: AgentProcess, length: int, body: bytes) -> bytes:
    """The status line of the answer to a POST that says so much of its body, and sends this of it."""
    head = "POST /api/v1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {length}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(process.TIMEOUT)
        client.connect(str(agent.socket))
        client.sendall(head.encode() + body)
        return client.recv(1024).partition(b"\r\n")[0]


def test_a_body_is_bounded_in_time_and_size_as_the_flags_say(here: Cli) -> None:
    call = b'{"type": "GET_HEALTH"}'
    with started(here.root, here.state, "--request-timeout=200ms", "--max-request-size=100B") as agent:
        assert b" 200 " in _posted(agent, len(call), call)
        assert b" 400 " in _posted(agent, len(call), call[:5])
        assert b" 413 " in _posted(agent, 1 << 40, b"")
        assert b" 413 " in _posted(agent, 101, call)
        agent.stop()


def test_a_client_that_does_not_read_is_dropped(here: Cli) -> None:
    name = here("run", "-d", "host", "yes").stdout.strip()
    body = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": {"value": name}}}
    headers = {"Content-Type": "application/json", "Accept": "application/recordio"}
    with started(here.root, here.state, "--request-timeout=300ms") as agent:
        connection = process.UnixConnection(agent.socket)
        connection.request("POST", "/api/v1", json.dumps(body), headers)
        assert connection.getresponse().status == 200
        poll = select.poll()
        poll.register(connection.sock, 0)  # POLLHUP comes unasked for
        assert poll.poll(process.TIMEOUT * 1000)
        connection.close()
        agent.stop()


def test_more_requests_than_are_allowed_are_refused(here: Cli) -> None:
    name = here("run", "-d", "host", "sh", "-c", "head -c 30000000 /dev/zero; sleep 60").stdout.strip()
    with started(here.root, here.state, "--max-requests=1") as agent:
        first = process.UnixConnection(agent.socket)
        first.request("GET", f"/files/download?path=/containers/{name}/log.1")
        response = first.getresponse()
        response.read(1)  # the rest waits for us
        refused(agent)
        first.close()
        agent.stop()


def refused(agent: AgentProcess) -> None:
    assert agent.request("GET", "/health")[0] == 503


def test_what_is_no_http_fills_no_log(here: Cli, tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    with started(here.root, here.state, f"--log-file={log}") as agent:
        for text in (b"\0garbage\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 10_000 + b"\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(process.TIMEOUT)
                client.connect(str(agent.socket))
                client.sendall(text)
                assert b" 400 " in client.recv(1024).partition(b"\r\n")[0]
        agent.stop()
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("a request is no HTTP") == 2
