"""RegistryClient: manifests and blobs of one image; OCI distribution-spec 1.1, "Pull".

    GET /v2/NAME/manifests/REFERENCE      GET /v2/NAME/blobs/DIGEST

Each is asked of the endpoints in their order, and the one that had the manifest is the first to be
asked for blobs. The error is that of the last, the registry itself; what the others said is added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from launcher.data import Data
from provisioner.errors import (
    ImageNotFound,
    InvalidImage,
    ProvisionerError,
    RegistryFailed,
    TooManyRequests,
)
from provisioner.layer.stream import Readable
from provisioner.manifest import INDEXES, MANIFESTS, MAX_DOCUMENT
from provisioner.reference import ImageReference, is_digest
from provisioner.registry.blob import BlobStream
from provisioner.registry.endpoint import Endpoint
from provisioner.registry.http import Answer
from provisioner.registry.line import Line
from provisioner.registry.registries import Registries
from provisioner.registry.session import Session

_ACCEPT = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
_BLOB_STATUSES = (200, 206, 416)


class ServedManifest(Data, kw_only=True):
    """A manifest or index as the registry sent it, not verified."""

    content: bytes
    media_type: str
    digest: str | None  # Docker-Content-Digest, if it was sent and is one


class RegistryClient:
    """One image, in one pull. Its methods may be called from several threads."""

    def __init__(
        self, name: ImageReference, registries: Registries, note: Callable[[str], None] = lambda text: None
    ) -> None:
        """`note` is told, in words for people, what went wrong and is tried again.

        Raises ImageBlocked, RegistryConfigurationError.
        """
        self._name = name
        self._registries = registries
        self._note = note
        self._line = Line()
        self._lock = threading.Lock()
        self._endpoints = list(registries.endpoints(name))
        self._last = self._endpoints[-1]  # the registry itself, after its mirrors
        self._sessions: dict[Endpoint, Session] = {}

    def interrupt(self) -> None:
        """End all requests, whatever they wait for: in their threads they raise Cancelled."""
        self._line.cut()

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._line.close()

    def manifest(self, reference: str, what: str) -> ServedManifest:
        """The manifest or index under a tag or digest; `what` names the image in errors.

        Raises ImageNotFound, Unauthorized, RegistryUnreachable, RegistryFailed, InvalidImage.
        """
        with self._ask(f"manifests/{reference}", what, _ACCEPT, is_tag=not is_digest(reference)) as answer:
            content = answer.read_bounded(MAX_DOCUMENT)
        if len(content) > MAX_DOCUMENT:
            raise InvalidImage(f"manifest of {what} is larger than {MAX_DOCUMENT} bytes")
        media_type = answer.headers.get("Content-Type", "")
        return ServedManifest(content=content, media_type=media_type, digest=_digest(answer))

    def digest(self, reference: str, what: str) -> str | None:
        """What the tag stands for now, by one HEAD; None if the registry does not tell.

        Raises RegistryUnreachable, Unauthorized, TooManyRequests.
        """
        path, is_tag = f"manifests/{reference}", not is_digest(reference)
        try:
            with self._ask(path, what, _ACCEPT, is_tag=is_tag, method="HEAD") as answer:
                return _digest(answer)
        except TooManyRequests:
            raise
        except (ImageNotFound, RegistryFailed):  # or it knows no HEAD: a GET will tell why
            return None

    @contextmanager
    def blob(self, digest: str, size: int | None = None) -> Iterator[Readable]:
        """The stream of a blob, not verified. Raises as `manifest` does."""
        what = f"{self._name.registry}/{self._name.repository} (blob {digest})"

        def ask(headers: Mapping[str, str]) -> Answer:
            return self._ask(f"blobs/{digest}", what, headers, is_tag=False)

        with closing(BlobStream(ask, f"blob {digest}", size, self._line, self._note)) as stream:
            yield stream

    def _ask(
        self, path: str, what: str, headers: Mapping[str, str], *, is_tag: bool, method: str = "GET"
    ) -> Answer:
        accepted = _BLOB_STATUSES if path.startswith("blobs/") else (200,)
        failures: list[tuple[Endpoint, ProvisionerError]] = []
        with self._lock:
            able = [e for e in self._endpoints if (e.resolves if is_tag else e.pulls)]
        for endpoint in able:
            try:
                answer = self._session(endpoint).get(path, what, headers, method=method, accepted=accepted)
            except ProvisionerError as error:
                failures.append((endpoint, error))
                if endpoint is not able[-1]:
                    self._note(f"{error.message}; trying the next place")
            else:
                self._demote([failed for failed, _ in failures])
                return answer
        raise self._failure(failures, what)

    def _session(self, endpoint: Endpoint) -> Session:
        base = self._registries.base(endpoint)
        with self._lock:
            if endpoint not in self._sessions:
                authorizer = self._registries.authorizer(endpoint, self._name)
                self._sessions[endpoint] = Session(endpoint, base, authorizer, self._line, self._note)
            return self._sessions[endpoint]

    def _demote(self, failed: list[Endpoint]) -> None:
        """From now on ask those last that just failed where another did not."""
        if failed:
            with self._lock:
                self._endpoints.sort(key=failed.__contains__)

    def _failure(self, failures: list[tuple[Endpoint, ProvisionerError]], what: str) -> ProvisionerError:
        if not failures:
            return RegistryFailed(
                f"no place that is configured for {what} may serve it", hint="see capabilities in hosts.toml"
            )
        told = dict(failures).get(self._last, failures[-1][1])
        for _, error in failures:
            if error is not told:
                told.add_note(error.message)
        return told


def _digest(answer: Answer) -> str | None:
    digest = answer.headers.get("Docker-Content-Digest", "")
    return digest if is_digest(digest) else None
