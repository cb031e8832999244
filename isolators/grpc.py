"""One unary gRPC call over a connection that is there, without threads of a library's own.

gRPC over HTTP/2 is a POST whose body is a message behind five bytes (a flag and its length), and whose
outcome comes in trailers (doc/PROTOCOL-HTTP2.md of grpc/grpc). HTTP/2 is h2's, and the rest is here: who
launches has one thread, and a connection may lead into a container, which no gRPC library takes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from launcher.data import Data

if TYPE_CHECKING:
    import h2.connection

OK = "0"
_NAMES = (
    *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
    *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
CODES = {str(number): name for number, name in enumerate(_NAMES, 1)}  # doc/statuscodes.md of grpc/grpc

_CHUNK = 16 << 10  # bytes
_PREFIX = 5  # bytes before a message


class ProtocolError(OSError):
    """What answers speaks no gRPC."""


class Call(Data, kw_only=True):
    """What is asked."""

    authority: str  # whom, as HTTP has it
    path: str  # "/package.Service/Method"
    message: bytes = b""
    largest: int  # bytes of an answer
    user_agent: str = "containerizer"


class Answer(Data):
    """How it ended: an empty status is none at all."""

    status: str
    told: str  # of a failure
    message: bytes


def unary(connection: socket.socket, call: Call, before_io: Callable[[], None] = lambda: None) -> Answer:
    """Raises OSError. `before_io` is called before each wait: it may limit that by `settimeout`."""
    return _Call(connection, call, before_io).run()


class _Call:
    """A stream on a connection of its own."""

    def __init__(self, connection: socket.socket, call: Call, before_io: Callable[[], None]) -> None:
        self._connection = connection
        self._call = call
        self._before_io = before_io
        self._body = b""
        self._status = self._told = ""
        self._unsent = b"\0" + len(call.message).to_bytes(4, "big") + call.message

    def run(self) -> Answer:
        import h2.config
        import h2.connection
        import h2.exceptions

        http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        http2.initiate_connection()
        stream = http2.get_next_available_stream_id()
        try:
            http2.send_headers(stream, self._headers())
            while True:
                self._send(http2, stream)
                self._before_io()
                data = self._connection.recv(_CHUNK)
                if not data:
                    raise ProtocolError("the connection ended before an answer came")
                if self._take(http2, http2.receive_data(data)):
                    return Answer(self._status, self._told, self._message())
        except (h2.exceptions.ProtocolError, UnicodeError) as error:
            raise ProtocolError(f"it speaks no HTTP/2: {error}") from error

    def _headers(self) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", self._call.path),
            (":authority", self._call.authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", self._call.user_agent),
        ]

    def _send(self, http2: h2.connection.H2Connection, stream: int) -> None:
        """As much of the request as the other side takes by now."""
        room = http2.local_flow_control_window(stream)
        while self._unsent and room > 0:
            part = self._unsent[: min(room, http2.max_outbound_frame_size)]
            self._unsent = self._unsent[len(part) :]
            room -= len(part)
            http2.send_data(stream, part, end_stream=not self._unsent)
        self._before_io()
        self._connection.sendall(http2.data_to_send())

    def _take(self, http2: h2.connection.H2Connection, events: Iterable[object]) -> bool:
        """Whether the answer is whole."""
        import h2.events

        for event in events:
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    self._headers_came(event.headers or ())
                case h2.events.DataReceived():
                    self._body += event.data or b""
                    if len(self._body) > self._call.largest + _PREFIX:
                        raise ProtocolError(f"it answers more than {self._call.largest} bytes")
                    http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                case h2.events.StreamEnded():
                    return True
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    raise ProtocolError("it hangs up on the call")
        return False

    def _headers_came(self, headers: Iterable[tuple[bytes | str, bytes | str]]) -> None:
        for name, value in headers:
            if name == "grpc-status":
                self._status = str(value)
            elif name == "grpc-message":
                self._told = unquote(str(value))

    def _message(self) -> bytes:
        if self._status != OK:
            return b""
        message = self._body[_PREFIX:]
        prefix = self._body[:_PREFIX]
        if len(prefix) < _PREFIX or prefix[0] != 0 or int.from_bytes(prefix[1:], "big") != len(message):
            raise ProtocolError("its answer is no uncompressed gRPC message")
        return message
