"""A registry that answers as it is told: what docker-registry cannot be made to do wrong."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.images import ImageParts, digest


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # Content-Length, if not the body's
    reset: bool = False  # close the connection without an answer


@dataclass
class ScriptedRegistry:
    """`answers`: path → what to answer, the last one for ever. `requests`: what was asked."""

    host: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def answer(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def serve(self, image: ImageParts, repository: str, tag: str) -> None:
        headers = {"Content-Type": image.manifest_type}
        self.answer(f"/v2/{repository}/manifests/{tag}", Answer(body=image.manifest, headers=headers))
        for name, blob in image.blobs.items():
            self.answer(f"/v2/{repository}/blobs/{name}", Answer(body=blob))

    def answer_layer(self, image: ImageParts, repository: str, answer: Answer) -> None:
        self.answer(f"/v2/{repository}/blobs/{digest(image.layers[0].blob)}", answer)

    def asked(self, prefix: str) -> list[Mapping[str, str]]:
        """The headers of the requests below a path."""
        return [headers for path, headers in self.requests if path.startswith(prefix)]


@contextmanager
def scripted_registry() -> Iterator[ScriptedRegistry]:
    registry = ScriptedRegistry(host="")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.requests.append((self.path, dict(self.headers.items())))
            queue = registry.answers.get(self.path.partition("?")[0], [Answer(status=404)])
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            if answer.reset:
                self.close_connection = True
                return
            self.send_response(answer.status)
            length = len(answer.body) if answer.length is None else answer.length
            for name, value in {"Content-Length": str(length), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # joined when the server closes
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    registry.host = f"127.0.0.1:{server.server_address[1]}"
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
