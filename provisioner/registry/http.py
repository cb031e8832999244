"""HTTP with one registry, its token service and those that it redirects to.

What is secret or configured goes to the origin (scheme, host, port) it is meant for and to no
other: redirects are followed here and not by requests. No exception of requests or urllib3, and no
type of theirs, leaves this module.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import requests.adapters
import requests.auth
import urllib3.exceptions

from provisioner.errors import RegistryFailed, RegistryUnreachable
from provisioner.registry import failure, tls
from provisioner.registry.auth import Challenge, parse_challenges
from provisioner.registry.endpoint import Endpoint, is_loopback
from provisioner.registry.line import Line, pool_classes
from provisioner.registry.plain_session import PlainSession
from provisioner.registry.retry import TRANSIENT, Backoff, retry_after

_READ_TIMEOUT = 60.0  # seconds between two bytes
_CONNECTS = 2  # tries at a host that drops what it is sent, each until its time is up: a mirror may be next
_MAX_REDIRECTS = 5
_MAX_DRAINED = 64 << 10  # bytes of an answer that nobody wants, read so that its connection can be used again
_PER_HOST = 6  # requests at a time from this process, whatever it pulls; what containerd and browsers allow
_SLOT_POLL = 0.1  # seconds between looks whether the line was cut

_slots: dict[str, threading.BoundedSemaphore] = {}  # HOST:PORT → who may ask it now
_slots_lock = threading.Lock()

Query = Sequence[tuple[str, str]]


class ConnectionLost(Exception):
    """The connection broke in the middle of a body."""


class Http:
    """Connections for one endpoint, in one pull. Safe to use from several threads."""

    def __init__(self, endpoint: Endpoint, base: str, line: Line, note: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._origin = origin_of(base)
        self._line = line
        self._note = note
        self._sessions: dict[tuple[bool, bool, bool], requests.Session] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Query = (),
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status, with its body still to be read; close it.

        Repeats what may work the next time. Follows redirects, the authorization only within its
        origin. Raises RegistryUnreachable, RegistryFailed (for its redirects), Cancelled.
        """
        backoff = Backoff()
        while True:
            self._line.check()
            try:
                answer = self._follow(method, url, authorization, headers or {}, query, form)
            except requests.RequestException as error:
                self._line.check()
                gave_up = failure.is_no_connection(error) and backoff.tries >= _CONNECTS
                pause = backoff.pause() if failure.is_transient(error) and not gave_up else None
                if pause is None:
                    raise failure.no_answer(self._endpoint.registry, error) from error
                why = f"does not answer: {failure.reason(error)}"
            else:
                answer.tries = backoff.tries
                if answer.status not in TRANSIENT:
                    return answer
                pause = backoff.pause(retry_after(answer.headers.get("Retry-After", "")))
                if pause is None:
                    return answer
                why = f"answers {answer.status}"
                answer.drain()
            self._note(f"registry {self._endpoint.registry} {why}; trying again in {pause:.1f} s")
            self._line.wait(pause)

    def _follow(
        self,
        method: str,
        url: str,
        authorization: str | None,
        headers: Mapping[str, str],
        query: Query,
        form: Mapping[str, str] | None,
    ) -> Answer:
        first = origin_of(url)
        for _ in range(_MAX_REDIRECTS + 1):
            origin = origin_of(url)
            secret = authorization if origin == first else None
            answer = self._send(method, url, origin, secret, headers, query, form)
            answer.elsewhere = origin[1] if origin != first else None
            location = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            answer.drain()
            url, query = self._redirected(url, location), ()
            if form is not None:
                raise RegistryFailed(
                    f"registry {self._endpoint.registry} redirects secrets from {first[1]} to {location!r}",
                    hint="nothing was sent there; ask its operator",
                )
        raise RegistryFailed(f"registry {self._endpoint.registry} redirects more than {_MAX_REDIRECTS} times")

    def _redirected(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            scheme, host, _ = origin_of(target)
        except ValueError:
            scheme, host, target = "", "", ""
        if scheme not in ("http", "https") or not host:
            raise RegistryFailed(
                f"registry {self._endpoint.registry} redirects to {location!r:.200}, which leads nowhere",
                hint="ask its operator",
            )
        # What a tag stands for is believed because of TLS; an insecure registry has none to lose.
        downgrade = url.startswith("https:") and scheme == "http" and self._endpoint.trust.verify
        if downgrade:
            raise RegistryFailed(
                f"registry {self._endpoint.registry} redirects to {location!r:.200}, which is not in TLS",
                hint="ask its operator",
            )
        return target

    def _send(
        self,
        method: str,
        url: str,
        origin: tuple[str, str, int],
        authorization: str | None,
        headers: Mapping[str, str],
        query: Query,
        form: Mapping[str, str] | None,
    ) -> Answer:
        own = dict(self._endpoint.headers) if origin == self._origin else {}
        session = self._session(origin)
        release = self._take_slot(f"{origin[1]}:{origin[2]}")
        try:
            response = session.request(
                method,
                url,
                params=list(query),
                data=form,
                headers={"Accept-Encoding": "identity", **own, **headers},
                auth=_Authorization(authorization),
                verify=session.verify,  # else $REQUESTS_CA_BUNDLE would have the last word
                allow_redirects=False,
                stream=True,
                timeout=(self._endpoint.connect_timeout, _READ_TIMEOUT),
            )
        except BaseException:
            release()
            raise
        return Answer(response, release, self._line)

    def _take_slot(self, host: str) -> Callable[[], None]:
        with _slots_lock:
            slot = _slots.setdefault(host, threading.BoundedSemaphore(_PER_HOST))
        while not slot.acquire(timeout=_SLOT_POLL):
            self._line.check()
        return slot.release

    def _session(self, origin: tuple[str, str, int]) -> requests.Session:
        scheme, host, _ = origin
        own = origin == self._origin
        # A proxy's idea of 127.0.0.1 is another machine than ours.
        key = (own, scheme == "https", is_loopback(f"[{host}]" if ":" in host else host))
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = self._new_session(*key)
            return self._sessions[key]

    def _new_session(self, own: bool, secure: bool, loopback: bool) -> requests.Session:
        session = PlainSession()
        proxy = self._endpoint.proxy if own else None
        session.trust_env = not loopback and proxy is None
        session.proxies = {"http": proxy, "https": proxy} if proxy else {}
        # Cookies would make the session's state depend on the order of its threads.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        if not self._endpoint.trust.verify:
            session.verify = False
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was asked for
        adapter = _Adapter(self._line, tls.context(self._endpoint.trust, own=own) if secure else None)
        for prefix in ("https://", "http://"):
            session.mount(prefix, adapter)
        return session


class Answer:
    """A status, headers, and a body that is read as a stream."""

    def __init__(self, response: requests.Response, release: Callable[[], None], line: Line) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.tries = 1  # requests that it took
        self.elsewhere: str | None = None  # the host that gave it, if a redirect led to another origin
        self._response = response
        self._read = getattr(response.raw, "read1", response.raw.read)  # what has come, or all that is asked
        self._release: Callable[[], None] | None = release
        self._line = line

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def challenges(self) -> list[Challenge]:
        """Where to prove who asks. None of another host's: it would name a token service of its own,
        and have what is secret between us and the registry sent there.
        """
        return [] if self.elsewhere else parse_challenges(self.headers.get("WWW-Authenticate", ""))

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end. Raises ConnectionLost, Cancelled."""
        try:
            content: bytes = self._read(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            self._line.check()
            raise ConnectionLost(failure.reason(error)) from error
        if not content:
            self._line.check()  # a connection that was shut down ends like any other
        return content

    def read_bounded(self, limit: int) -> bytes:
        """All of it, but not more than limit + 1 bytes. Raises RegistryUnreachable, Cancelled."""
        content = b""
        try:
            while len(content) <= limit and (chunk := self.read(limit + 1 - len(content))):
                content += chunk
        except ConnectionLost as error:
            host = urlsplit(self._response.url).netloc
            raise RegistryUnreachable(
                f"lost the connection to registry {host}: {error}", hint="pull again"
            ) from error
        return content

    def drain(self) -> None:
        """Read what is left if it is short, so that the connection can be used again; close."""
        with contextlib.suppress(ConnectionLost), self:
            left = _MAX_DRAINED
            while left > 0 and (chunk := self.read(left)):
                left -= len(chunk)

    def close(self) -> None:
        """Idempotent."""
        self._response.close()
        if self._release is not None:
            self._release()
            self._release = None


class _Authorization(requests.auth.AuthBase):
    """Sets the header itself; without any `auth`, requests would take one from ~/.netrc."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections that are on the line, with a TLS context of ours."""

    def __init__(self, line: Line, context: ssl.SSLContext | None) -> None:
        self._classes = pool_classes(line)
        self._context = {"ssl_context": context} if context is not None else {}
        super().__init__(pool_maxsize=_PER_HOST)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options, **self._context)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, **self._context)
        manager.pool_classes_by_scheme = self._classes
        return manager


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises ValueError."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
