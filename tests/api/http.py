"""A client of the API made of the standard library and tests.api.wire: nothing of ours."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

from tests.api import wire

JSON, PROTOBUF, RECORDIO = "application/json", "application/x-protobuf", "application/recordio"
TIMEOUT = 30  # seconds


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("agent", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Reply:
    """The answer to one call; close it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status
        self.content_type = self._response.headers.get("Content-Type", "")
        self.headers = self._response.headers

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Break the connection, whatever is still to come."""
        self._response.close()
        self._connection.close()

    def body(self) -> bytes:
        return self._response.read()

    def message(self) -> dict[str, Any]:
        return decoded("Response", self.body(), self.content_type)

    def records(self, media_type: str) -> Iterator[dict[str, Any]]:
        while digits := self._response.readline():
            yield decoded("ProcessIO", self._response.read(int(digits)), media_type)


class Client:
    """Speaks to one agent."""

    def __init__(self, path: str) -> None:
        self._path = path

    def post(self, body: Any, headers: dict[str, str]) -> Reply:
        connection = Connection(self._path)
        connection.request("POST", "/api/v1", body, headers)
        return Reply(connection)

    def call(self, call: dict[str, Any], media_type: str = JSON, **headers: str) -> Reply:
        """Ask, and be answered, in one type; `accept` and `message_accept` to have another."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        asked = {"Content-Type": media_type, "Accept": media_type, **named}
        return self.post(encoded(call, media_type), asked)

    def answer(self, call: dict[str, Any], media_type: str = JSON) -> dict[str, Any]:
        """The message that answers, or {} where there is none. Fails unless all is well."""
        with self.call(call, media_type) as reply:
            body = reply.body()
            assert reply.status in (200, 202), body
            return decoded("Response", body, media_type) if body else {}

    def status(self, call: dict[str, Any], media_type: str = JSON) -> int:
        with self.call(call, media_type) as reply:
            return reply.status

    def stream(self, calls: list[dict[str, Any]], media_type: str) -> Reply:
        """Send a stream that ends."""
        body = b"".join(record(encoded(call, media_type)) for call in calls)
        return self.post(body, {"Content-Type": RECORDIO, "Message-Content-Type": media_type})


class Upload:
    """A stream of calls that goes on: send, then `finish` or `close`."""

    def __init__(self, path: str, media_type: str = JSON) -> None:
        self._connection = Connection(path)
        self._media_type = media_type
        self._connection.putrequest("POST", "/api/v1")
        self._connection.putheader("Content-Type", RECORDIO)
        self._connection.putheader("Message-Content-Type", media_type)
        self._connection.putheader("Transfer-Encoding", "chunked")
        self._connection.endheaders()

    def send(self, call: dict[str, Any]) -> None:
        data = record(encoded(call, self._media_type))
        self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self) -> Reply:
        self._connection.send(b"0\r\n\r\n")
        return Reply(self._connection)

    def reply(self) -> Reply:
        """The answer to a stream that has not ended."""
        return Reply(self._connection)

    def close(self) -> None:
        self._connection.close()


def encoded(call: dict[str, Any], media_type: str) -> bytes:
    return json.dumps(call).encode() if media_type == JSON else wire.encode("Call", call)


def decoded(kind: str, data: bytes, media_type: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(data) if media_type == JSON else wire.decode(kind, data)
    return value


def record(data: bytes) -> bytes:
    return b"%d\n%b" % (len(data), data)
