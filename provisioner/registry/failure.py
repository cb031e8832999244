"""What went wrong, in one sentence: foreign exceptions and a registry's answers turned into ours."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping

import requests

from provisioner.errors import (
    ImageNotFound,
    ProvisionerError,
    RegistryFailed,
    RegistryInTrouble,
    RegistryUnreachable,
    TooManyRequests,
    Unauthorized,
)
from provisioner.registry.endpoint import unreachable
from provisioner.registry.retry import TRANSIENT

_TRUST = "add its authority to the host's (update-ca-certificates), or to certs.d/HOST[:PORT]/ca.crt"
_PROXY_USER = "add user and password to its URL: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
_LONGEST = 300  # characters of what a registry says


def answered(registry: str, status: int, content: bytes, what: str, tries: int = 1) -> ProvisionerError:
    """The error for an answer that is none of success; `content` is its body's beginning."""
    said = detail(content)
    if status == requests.codes.not_found:
        return ImageNotFound(
            f"registry {registry} has no {what}{said}", hint="check the image's name and tag"
        )
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        return Unauthorized(
            f"registry {registry} denies access to {what}{said}",
            hint=f"check the name; if it is private, `containerizer login {registry}` or"
            " `docker login` stores credentials for it",
        )
    if status == requests.codes.proxy_authentication_required:
        return unreachable(registry, f"the proxy wants to know who asks{said}", _PROXY_USER)
    times = f" {tries} times" if tries > 1 else ""
    if status == requests.codes.too_many_requests:
        return TooManyRequests(
            f"registry {registry} answers 429, too many requests, for {what}{times}{said}",
            hint="wait, log in (a registry may allow its users more), or use a mirror",
        )
    text = f"registry {registry} answers {status} for {what}{times}{said}"
    if status in TRANSIENT:
        return RegistryInTrouble(text, hint="it is reached, but in trouble: try again later, or use a mirror")
    return RegistryFailed(text, hint="it works but says no: see what it says, or its log")


def detail(content: bytes) -> str:
    """The first error of a registry's JSON, or a line of plain text, in parentheses."""
    value = json_object(content)
    errors = value.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else value
    words = []
    if isinstance(first, dict):
        message = first.get("message") or first.get("error_description") or first.get("details")
        words = [first.get("code") or first.get("error"), message]
    text = ": ".join(str(word) for word in words if word)
    if not value and not content.lstrip().startswith(b"<"):  # a page is for browsers
        text = content.decode(errors="replace").strip().partition("\n")[0]
    printable = "".join(c for c in text[:_LONGEST] if c.isprintable())
    return f" ({printable})" if printable else ""


def json_object(content: bytes) -> Mapping[str, object]:
    """The JSON object that it is, or an empty one."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # an error page for people, from something in between
        return {}
    return value if isinstance(value, dict) else {}


def no_answer(registry: str, error: requests.RequestException) -> RegistryUnreachable:
    """The error for a request that got no answer."""
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
        return unreachable(registry, reason(error), _TRUST)
    if "407" in reason(error) and reason(error).startswith("tunnel"):
        return unreachable(registry, "the proxy wants to know who asks", _PROXY_USER)
    if isinstance(error, requests.exceptions.ProxyError):
        return unreachable(
            registry, f"the proxy fails: {reason(error)}", "see HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
        )
    return unreachable(registry, reason(error))


def is_transient(error: BaseException) -> bool:
    """A connection that broke or stalled; not one that was refused, a wrong name, or a bad certificate."""
    broken = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)
    return any(
        isinstance(cause, http.client.RemoteDisconnected | TimeoutError | ssl.SSLEOFError)
        or (isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN)
        or (isinstance(cause, OSError) and cause.errno in broken)
        for cause in causes(error)
    )


def is_no_connection(error: requests.RequestException) -> bool:
    """Nobody answered in time, not even the kernel there."""
    return isinstance(error, requests.ConnectTimeout)


def reason(error: BaseException) -> str:
    """The innermost words that say something, out of up to five exceptions around them."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, OSError):
            return "what it answers is no HTTP"
        if isinstance(cause, http.client.IncompleteRead):
            return "the connection was cut"
        if isinstance(cause, TimeoutError | requests.Timeout):
            return "timed out"
        if isinstance(cause, requests.RequestException):
            continue
        if isinstance(cause, OSError) and (cause.strerror or str(cause).startswith("Tunnel")):
            return (cause.strerror or str(cause)).lower()
    return str(error)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those it wraps in any of the ways that urllib3 and requests have."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            pending += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
