"""RegistryClient: manifests and blobs of one repository; OCI distribution-spec 1.1, "Pull".

    GET /v2/NAME/manifests/REFERENCE      GET /v2/NAME/blobs/DIGEST

The first answer may be 401 with a challenge; what answers it (a token, or Basic) is kept for the
requests after it, and asked for once more when it expires.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests

from launcher.data import Data
from provisioner.errors import ImageNotFound, InvalidImage, ProvisionerError, Unauthorized
from provisioner.layer.stream import Readable
from provisioner.manifest import INDEXES, MANIFESTS, MAX_DOCUMENT
from provisioner.reference import is_digest
from provisioner.registry.auth import Challenge, load_credentials, parse_challenges
from provisioner.registry.endpoint import base_url, is_loopback, unreachable
from provisioner.registry.http import Http

_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_MAX_ERROR = 64 << 10  # bytes of an error's or token's JSON


class ServedManifest(Data, kw_only=True):
    """A manifest or index as the registry sent it, not verified."""

    content: bytes
    media_type: str
    digest: str | None  # Docker-Content-Digest, if it was sent and is one


class RegistryClient:
    """One repository of one registry. Its methods may be called from several threads."""

    def __init__(
        self,
        registry: str,
        repository: str,
        *,
        insecure_registries: Sequence[str] = (),
        http: Http | None = None,
    ) -> None:
        self._registry = registry
        self._repository = repository
        # A proxy's idea of 127.0.0.1 is another machine than ours.
        self._http = http or Http(registry, proxies=not is_loopback(registry))
        self._insecure_registries = insecure_registries
        self._base_url: str | None = None
        self._authorization: str | None = None
        self._lock = threading.RLock()  # one token, one handshake, for all threads

    def close(self) -> None:
        self._http.close()

    def manifest(self, reference: str, what: str) -> ServedManifest:
        """The manifest or index under a tag or digest; `what` names the image in errors.

        Raises ImageNotFound, Unauthorized, RegistryUnreachable, InvalidImage.
        """
        response = self._get(f"manifests/{reference}", what, {"Accept": _ACCEPT})
        with self._http.stream(response) as body:
            content = body.read_bounded(MAX_DOCUMENT)
        if len(content) > MAX_DOCUMENT:
            raise InvalidImage(f"manifest of {what} is larger than {MAX_DOCUMENT} bytes")
        digest = response.headers.get("Docker-Content-Digest", "")
        return ServedManifest(
            content=content,
            media_type=response.headers.get("Content-Type", ""),
            digest=digest if is_digest(digest) else None,
        )

    @contextmanager
    def blob(self, digest: str) -> Iterator[Readable]:
        """The stream of a blob, not verified. Raises as `manifest` does."""
        response = self._get(f"blobs/{digest}", f"{self._registry}/{self._repository} (blob {digest})", {})
        with self._http.stream(response) as body:
            yield body

    def _get(self, path: str, what: str, headers: dict[str, str]) -> requests.Response:
        url = f"{self._base()}/v2/{self._repository}/{path}"
        used = self._authorization
        response = self._http.get(url, authorization=used, headers=headers)
        if response.status_code == requests.codes.unauthorized:
            challenges = parse_challenges(response.headers.get("WWW-Authenticate", ""))
            response.close()
            authorization = self._authorize(challenges, used)
            response = self._http.get(url, authorization=authorization, headers=headers)
        if response.status_code == requests.codes.ok:
            return response
        with self._http.stream(response) as body:
            raise self._error(response.status_code, _detail(body.read_bounded(_MAX_ERROR)), what)

    def _base(self) -> str:
        with self._lock:
            if self._base_url is None:
                self._base_url = base_url(self._registry, self._insecure_registries)
            return self._base_url

    def _error(self, status: int, detail: str, what: str) -> ProvisionerError:
        if status == requests.codes.not_found:
            return ImageNotFound(
                f"registry {self._registry} has no {what}{detail}", hint="check the image's name and tag"
            )
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            return Unauthorized(
                f"registry {self._registry} denies access to {what}{detail}",
                hint="check the name; if it is private, ~/.docker/config.json needs credentials for"
                f" {self._registry} (`docker login` writes them)",
            )
        return unreachable(self._registry, f"it answers {status}{detail}")

    # Who asks.

    def _authorize(self, challenges: Sequence[Challenge], used: str | None) -> str:
        with self._lock:
            if self._authorization is None or self._authorization == used:
                self._authorization = self._answer(challenges)
            return self._authorization

    def _answer(self, challenges: Sequence[Challenge]) -> str:
        credentials = load_credentials(self._registry)
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return f"Bearer {self._token(challenge, credentials.header if credentials else None)}"
            if challenge.scheme == "basic" and credentials:
                return credentials.header
        raise self._error(requests.codes.unauthorized, "", f"{self._registry}/{self._repository}")

    def _token(self, challenge: Challenge, authorization: str | None) -> str:
        realm = challenge.parameters["realm"]
        self._check_realm(realm)
        params = {"scope": challenge.parameters.get("scope", f"repository:{self._repository}:pull")}
        if "service" in challenge.parameters:
            params["service"] = challenge.parameters["service"]
        response = self._http.get(realm, authorization=authorization, params=params)
        with self._http.stream(response) as body:
            content = body.read_bounded(_MAX_ERROR)
        if response.status_code != requests.codes.ok:
            what = f"{self._registry}/{self._repository} (token service {realm})"
            raise self._error(response.status_code, _detail(content), what)
        value = _json_object(content)
        token = value.get("token") or value.get("access_token")
        # A token goes into a header: nothing but visible ASCII.
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise Unauthorized(f"token service {realm} of registry {self._registry} gave no token")
        return token

    def _check_realm(self, realm: str) -> None:
        """Credentials go in the clear only where the registry itself may be spoken to so."""
        try:
            scheme, host = urlsplit(realm).scheme, urlsplit(realm).netloc
        except ValueError:
            scheme, host = "", ""
        if not host or (scheme != "https" and not (scheme == "http" and self._base().startswith("http:"))):
            raise Unauthorized(f"registry {self._registry} names the unusable token service {realm!r}")


def _detail(content: bytes) -> str:
    """The first error of a registry's JSON, in parentheses."""
    errors = _json_object(content).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    message = first.get("message") or first.get("code") if isinstance(first, dict) else None
    printable = "".join(c for c in str(message or "")[:200] if c.isprintable())
    return f" ({printable})" if printable else ""


def _json_object(content: bytes) -> dict[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # an error page for people, from something in between
        return {}
    return value if isinstance(value, dict) else {}
