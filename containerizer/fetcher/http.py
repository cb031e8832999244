"""One URI over HTTP(S) into an open file: with time limits, few redirects, and another try where it helps.

Redirects are followed here and not by requests: what a URI says of user and password is sent to its
own origin and to no other, and nothing that was asked for in TLS comes without. What was cut goes on
where it was (containerizer.fetcher.partial).
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import requests
import requests.adapters
import requests.utils
import urllib3.exceptions

from containerizer.fetcher.errors import FetchFailed
from containerizer.fetcher.options import FetchOptions
from containerizer.fetcher.partial import Changed, Partial
from containerizer.fetcher.uri import FetchUri
from launcher.data import Data
from provisioner.registry import failure, tls
from provisioner.registry.endpoint import Trust, is_loopback
from provisioner.registry.line import Line, pool_classes
from provisioner.registry.plain_session import PlainSession
from provisioner.registry.retry import TRANSIENT, Backoff, retry_after
from provisioner.sources.spool import write_all

_MAX_REDIRECTS = 10
_CHUNK = 256 << 10  # bytes
_NOT_MODIFIED = 304
_PARTIAL_CONTENT = 206
_NO_SUCH_RANGE = 416
_PROGRESS = 1 << 20  # bytes: an attempt that brought as much is none in vain


class Received(Data, kw_only=True):
    """What has come."""

    size: int  # bytes
    digest: str  # "sha256:…"
    etag: str = ""  # what the server says, "" for nothing: RFC 9110 section 8.8
    last_modified: str = ""

    @property
    def conditions(self) -> Mapping[str, str]:
        """Headers that ask for it only if it has changed; none where the server gave nothing to ask by."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


class _Again(Exception):
    """It may work the next time, after so many seconds."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Http:
    """Safe to use from several threads; close it."""

    def __init__(self, options: FetchOptions, line: Line) -> None:
        """`line`, when it is cut, ends everything with Cancelled."""
        self._options = options
        self._line = line
        self._deadline = time.monotonic() + options.timeout
        self._sessions: dict[bool, requests.Session] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()

    def download(self, uri: FetchUri, fd: int, known: Received | None = None) -> Received | None:
        """Write what the URI gives to the file; None if that is still what is `known`.

        Raises FetchFailed, Cancelled.
        """
        backoff, partial = Backoff(), Partial()
        while True:
            self._line.check()
            before = partial.size
            try:
                return self._attempt(uri, fd, known, partial)
            except _Again as error:
                if partial.size >= before + _PROGRESS:
                    backoff = Backoff()
                pause = backoff.pause(error.after)
                if pause is None or time.monotonic() + pause > self._deadline:
                    times = f", tried {backoff.tries} times" if backoff.tries > 1 else ""
                    raise _failed(uri, f"{error}{times}") from error
            self._line.wait(pause)

    def _attempt(self, uri: FetchUri, fd: int, known: Received | None, partial: Partial) -> Received | None:
        asked = partial.rest or (known.conditions if known else {})
        with closing(self._follow(uri, asked)) as response:
            status = response.status_code
            if status == _NOT_MODIFIED and known and not partial.rest:
                return None
            if status in TRANSIENT:
                raise _Again(
                    f"the server answers {status}", retry_after(response.headers.get("Retry-After", ""))
                )
            if status == _NO_SUCH_RANGE and partial.rest:
                partial.forget()
                raise _Again(f"the server answers {status}")
            if status != 200 and not (status == _PARTIAL_CONTENT and partial.rest):
                raise _failed(uri, f"the server answers {status}")
            length = _length(response.headers)
            if status == 200 and known and not known.conditions and length == known.size:
                return None  # all that there is to tell by
            try:
                total = partial.begin(response.headers, length, goes_on=status == _PARTIAL_CONTENT)
            except Changed as error:
                partial.forget()
                raise _Again(str(error)) from error
            return self._body(uri, response, total, partial, fd)

    def _follow(self, uri: FetchUri, headers: Mapping[str, str]) -> requests.Response:
        url = uri.value
        first = _origin(urlsplit(url))
        for _ in range(_MAX_REDIRECTS + 1):
            own = _origin(urlsplit(url)) == first
            response = self._send(uri, url, {**headers, **(_credentials(urlsplit(uri.value)) if own else {})})
            location = response.headers.get("Location")
            if response.status_code not in (301, 302, 303, 307, 308) or not location:
                return response
            response.close()
            url = _redirected(uri, url, location)
        raise _failed(uri, f"it redirects more than {_MAX_REDIRECTS} times")

    def _send(self, uri: FetchUri, url: str, headers: Mapping[str, str]) -> requests.Response:
        parts = urlsplit(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        proxies = {} if is_loopback(bare.netloc) else requests.utils.get_environ_proxies(url)
        try:
            return self._session(parts.scheme == "https").get(
                bare.geturl(),
                headers={"Accept-Encoding": "identity", **headers},
                allow_redirects=False,
                stream=True,
                timeout=(self._options.connect_timeout, self._options.stall_timeout),
                proxies=proxies,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            self._line.check()
            if failure.is_transient(error):
                raise _Again(failure.reason(error)) from error
            raise _failed(uri, failure.reason(error)) from error

    def _session(self, secure: bool) -> requests.Session:
        with self._lock:
            if secure not in self._sessions:
                session = PlainSession()
                session.trust_env = False  # no ~/.netrc of whoever runs us; proxies are asked for above
                session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
                context = tls.context(Trust(), own=False) if secure else None
                session.mount("https://" if secure else "http://", _Adapter(self._line, context))
                self._sessions[secure] = session
            return self._sessions[secure]

    def _body(
        self, uri: FetchUri, response: requests.Response, total: int | None, partial: Partial, fd: int
    ) -> Received:
        os.ftruncate(fd, partial.size)
        os.lseek(fd, partial.size, os.SEEK_SET)
        self._check_size(uri, total or 0)
        for chunk in self._chunks(response):
            self._check_size(uri, partial.size + len(chunk))
            if time.monotonic() > self._deadline:
                raise _failed(uri, f"it takes longer than {self._options.timeout:.0f} s")
            write_all(fd, chunk)
            partial.add(chunk)
        if total is not None and partial.size != total:
            raise _Again(f"the connection was cut after {partial.size} of {total} bytes")
        return Received(
            size=partial.size,
            digest=f"sha256:{partial.digest.hexdigest()}",
            etag=response.headers.get("ETag", ""),
            last_modified=response.headers.get("Last-Modified", ""),
        )

    def _check_size(self, uri: FetchUri, size: int) -> None:
        if size > self._options.max_size:
            raise _failed(uri, f"it is larger than {self._options.max_size} bytes")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        read: Callable[..., bytes] = getattr(response.raw, "read1", response.raw.read)
        while True:
            try:
                chunk = read(_CHUNK, decode_content=False)
            except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
                self._line.check()
                raise _Again(failure.reason(error)) from error
            if not chunk:
                self._line.check()  # a connection that was shut down ends like any other
                return
            yield chunk


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections that are on the line, with a TLS context of ours."""

    def __init__(self, line: Line, context: ssl.SSLContext | None) -> None:
        self._classes = pool_classes(line)
        self._context = {"ssl_context": context} if context is not None else {}
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options, **self._context)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, **self._context)
        manager.pool_classes_by_scheme = self._classes
        return manager


def _failed(uri: FetchUri, why: str) -> FetchFailed:
    return FetchFailed(f"cannot fetch {uri.shown}: {why}", hint="see whether `curl` gets it from here")


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _credentials(parts: SplitResult) -> dict[str, str]:
    """The Basic scheme of RFC 7617."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _redirected(uri: FetchUri, url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        scheme, host, _ = _origin(urlsplit(target))
    except ValueError:
        scheme, host, target = "", "", ""
    if scheme not in ("http", "https") or not host or (url.startswith("https:") and scheme == "http"):
        raise _failed(uri, f"it redirects to {location!r}")
    return target


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
