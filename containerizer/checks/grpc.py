"""One call of grpc.health.v1.Health/Check, over a connection into the container.

gRPC over HTTP/2 is a POST whose body is a message behind five bytes (a flag and its length), and
whose outcome comes in trailers; the messages are one string and one enumeration. So HTTP/2 is h2's,
and the rest is here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from containerizer.checks.attempt import Deadline
from containerizer.checks.check import Grpc, Result
from containerizer.checks.network import connected
from containerizer.record import ContainerRecord

_PATH = "/grpc.health.v1.Health/Check"
_CHUNK = 16 << 10  # bytes
_MAX_ANSWER = 4 << 10  # bytes of a message of two
_PREFIX = 5  # bytes before a message
_SERVING = 1
_STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CODES = {"5": "the service is not known", "12": "it has no health service"}


class ProtocolError(OSError):
    """What answers speaks no gRPC."""


def try_grpc(record: ContainerRecord, check: Grpc, timeout: float, deadline: Deadline) -> Result:
    """Raises OSError."""
    with connected(record, check, timeout, deadline) as connection:
        call = _Call(connection, check)
        call.run()
    if call.status != "0":
        why = _CODES.get(call.status) or call.message or "no message"
        return Result(success=False, message=f"gRPC status {call.status or 'missing'}: {why}")
    status = _status(call.body)
    return Result(success=status == _SERVING, message=_STATUSES.get(status, str(status)), code=status)


class _Call:
    """A stream on a connection of its own."""

    def __init__(self, connection: socket.socket, check: Grpc) -> None:
        self.body = b""
        self.status = ""
        self.message = ""
        self._connection = connection
        self._check = check

    def run(self) -> None:
        """Raises OSError."""
        import h2.config
        import h2.connection
        import h2.exceptions

        http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        http2.initiate_connection()
        stream = http2.get_next_available_stream_id()
        try:
            http2.send_headers(stream, self._headers())
            http2.send_data(stream, _request(self._check.service), end_stream=True)
            self._connection.sendall(http2.data_to_send())
            while True:
                data = self._connection.recv(_CHUNK)
                if not data:
                    raise ProtocolError("the connection ended before an answer came")
                if self._take(http2, http2.receive_data(data)):
                    return
                self._connection.sendall(http2.data_to_send())
        except (h2.exceptions.ProtocolError, UnicodeError) as error:
            raise ProtocolError(f"it speaks no HTTP/2: {error}") from error

    def _headers(self) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", _PATH),
            (":authority", f"{self._check.host or 'localhost'}:{self._check.port}"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "containerizer-check"),
        ]

    def _take(self, http2: object, events: Iterable[object]) -> bool:
        """Whether the answer is whole."""
        import h2.connection
        import h2.events

        assert isinstance(http2, h2.connection.H2Connection)
        for event in events:
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    self._headers_came(event.headers or ())
                case h2.events.DataReceived():
                    self.body += event.data or b""
                    if len(self.body) > _MAX_ANSWER:
                        raise ProtocolError(f"it answers more than {_MAX_ANSWER} bytes")
                    http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                case h2.events.StreamEnded():
                    return True
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    raise ProtocolError("it hangs up on the call")
        return False

    def _headers_came(self, headers: Iterable[tuple[bytes | str, bytes | str]]) -> None:
        for name, value in headers:
            if name == "grpc-status":
                self.status = str(value)
            elif name == "grpc-message":
                self.message = str(value)


def _request(service: str) -> bytes:
    """HealthCheckRequest: field 1 is the service's name, and left out where it is empty."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _status(body: bytes) -> int:
    """Of a HealthCheckResponse: field 1, a varint; 0 where it is left out. Raises ProtocolError."""
    message = body[_PREFIX:]
    if len(body) < _PREFIX or body[0] != 0 or int.from_bytes(body[1:_PREFIX], "big") != len(message):
        raise ProtocolError("its answer is no uncompressed gRPC message")
    if not message:
        return 0
    if len(message) != 2 or message[0] != 0x08 or message[1] >= 0x80:
        raise ProtocolError("its answer is no HealthCheckResponse")
    return message[1]


def _varint(number: int) -> bytes:
    encoded = b""
    while number >= 0x80:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])
