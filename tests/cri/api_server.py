"""As much of a Kubernetes API server as kubectl needs for one namespace: pods, and streams into them.

What it is asked for streams it asks the CRI, as a kubelet would, and hands the client's connection on to the
address it is told: https://kubernetes.io/docs/reference/using-api/api-concepts/.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cri.client import Client
from tests.support.serving import serving

_NAMESPACE = "/api/v1/namespaces/default/pods"
_RESOURCES = {"pods": ["get", "list"], "pods/log": ["get"]} | {
    f"pods/{name}": ["create", "get"] for name in ("exec", "attach", "portforward")
}
_DISCOVERY: dict[str, dict[str, Any]] = {
    "/version": {"major": "1", "minor": "20", "gitVersion": "v1.20.2"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": name, "singularName": "", "namespaced": True, "kind": "Pod", "verbs": verbs}
            for name, verbs in _RESOURCES.items()
        ],
    },
}


@contextlib.contextmanager
def api_server(cri: Client) -> Iterator[str]:
    """Its HOST:PORT. Pods are found by the name that their metadata has."""

    class Handler(_Handler):
        pass

    Handler.cri = cri
    with serving(Handler) as address:
        yield address


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cri: Client

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path in _DISCOVERY:
            self._answer(200, _DISCOVERY[path])
        elif not path.startswith(f"{_NAMESPACE}/"):
            self._answer(404, _status(404, "NotFound", path))
        else:
            name, _, part = path.removeprefix(f"{_NAMESPACE}/").partition("/")
            self._of_pod(name, part, parse_qs(query))

    do_POST = do_GET  # noqa: N815 - the library looks for it

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""

    def _of_pod(self, name: str, part: str, asked: dict[str, list[str]]) -> None:
        pod = next((each for each in self.cri.ListPodSandbox().items if each.metadata.name == name), None)
        if pod is None:
            self._answer(404, _status(404, "NotFound", f'pods "{name}" not found'))
        elif not part:
            self._answer(200, self._pod(pod))
        elif part == "log":
            self._log(self._container(pod.id, asked))
        else:
            self._hand_on(_STREAMS[part](self, pod.id, asked))

    def _pod(self, pod: Any) -> dict[str, Any]:
        running = self.cri.ListContainers(filter={"pod_sandbox_id": pod.id}).containers
        specs = [
            {"name": each.metadata.name, "image": each.image.image, **_terminal_of(each.annotations)}
            for each in running
        ]
        return {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": pod.metadata.name, "namespace": "default", "uid": pod.metadata.uid},
            "spec": {"containers": specs},
            "status": {"phase": "Running"},
        }

    def _container(self, pod: str, asked: dict[str, list[str]]) -> str:
        (wanted,) = asked.get("container", ["main"])
        containers = self.cri.ListContainers(filter={"pod_sandbox_id": pod}).containers
        return next(each.id for each in containers if each.metadata.name == wanted)

    # Streams -----------------------------------------------------------------------------------

    def _exec(self, pod: str, asked: dict[str, list[str]]) -> str:
        container = self._container(pod, asked)
        return str(self.cri.Exec(container_id=container, cmd=asked["command"], **_flags(asked)).url)

    def _attach(self, pod: str, asked: dict[str, list[str]]) -> str:
        return str(self.cri.Attach(container_id=self._container(pod, asked), **_flags(asked)).url)

    def _port_forward(self, pod: str, asked: dict[str, list[str]]) -> str:
        ports = [int(port) for port in asked.get("ports", [])]
        return str(self.cri.PortForward(pod_sandbox_id=pod, port=ports).url)

    def _hand_on(self, url: str) -> None:
        """The request as it came, but for where it goes; then whatever the two say to each other."""
        parts = urlsplit(url)
        headers = "".join(
            f"{name}: {value}\r\n" for name, value in self.headers.items() if name.lower() != "host"
        )
        head = f"{self.command} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}\r\n"
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as runtime:
            runtime.sendall(head.encode())
            back = threading.Thread(target=_copy, args=(runtime.recv, self.connection))
            back.start()
            _copy(self.rfile.read1, runtime)  # type: ignore[attr-defined]
            back.join()
        self.close_connection = True

    # Answers -----------------------------------------------------------------------------------

    def _log(self, container: str) -> None:
        """Each line of the CRI's format is TIME STREAM TAG CONTENT."""
        path = Path(self.cri.ContainerStatus(container_id=container).status.log_path)
        lines = (line.split(b" ", 3) for line in path.read_bytes().splitlines(keepends=True))
        text = b"".join(content if tag == b"F" else content[:-1] for _, _, tag, content in lines)
        self._answer(200, text, "text/plain")

    def _answer(self, status: int, value: Any, kind: str = "application/json") -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_STREAMS: dict[str, Callable[[_Handler, str, dict[str, list[str]]], str]] = {
    "exec": _Handler._exec,
    "attach": _Handler._attach,
    "portforward": _Handler._port_forward,
}


def _terminal_of(annotations: Any) -> dict[str, bool]:
    """What kubectl looks at before it attaches; the tests say it in annotations."""
    return {name: True for name in ("stdin", "tty") if annotations.get(name)}


def _flags(asked: dict[str, list[str]]) -> dict[str, bool]:
    return {name: asked.get(name) in (["true"], ["1"]) for name in ("stdin", "stdout", "stderr", "tty")}


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def _copy(read: Callable[[int], bytes], to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := read(65536):
            to.sendall(data)
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)
