"""kubectl, by way of an API server that hands its streams on: over SPDY, and over WebSocket where it can."""

from __future__ import annotations

import hashlib
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cri.api_server import api_server
from tests.cri.client import Client
from tests.cri.conftest import Pods
from tests.end_to_end.person import at_terminal

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay", "kubectl")

TIMEOUT = 60  # seconds until a command counts as hung


class Kubectl:
    """Of one server."""

    def __init__(self, server: str, home: Path, *, websockets: bool) -> None:
        self._server = f"--server=http://{server}"
        kinds = ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS")
        chosen = {kind: str(websockets).lower() for kind in kinds}
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", **chosen}

    def argv(self, *arguments: str) -> list[str]:
        return ["kubectl", self._server, *arguments]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )


@pytest.fixture(params=[False, True], ids=["spdy", "websocket"])
def kubectl(request: pytest.FixtureRequest, cri: Client, tmp_path: Path) -> Iterator[Kubectl]:
    with api_server(cri) as server:
        yield Kubectl(server, tmp_path, websockets=request.param)


def test_commands_and_logs(kubectl: Kubectl, pods: Pods) -> None:
    pods.start(pods.run("web"), ["sh", "-c", "echo a line; exec sleep 1000"])
    done = kubectl.run("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n"), done
    assert "err\n" in done.stderr and "exit code 7" in done.stderr
    much = "text\n" * 100_000
    summed = kubectl.run("exec", "-i", "web", "-c", "main", "--", "sha256sum", stdin=much)
    assert summed.stdout.split() == [hashlib.sha256(much.encode()).hexdigest(), "-"], summed
    missing = kubectl.run("exec", "web", "--", "/nothing")
    assert missing.returncode == 1 and "/nothing" in missing.stderr
    assert kubectl.run("logs", "web").stdout == "a line\n"


def test_a_terminal(kubectl: Kubectl, pods: Pods) -> None:
    pods.start(pods.run("web"))
    until = b"until test \"$(stty size)\" = '33 111'; do usleep 20000; done"
    with at_terminal(kubectl.argv("exec", "-it", "web", "--", "sh"), kubectl.environment) as person:
        person.sees(b"# ")
        person.types(until + b"; echo it''is; exit 3\n")
        person.resizes(33, 111)
        person.sees(b"itis")
        assert person.sees_the_end() == 3


def test_attaching(kubectl: Kubectl, pods: Pods) -> None:
    script = 'read line; echo "said $line"; exec sleep 1000'
    streams = {"stdin": True, "annotations": {"stdin": "yes"}}
    pods.start(pods.run("web"), ["sh", "-c", script], **streams)
    argv = kubectl.argv("attach", "-i", "web")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, env=kubectl.environment, **pipes) as attached:
        assert attached.stdin is not None and attached.stdout is not None
        attached.stdin.write(b"this\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"said this\n"
        attached.kill()


def test_ports(kubectl: Kubectl, pods: Pods) -> None:
    answer = r"while :; do printf 'HTTP/1.0 200 OK\r\n\r\nserved' | nc -l -p 8080; done"
    container = pods.start(pods.run("web"), ["sh", "-c", answer])
    pods.sh(container, "until netstat -ltn | grep -q :8080; do usleep 20000; done")
    argv = kubectl.argv("port-forward", "pod/web", "--address=127.0.0.1", ":8080")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(argv, env=kubectl.environment, **pipes) as forwarding:
        assert forwarding.stdout is not None
        address = forwarding.stdout.readline().split()[2]  # Forwarding from 127.0.0.1:PORT -> 8080
        with urllib.request.urlopen(f"http://{address}", timeout=TIMEOUT) as response:
            assert response.read() == b"served"
        forwarding.kill()
