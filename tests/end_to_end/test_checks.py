"""Checks in real containers: what serves there, listens on the container's own network only."""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from containerizer import Container, Containerizer
from containerizer.checks.check import Action, Check, Command, Grpc, Http, Result, Tcp
from containerizer.checks.network import socket_in
from containerizer.checks.runner import Runner, try_once
from containerizer.checks.state import LIVENESS, READINESS, Event
from containerizer.record import ContainerRecord
from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.authority import Authority
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

_TIMEOUT = 30  # seconds until a test counts as hung


@pytest.fixture
def containerizer(directories: Path) -> Iterator[Containerizer]:
    with Containerizer(root=str(directories / "root"), state=str(directories / "state")) as running:
        yield running


@pytest.fixture
def container(containerizer: Containerizer, busybox: str) -> Container:
    return containerizer.launch(busybox, ["sleep", "1000"])


@contextlib.contextmanager
def _serving(
    record: ContainerRecord, serve: Callable[[socket.socket], None], address: str = "127.0.0.1"
) -> Iterator[int]:
    """Serve connections in the container's network, one after the other; the port."""
    with socket_in(record, socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.bind((address, 0))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):  # shut down
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answer(connection: socket.socket, status: int, context: ssl.SSLContext | None = None) -> None:
    if context is not None:
        connection = context.wrap_socket(connection, server_side=True)
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status)


def _trickle(connection: socket.socket) -> None:
    """A header that never ends, as fast as it is taken."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while connection.send(b"A: b\r\n"):
        if select.select([connection], [], [], 0.01)[0]:
            return


def _grpc(connection: socket.socket, statuses: dict[bytes, int]) -> None:
    """A health server that knows these services."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    body = b""
    while data := connection.recv(4096):
        for event in server.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                body += event.data or b""
            elif isinstance(event, h2.events.StreamEnded):
                status = statuses.get(body[7:])
                headers = [(":status", "200"), ("content-type", "application/grpc")]
                if status is None:
                    server.send_headers(event.stream_id, [*headers, ("grpc-status", "5")], end_stream=True)
                else:
                    server.send_headers(event.stream_id, headers)
                    server.send_data(event.stream_id, b"\0\0\0\0\2\x08" + bytes([status]))
                    server.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
        connection.sendall(server.data_to_send())


def _try(containerizer: Containerizer, container: Container, action: Action, timeout: float = 20.0) -> Result:
    return try_once(containerizer, container.id, Check(action=action, timeout=timeout))


def test_connections_are_made_in_the_containers_network(
    containerizer: Containerizer, container: Container
) -> None:
    record = container.record
    for address in ("127.0.0.1", "::1"):
        with _serving(record, lambda connection: None, address) as port:
            assert _try(containerizer, container, Tcp(port=port)).success
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), timeout=_TIMEOUT)
    closed = _try(containerizer, container, Tcp(port=port))
    assert (closed.success, closed.message) == (False, "connection refused")


@pytest.mark.parametrize(("status", "success"), [(200, True), (302, True), (404, False), (500, False)])
def test_http(containerizer: Containerizer, container: Container, status: int, success: bool) -> None:
    with _serving(container.record, functools.partial(_answer, status=status)) as port:
        result = _try(containerizer, container, Http(port=port, path="/health"))
    assert (result.success, result.code) == (success, status)


def test_https(containerizer: Containerizer, container: Container, tmp_path: Path) -> None:
    certificate = Authority.make(tmp_path / "authority").issue("somebody else")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    with _serving(container.record, functools.partial(_answer, status=204, context=context)) as port:
        assert _try(containerizer, container, Http(port=port, tls=True)).code == 204
        assert not _try(containerizer, container, Http(port=port)).success


def test_grpc(containerizer: Containerizer, container: Container) -> None:
    statuses = {b"": 1, b"down": 2}
    with _serving(container.record, functools.partial(_grpc, statuses=statuses)) as port:
        found = [
            _try(containerizer, container, Grpc(port=port, service=name)) for name in ("", "down", "none")
        ]
    assert [result.success for result in found] == [True, False, False]
    assert [result.message for result in found] == [
        "SERVING",
        "NOT_SERVING",
        "gRPC status 5: the service is not known",
    ]
    with _serving(container.record, functools.partial(_answer, status=200)) as port:
        assert not _try(containerizer, container, Grpc(port=port)).success


@pytest.mark.parametrize(
    "serve", [lambda connection: connection.recv(1 << 20) and connection.recv(1), _trickle]
)
def test_who_does_not_answer_is_not_waited_for(
    containerizer: Containerizer, container: Container, serve: Callable[[socket.socket], None]
) -> None:
    with _serving(container.record, serve) as port:
        result = _try(containerizer, container, Http(port=port), timeout=0.2)
    assert (result.success, result.message) == (False, "timed out")


def test_commands(containerizer: Containerizer, container: Container) -> None:
    good = Command(
        argv=("sh", "-c", "test $A = b && test $(id -u) = 65534"), environment={"A": "b"}, user="nobody"
    )
    assert _try(containerizer, container, good).success
    bad = _try(containerizer, container, Command(argv=("sh", "-c", "exit 3")))
    assert (bad.success, bad.code) == (False, 3)
    slow = _try(containerizer, container, Command(argv=("sleep", "1000")), timeout=0.2)
    assert (slow.success, slow.message) == (False, "timed out")
    assert len(containerizer.containers()) == 1, "nothing is left of what was tried"


def _until(runner: Runner, wanted: Event) -> list[Event]:
    """All events up to this one."""
    events: list[Event] = []
    while wanted not in events:
        poll = select.poll()
        for descriptor in runner.descriptors():
            poll.register(descriptor, select.POLLIN)
        timeout = runner.timeout()
        poll.poll(_TIMEOUT * 1000 if timeout is None else timeout * 1000 + 1)
        events += runner.step()
    return events


def test_a_runner_follows_what_happens(containerizer: Containerizer, container: Container) -> None:
    checks = {
        READINESS: Check(action=Command(argv=("test", "-e", "/tmp/ready")), delay=0.0, interval=0.01),
        LIVENESS: Check(action=Command(argv=("test", "!", "-e", "/tmp/bad")), delay=0.0, interval=0.01),
    }

    def touch(name: str) -> None:
        further = Command(argv=("touch", name))
        assert _try(containerizer, container, further).success

    with contextlib.closing(Runner(containerizer, container.id, checks)) as runner:
        assert _until(runner, Event.STARTED) == [Event.STARTED]
        touch("/tmp/ready")
        assert _until(runner, Event.READY) == [Event.READY]
        touch("/tmp/bad")
        assert _until(runner, Event.UNHEALTHY) == [Event.NOT_READY, Event.UNHEALTHY]
        assert runner.health.next_at is None, "nothing is tried any more"


def test_what_has_ended_fails(containerizer: Containerizer, container: Container) -> None:
    check = Check(action=Command(argv=("true",)), delay=0.0, interval=0.0, failure_threshold=1)
    with contextlib.closing(Runner(containerizer, container.id, {LIVENESS: check})) as runner:
        container.destroy()
        assert _until(runner, Event.UNHEALTHY)[-1] is Event.UNHEALTHY


def test_by_hand(cli: Cli, registry: Registry) -> None:
    healthcheck = {"Test": ["CMD-SHELL", "test -e /tmp/works"]}
    images.push(images.busybox({"Healthcheck": healthcheck}), registry.host, "checked", "latest")
    cli("run", "-d", "--name", "checked", f"{registry.host}/checked", "sleep", "1000")
    try:
        before = cli("healthcheck", "checked")
        cli("exec", "checked", "touch", "/tmp/works")
        after = cli("healthcheck", "checked")
        command = cli("healthcheck", "checked", "false")
        refused = cli("healthcheck", "--http", "80/path", "checked")
    finally:
        cli("rm", "--force", "checked")
    assert [(done.returncode, done.stdout) for done in (before, after, command, refused)] == [
        (1, "exited with 1\n"),
        (0, "exited with 0\n"),
        (1, "exited with 1\n"),
        (1, "connection refused\n"),
    ]
