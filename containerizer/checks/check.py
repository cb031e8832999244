"""Check: what to try, when, and what makes a verdict of the results."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from launcher.data import Data, field
from launcher.errors import InvalidRequest

_MAX_PORT = 65535


class Command(Data, kw_only=True):
    """A command in the container; its exit code 0 is success."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)  # added to the container's
    user: str | None = None  # None: the container's


class Connection(Data, kw_only=True):
    """What is reached over the container's network. Not tried itself: its subclasses are."""

    port: int
    host: str | None = None  # an address; None: the container's own loopback, IPv4 or IPv6

    def __post_init__(self) -> None:
        if isinstance(self.port, bool) or not 0 < self.port <= _MAX_PORT:
            raise InvalidRequest(f"invalid port {self.port} of a check")
        try:
            ipaddress.ip_address(self.host or "::1")
        except ValueError:
            hint = "give an address: names are not looked up in the container"
            raise InvalidRequest(f"invalid host {self.host!r} of a check", hint=hint) from None


class Tcp(Connection):
    """A connection that is accepted is success."""


class Http(Connection):
    """A status from 200 to 399 is success; redirects are not followed, certificates not verified."""

    path: str = "/"
    tls: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        words = (self.path, *(word for pair in self.headers for word in pair))
        if not self.path.startswith("/") or any(ord(c) < 0x20 or c == "\x7f" for w in words for c in w):
            raise InvalidRequest(f"invalid HTTP check of {self.path!r}", hint="the path begins with /")


class Grpc(Connection):
    """SERVING, by the protocol grpc.health.v1, is success."""

    service: str = ""


Action = Command | Tcp | Http | Grpc


class Check(Data, kw_only=True):
    """The defaults are those of Mesos' HealthCheck; each edge has its own."""

    action: Action
    delay: float = 15.0  # seconds from the task's start to the first try
    interval: float = 10.0  # seconds from the end of a try to the next
    timeout: float = 20.0  # seconds that a try may take
    grace: float = 0.0  # seconds from the start in which failures do not count, until the first success
    grace_interval: float | None = None  # seconds between tries meanwhile; None: as later
    success_threshold: int = 1  # successes in a row that make it pass
    failure_threshold: int = 3  # failures in a row that make it fail

    def __post_init__(self) -> None:
        if min(self.delay, self.interval, self.grace, self.grace_interval or 0.0) < 0 or self.timeout <= 0:
            raise InvalidRequest("a check's delay, interval and grace are at least 0, its timeout more")
        if min(self.success_threshold, self.failure_threshold) < 1:
            raise InvalidRequest("a check's thresholds are at least 1")


class Result(Data, kw_only=True):
    """How a try ended."""

    success: bool
    message: str = ""  # for people: what was answered, or why nothing was
    code: int | None = None  # exit code or HTTP status, where there is one
