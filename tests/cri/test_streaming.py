"""Exec, attach and port-forward as kubectl and crictl do them, over SPDY and over WebSocket."""

from __future__ import annotations

import json
import socket
import zlib
from collections.abc import Iterator

import pytest

from containerizer.cri.streaming.frames import DICTIONARY
from tests.cri.client import Client
from tests.cri.conftest import Pods
from tests.cri.streaming import OPENED, Spdy, TunnelledSpdy, WebSocket, ask, dictionary_of_the_document

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """Also where a test has failed before it could."""
    yield
    while OPENED:
        OPENED.pop().close()


SUCCESS = {"metadata": {}, "status": "Success"}
ALL = {"stdin": True, "stdout": True, "stderr": True}
SCRIPT = "echo out; echo err >&2; read line; echo got $line; cat; exit 7"


def failure(code: int) -> dict[str, object]:
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def exec_url(cri: Client, container: str, *command: str, **streams: bool) -> str:
    url: str = cri.Exec(container_id=container, cmd=list(command), **(streams or ALL)).url
    return url


def test_headers_are_compressed_against_the_document() -> None:
    assert dictionary_of_the_document() == DICTIONARY
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_a_command_over_spdy(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    client = Spdy(exec_url(cri, container, "sh", "-c", SCRIPT))
    assert client.headers["upgrade"] == "SPDY/3.1"
    assert client.headers["x-stream-protocol-version"] == "v4.channel.k8s.io"
    client.opens("error", "stdin", "stdout", "stderr")
    client.until("stdout", b"out\n")
    client.ping(1)
    client.send("stdin", b"a line\nand ")
    client.until("stdout", b"got a line\n")
    client.send("stdin", b"more", last=True)
    assert client.finish() == failure(7)
    assert client.received["stdout"] == b"out\ngot a line\nand more" and client.received["stderr"] == b"err\n"
    assert client.ended == {"error", "stdin", "stdout", "stderr"} and client.pongs == [1]


def test_a_command_over_websocket(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    for protocol in ("v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"):
        client = WebSocket(exec_url(cri, container, "sh", "-c", SCRIPT), protocol)
        client.until(1, b"out\n")
        client.until(2, b"err\n")
        client.message(9, b"are you there")
        client.send(0, b"a line\n")
        client.until(1, b"got a line\n")
        if protocol.startswith("v5."):
            client.send(255, b"\0")  # the end of stdin
            assert client.finish() == failure(7)
        else:  # which cannot tell it
            client.message(8, b"\x03\xe8")
        assert client.received[2] == b"err\n"


def test_older_protocols_tell_errors_as_text(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    for protocol, streams in (("v2.channel.k8s.io", True), ("channel.k8s.io", True)):
        client = Spdy(exec_url(cri, container, "sh", "-c", "exit 3", stdout=streams), protocol)
        client.opens("error", "stdout")
        assert client.finish() == b"command terminated with non-zero exit code: 3"
    plain = WebSocket(exec_url(cri, container, "echo", "hi", stdout=True), None)
    assert plain.finish() == b"" and plain.received[1] == b"hi\n"


def test_a_terminal_has_a_size(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    terminal = {"tty": True, "stdin": True, "stdout": True}
    script = "while [ \"$(stty size)\" != '33 111' ]; do read -t 0.1 x; done; echo it is; test -t 2"
    client = Spdy(exec_url(cri, container, "sh", "-c", script, **terminal))
    client.opens("error", "stdin", "stdout", "resize")
    client.send("resize", json.dumps({"Width": 111, "Height": 33}).encode() + b"\n")
    client.until("stdout", b"it is")
    assert client.finish() == SUCCESS
    other = WebSocket(exec_url(cri, container, "sh", "-c", script, **terminal))
    other.send(4, json.dumps({"Width": 111, "Height": 33}).encode())
    other.until(1, b"it is")
    assert other.finish() == SUCCESS


def test_a_client_that_hangs_up_ends_its_command(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    client = Spdy(exec_url(cri, container, "sh", "-c", "echo up; exec sleep 4711", stdout=True))
    client.opens("error", "stdout")
    client.until("stdout", b"up\n")
    client.connection.close()
    pods.sh(container, "while grep -q 471[1] /proc/[0-9]*/cmdline 2>/dev/null; do usleep 20000; done")


def test_what_cannot_be_run(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    client = Spdy(exec_url(cri, container, "/nothing", stdout=True))
    client.opens("error", "stdout")
    status = client.finish()
    assert status["reason"] == "InternalError" and "/nothing" in status["message"]


def test_attaching(pods: Pods, cri: Client) -> None:
    script = 'while read line; do echo "said $line"; done; echo over; exit 5'
    container = pods.start(pods.run(), ["sh", "-c", script], stdin=True, stdin_once=True)
    client = Spdy(cri.Attach(container_id=container, stdin=True, stdout=True, stderr=True).url)
    client.opens("error", "stdin", "stdout", "stderr")
    watcher = WebSocket(cri.Attach(container_id=container, stdout=True).url)
    watcher.frame()  # it is connected
    client.send("stdin", b"this\n")
    client.until("stdout", b"said this\n")
    watcher.until(1, b"said this\n")
    client.send("stdin", b"that\n", last=True)
    assert client.finish() == SUCCESS and watcher.finish() == SUCCESS
    assert client.received["stdout"].endswith(b"said that\nover\n")


def forwarded(cri: Client, pod: str, *ports: int) -> str:
    url: str = cri.PortForward(pod_sandbox_id=pod, port=list(ports)).url
    return url


@pytest.mark.parametrize("kind", [Spdy, TunnelledSpdy])
def test_ports_over_spdy(pods: Pods, cri: Client, kind: type[Spdy]) -> None:
    pod = pods.run()
    serve = "while :; do echo served | nc -l -p 8080; done"
    container = pods.start(pod, ["sh", "-c", serve])
    pods.sh(container, "until netstat -ltn | grep -q :8080; do usleep 20000; done")
    client = kind(forwarded(cri, pod), "portforward.k8s.io")
    for request, port in (("0", "8080"), ("1", "9")):
        for stream in ("error", "data"):
            client.open(f"{stream}{request}", streamType=stream, port=port, requestID=request)
    client.until("data0", b"served\n")
    client.until("error1", b"cannot forward port 9")
    client.open("bad", streamType="data", port="nonsense", requestID="2")
    assert client.refused == {"bad"}
    client.connection.close()


def test_ports_over_websocket(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    container = pods.start(pod, ["sh", "-c", "while :; do nc -l -p 8080 -e cat; done"])
    pods.sh(container, "until netstat -ltn | grep -q :8080; do usleep 20000; done")
    client = WebSocket(forwarded(cri, pod, 8080, 9), "v4.channel.k8s.io")
    client.until(3, (9).to_bytes(2, "little") + b"cannot forward port 9")
    client.send(0, b"there and back")
    client.until(0, (8080).to_bytes(2, "little") + b"there and back")
    client.connection.close()


def test_a_port_that_takes_nothing_holds_up_no_other_when_it_ends(pods: Pods, cri: Client) -> None:
    pod = pods.run()
    idle = "nc -l -p 8080 -e sh -c 'until test -e /tmp/over; do usleep 20000; done'"
    container = pods.start(pod, ["sh", "-c", f"{idle} & while :; do nc -l -p 8081 -e cat; done"])
    for port in (8080, 8081):
        pods.sh(container, f"until netstat -ltn | grep -q :{port}; do usleep 20000; done")
    client = WebSocket(forwarded(cri, pod, 8080, 8081), "v4.channel.k8s.io")
    unsent = client.fill(0)
    pods.sh(container, "touch /tmp/over")
    client.connection.sendall(unsent)
    client.send(2, b"there and back")
    client.until(2, b"there and back")
    client.connection.close()


def test_a_url_is_good_once(pods: Pods, cri: Client) -> None:
    url = exec_url(cri, pods.start(pods.run()), "true", stdout=True)
    client = Spdy(url)
    client.opens("error", "stdout")
    assert client.finish() == SUCCESS
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
    for again in (url, url.rpartition("/")[0] + "/guess", url.replace("/exec/", "/other/")):
        connection, (status, _, _) = ask(again, upgrade)
        connection.close()
        assert status == 404, again


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        ([], "POST", 400),
        ([("Upgrade", "h2c"), ("Connection", "Upgrade")], "POST", 400),
        ([("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v9.channel.k8s.io")], "POST", 403),
        ([("Upgrade", "websocket"), ("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", "x")], "GET", 400),
        ([("Upgrade", "SPDY/3.1")], "DELETE", 405),
    ],
)
def test_requests_that_are_refused(
    pods: Pods, cri: Client, headers: list[tuple[str, str]], method: str, status: int
) -> None:
    url = exec_url(cri, pods.start(pods.run()), "true", stdout=True)
    connection, (answered, _, _) = ask(url, headers, method)
    connection.close()
    assert answered == status


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x80\x02\x00\x01\x00\x00\x00\x00",  # another version
        b"\x80\x03\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01",  # a stream that ends early
        b"\x80\x03\x00\x01\x00\x00\x00\x0e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00abcd",  # no zlib
        b"\x00\x00\x00\x01\x00\xff\xff\xff",  # 16 MiB at once
    ],
)
def test_a_client_that_speaks_something_else(pods: Pods, cri: Client, garbage: bytes) -> None:
    client = Spdy(exec_url(cri, pods.start(pods.run()), "cat", **ALL))
    client.connection.sendall(garbage)
    assert client.connection.recv(1) == b"", "it is hung up on"
    client.connection.close()


def test_what_is_no_url_is_told(cri: Client, pods: Pods) -> None:
    url = exec_url(cri, pods.start(pods.run()), "true", stdout=True)
    host, _, port = url.removeprefix("http://").partition("/")[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(b"GET //[/exec/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_half_a_request_keeps_nobody(cri: Client, pods: Pods) -> None:
    url = exec_url(cri, pods.start(pods.run()), "true", stdout=True)
    host, _, port = url.removeprefix("http://").partition("/")[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as idle:
        idle.sendall(b"POST /exec/")
        client = Spdy(url)  # meanwhile others are served
        client.opens("error", "stdout")
        assert client.finish() == SUCCESS
