"""HTTP for the registry client: one session, retries, and foreign errors turned into ours.

No exception of requests or urllib3 leaves this module.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy

import requests
import requests.adapters
import requests.auth
import urllib3.exceptions

from provisioner.errors import RegistryUnreachable
from provisioner.registry.endpoint import unreachable

_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two bytes
_ATTEMPTS = 4
_BACKOFF = 0.25  # seconds before the second attempt; doubles
_MAX_RETRY_AFTER = 10.0  # seconds; a server that wants more has its answer reported
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_CONNECTIONS = 4
_TRUST = "add its authority to the host's (update-ca-certificates), or name it in SSL_CERT_FILE"


class Http:
    """A session with one registry and those that it redirects to."""

    def __init__(self, registry: str, *, proxies: bool, sleep: Callable[[float], None] = time.sleep) -> None:
        self._registry = registry
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = proxies
        self._session.max_redirects = 5
        self._session.verify = _system_authorities()
        # Cookies would make the session's state depend on the order of its threads.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def close(self) -> None:
        self._session.close()

    def get(
        self,
        url: str,
        *,
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The answer, whatever its status, with its body still to be read; close it.

        Follows redirects, the authorization only to the same host. Raises RegistryUnreachable.
        """
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            pause = _BACKOFF * 2**attempt
            try:
                response = self._session.get(
                    url,
                    params=params,
                    headers={"Accept-Encoding": "identity", **(headers or {})},
                    auth=_Authorization(authorization),
                    stream=True,
                    timeout=_TIMEOUT,
                )
            except requests.RequestException as error:
                if last or not _is_transient(error):
                    raise self._unreachable(error) from error
            else:
                pause = max(pause, _retry_after(response))
                if last or response.status_code not in _TRANSIENT or pause > _MAX_RETRY_AFTER:
                    return response
                response.close()
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _unreachable(self, error: requests.RequestException) -> RegistryUnreachable:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            return unreachable(self._registry, _reason(error), _TRUST)
        return unreachable(self._registry, _reason(error))

    @contextlib.contextmanager
    def stream(self, response: requests.Response) -> Iterator[Body]:
        """The body of the answer; the connection is given back or closed at the end."""
        with response:
            yield Body(response, self._registry)


class Body:
    """A body as a stream that ends early when the connection does: the reader knows its length."""

    def __init__(self, response: requests.Response, registry: str) -> None:
        self._raw = response.raw
        self._registry = registry

    def read(self, size: int, /) -> bytes:
        """Raises RegistryUnreachable when the connection breaks or stalls."""
        try:
            content: bytes = self._raw.read(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            if any(isinstance(cause, http.client.IncompleteRead) for cause in _causes(error)):
                return b""
            raise RegistryUnreachable(
                f"lost the connection to registry {self._registry}: {_reason(error)}",
                hint="pull again: layers that are complete are not fetched twice",
            ) from error
        return content

    def read_bounded(self, limit: int) -> bytes:
        """All of it, but not more than limit + 1 bytes."""
        content = b""
        while len(content) <= limit and (chunk := self.read(limit + 1 - len(content))):
            content += chunk
        return content


class _Authorization(requests.auth.AuthBase):
    """Sets the header itself; without any `auth`, requests would take one from ~/.netrc."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


def _system_authorities() -> bool | str:
    """The host's certificate authorities, where operators add theirs; else those of certifi."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    return paths.capath if paths.capath and os.listdir(paths.capath) else True


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0.0


def _is_transient(error: requests.RequestException) -> bool:
    """A connection that broke; not one that was refused, a wrong name, or a bad certificate."""
    broken = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)
    return any(
        isinstance(cause, http.client.RemoteDisconnected | TimeoutError)
        or (isinstance(cause, OSError) and cause.errno in broken)
        for cause in _causes(error)
    )


def _reason(error: BaseException) -> str:
    """The innermost words that say something, out of up to five exceptions around them."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, TimeoutError | requests.Timeout):
            return "timed out"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror.lower()
    return str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those it wraps in any of the ways that urllib3 and requests have."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            pending += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
