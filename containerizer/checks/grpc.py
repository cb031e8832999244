"""One call of grpc.health.v1.Health/Check, over a connection into the container.

The messages are one string and one enumeration; the rest is isolators/grpc.py's.
"""

from __future__ import annotations

from containerizer.checks.attempt import Deadline
from containerizer.checks.check import Grpc, Result
from containerizer.checks.network import connected
from containerizer.record import ContainerRecord
from isolators import grpc

_PATH = "/grpc.health.v1.Health/Check"
_MAX_ANSWER = 4 << 10  # bytes of a message of two
_SERVING = 1
_STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CODES = {"5": "the service is not known", "12": "it has no health service"}


def try_grpc(record: ContainerRecord, check: Grpc, timeout: float, deadline: Deadline) -> Result:
    """Raises OSError."""
    with connected(record, check, timeout, deadline) as connection:
        answer = grpc.unary(connection, _call(check))
    if answer.status != grpc.OK:
        why = _CODES.get(answer.status) or answer.told or "no message"
        return Result(success=False, message=f"gRPC status {answer.status or 'missing'}: {why}")
    status = _status(answer.message)
    return Result(success=status == _SERVING, message=_STATUSES.get(status, str(status)), code=status)


def _call(check: Grpc) -> grpc.Call:
    return grpc.Call(
        authority=f"{check.host or 'localhost'}:{check.port}",
        path=_PATH,
        message=_request(check.service),
        largest=_MAX_ANSWER,
        user_agent="containerizer-check",
    )


def _request(service: str) -> bytes:
    """HealthCheckRequest: field 1 is the service's name, and left out where it is empty."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def _status(message: bytes) -> int:
    """Of a HealthCheckResponse: field 1, a varint; 0 where it is left out. Raises ProtocolError."""
    if not message:
        return 0
    if len(message) != 2 or message[0] != 0x08 or message[1] >= 0x80:
        raise grpc.ProtocolError("its answer is no HealthCheckResponse")
    return message[1]


def _varint(number: int) -> bytes:
    encoded = b""
    while number >= 0x80:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])
