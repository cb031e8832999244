"""RegistryClient: manifests and blobs of one image; OCI distribution-spec 1.1, "Pull".

    GET /v2/NAME/manifests/REFERENCE      GET /v2/NAME/blobs/DIGEST

Each is asked of the endpoints in their order, and the one that had the manifest is the first to be
asked for blobs. One that serves what is not what its digest says is passed over like one that serves
nothing. The error is that of the last, the registry itself; what the others said is added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TypeVar

from launcher.data import Data
from provisioner.errors import (
    ImageNotFound,
    InvalidImage,
    ProvisionerError,
    RegistryFailed,
    RegistryInTrouble,
    TooManyRequests,
)
from provisioner.layer.stream import Readable
from provisioner.manifest import INDEXES, MANIFESTS, MAX_DOCUMENT, verify
from provisioner.reference import ImageReference, is_digest
from provisioner.registry.blob import BlobStream
from provisioner.registry.endpoint import Endpoint
from provisioner.registry.http import Answer
from provisioner.registry.line import Line
from provisioner.registry.registries import Registries
from provisioner.registry.session import Session

_ACCEPT = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
_BLOB_STATUSES = (200, 206, 416)

_T = TypeVar("_T")


class ServedManifest(Data, kw_only=True):
    """A manifest or index as the registry sent it; it has the digest that was promised."""

    content: bytes
    media_type: str


class _Blob:
    """Who has given which parts of one blob."""

    def __init__(self) -> None:
        self.givers: list[Endpoint] = []  # of the parts of the last stream
        self.liars: dict[Endpoint, str] = {}  # who is not to be asked again, and what it did
        self.renewed = False  # its parts did not fit, and it was fetched whole


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
        self._blobs: dict[str, _Blob] = {}  # by digest

    def interrupt(self) -> None:
        """End all requests, whatever they wait for: in their threads they raise Cancelled."""
        self._line.cut()

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._line.close()

    def manifest(self, reference: str, what: str) -> ServedManifest:
        """The manifest or index under a tag or digest; `what` names the image in errors.

        Raises ImageNotFound, Unauthorized, RegistryUnreachable, RegistryFailed, InvalidImage,
        DigestMismatch: of a tag with what the registry says itself.
        """

        def read(answer: Answer) -> ServedManifest:
            with answer:
                content = answer.read_bounded(MAX_DOCUMENT)
            if len(content) > MAX_DOCUMENT:
                raise InvalidImage(f"manifest of {what} is larger than {MAX_DOCUMENT} bytes")
            promised = reference if is_digest(reference) else _digest(answer)
            if promised:
                verify(content, promised, f"manifest of {what}")
            return ServedManifest(content=content, media_type=answer.headers.get("Content-Type", ""))

        return self._ask(f"manifests/{reference}", what, read, _ACCEPT, is_tag=not is_digest(reference))

    def digest(self, reference: str, what: str) -> str | None:
        """What the tag stands for now, by one HEAD; None if the registry does not tell.

        Raises RegistryUnreachable, Unauthorized, TooManyRequests, RegistryInTrouble.
        """

        def read(answer: Answer) -> str | None:
            with answer:
                return _digest(answer)

        path, is_tag = f"manifests/{reference}", not is_digest(reference)
        try:
            return self._ask(path, what, read, _ACCEPT, is_tag=is_tag, method="HEAD")
        except (TooManyRequests, RegistryInTrouble):
            raise
        except (ImageNotFound, RegistryFailed):  # or it knows no HEAD: a GET will tell why
            return None

    @contextmanager
    def blob(self, digest: str, size: int | None = None, offset: int = 0) -> Iterator[Readable]:
        """The stream of a blob from an offset on, not verified. Raises as `manifest` does."""
        what = f"{self._name.registry}/{self._name.repository} (blob {digest})"
        with self._lock:
            self._blobs.setdefault(digest, _Blob()).givers = []

        def ask(headers: Mapping[str, str]) -> Answer:
            return self._ask(f"blobs/{digest}", what, lambda answer: answer, headers, blob=digest)

        with closing(BlobStream(ask, f"blob {digest}", size, self._line, self._note, offset)) as stream:
            yield stream

    def distrust(self, digest: str, why: str) -> bool:
        """What `blob` gave, from offset 0, was not what the digest says: whether to ask for it again.

        Parts of several connections are fetched anew, once; who gave a whole that is wrong is asked
        no more, and the next place is.
        """
        with self._lock:
            blob = self._blobs[digest]
            if len(blob.givers) > 1 and not blob.renewed:
                blob.renewed = True
                told, again = "its parts do not fit together; fetching it whole", True
            else:
                liar = blob.givers[-1]
                blob.liars[liar] = f"registry {liar.registry} serves a wrong blob {digest}: {why}"
                again = any(e.pulls and e not in blob.liars for e in self._endpoints)
                told = f"registry {liar.registry} serves it wrong: {why}; trying the next place"
        if again:
            self._note(f"blob {digest}: {told}")
        return again

    def _ask(
        self,
        path: str,
        what: str,
        take: Callable[[Answer], _T],
        headers: Mapping[str, str],
        *,
        is_tag: bool = False,
        method: str = "GET",
        blob: str | None = None,
    ) -> _T:
        """What `take` makes of the first answer of which it makes something."""
        failures: list[tuple[Endpoint, str | ProvisionerError]] = []
        accepted = _BLOB_STATUSES if blob else (200,)
        with self._lock:
            liars = self._blobs[blob].liars if blob else {}
            failures += liars.items()
            able = [e for e in self._endpoints if (e.resolves if is_tag else e.pulls) and e not in liars]
        for endpoint in able:
            try:
                session = self._session(endpoint)
                at = f"manifests/{endpoint.tag}" if is_tag and endpoint.tag else path
                taken = take(session.get(at, what, headers, method=method, accepted=accepted))
            except ProvisionerError as error:
                failures.append((endpoint, error))
                if endpoint is not able[-1]:
                    self._note(f"{error.message}; trying the next place")
            else:
                self._succeeded(endpoint, [failed for failed, _ in failures], blob)
                return taken
        raise self._failure(failures, what)

    def _session(self, endpoint: Endpoint) -> Session:
        base = self._registries.base(endpoint)
        with self._lock:
            if endpoint not in self._sessions:
                authorizer = self._registries.authorizer(endpoint, self._name)
                self._sessions[endpoint] = Session(endpoint, base, authorizer, self._line, self._note)
            return self._sessions[endpoint]

    def _succeeded(self, endpoint: Endpoint, failed: list[Endpoint], blob: str | None) -> None:
        """From now on ask those last that just failed where another did not."""
        with self._lock:
            if failed:
                self._endpoints.sort(key=failed.__contains__)
            if blob:
                self._blobs[blob].givers.append(endpoint)

    def _failure(
        self, failures: list[tuple[Endpoint, str | ProvisionerError]], what: str
    ) -> ProvisionerError:
        errors = {place: error for place, error in failures if isinstance(error, ProvisionerError)}
        if not errors:
            return RegistryFailed(
                f"no place that is configured for {what} may serve it", hint="see capabilities in hosts.toml"
            )
        told = errors.get(self._last, list(errors.values())[-1])
        for _, error in failures:
            if error is not told:
                told.add_note(error if isinstance(error, str) else error.message)
        return told


def _digest(answer: Answer) -> str | None:
    digest = answer.headers.get("Docker-Content-Digest", "")
    return digest if is_digest(digest) else None
