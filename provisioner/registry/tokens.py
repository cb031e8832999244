"""Authorizer: answers a registry's challenges for one repository, and remembers what it got.

Distribution's "Token Authentication Specification" (GET with Basic, or anonymous) and "OAuth2 Token
Authentication" (POST with an identity token). A token is used until shortly before it expires, and
asked for once more when the registry refuses it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from launcher.data import Data
from provisioner.errors import Unauthorized
from provisioner.registry import failure
from provisioner.registry.auth import Challenge, basic
from provisioner.registry.http import Http, origin_of
from provisioner.registry.options import Credentials

CLIENT = "containerizer"  # client_id: the spec wants one, for the service's log
MAX_ANSWER = 64 << 10  # bytes of a token service's JSON
_DEFAULT_LIFE = 60.0  # seconds of a token that does not say; the specification's
_MARGIN = 10.0  # seconds before the end at which a token counts as expired
_OK = 200


class Token(Data, kw_only=True):
    """What a token service gave."""

    access: str
    refresh: str | None  # an identity token, if one was asked for or changed
    life: float  # seconds from now


class Authorizer:
    """Safe to use from several threads: one of them asks for all."""

    def __init__(self, registry: str, repository: str, find: Callable[[], Credentials | None]) -> None:
        """`repository`: "" for the registry as a whole, as `login` asks."""
        self._registry = registry
        self._repository = repository
        self._find = find
        self._lock = threading.RLock()
        self._header: str | None = None
        self._expires = float("inf")  # by time.monotonic()
        self._challenges: Sequence[Challenge] = ()
        self._credentials: Credentials | None = None
        self._looked = False

    def current(self, http: Http, base: str) -> str | None:
        """The header to send unasked; None before the first challenge."""
        with self._lock:
            if self._header is not None and time.monotonic() > self._expires:
                self._header = self._answer(http, base, self._challenges)
            return self._header

    def answer(self, http: Http, base: str, challenges: Sequence[Challenge], used: str | None) -> str:
        """The header that the challenges ask for; `used` was refused. Raises Unauthorized."""
        with self._lock:
            if self._header is None or self._header == used:
                self._looked = False  # who was refused may have logged in since
                self._header = self._answer(http, base, challenges)
                self._challenges = challenges
            return self._header

    def _answer(self, http: Http, base: str, challenges: Sequence[Challenge]) -> str:
        credentials = self._stored()
        self._expires = float("inf")
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                if credentials and credentials.registry_token:
                    return f"Bearer {credentials.registry_token}"
                token = self.token(http, base, challenge)
                self._expires = time.monotonic() + token.life
                return f"Bearer {token.access}"
            if challenge.scheme == "basic" and credentials and credentials.username:
                return basic(credentials.username, credentials.password)
        raise failure.answered(self._registry, 401, b"", self._name)

    def token(self, http: Http, base: str, challenge: Challenge, *, offline: bool = False) -> Token:
        """Ask the token service. `offline`: for an identity token too. Raises Unauthorized."""
        realm = challenge.parameters["realm"]
        self._check_realm(realm, base)
        credentials = self._stored()
        asked = {"service": challenge.parameters["service"]} if "service" in challenge.parameters else {}
        scopes = challenge.parameters.get("scope", "").split()
        if not scopes and self._repository:
            scopes = [f"repository:{self._repository}:pull"]
        if credentials and credentials.identity_token:
            content = self._post(http, realm, credentials.identity_token, asked, scopes)
        else:
            if offline:
                asked |= {"offline_token": "true"}
            content = self._get(http, realm, credentials, asked, scopes)
        return self._parse(content, realm)

    def _get(
        self,
        http: Http,
        realm: str,
        credentials: Credentials | None,
        asked: Mapping[str, str],
        scopes: Sequence[str],
    ) -> bytes:
        query = [*asked.items(), ("client_id", CLIENT), *(("scope", scope) for scope in scopes)]
        secret = None
        if credentials and credentials.username:
            query.append(("account", credentials.username))
            secret = basic(credentials.username, credentials.password)
        with http.request("GET", realm, authorization=secret, query=query) as answer:
            return self._body(answer.status, answer.read_bounded(MAX_ANSWER), realm)

    def _post(
        self, http: Http, realm: str, identity: str, asked: Mapping[str, str], scopes: Sequence[str]
    ) -> bytes:
        form = {"grant_type": "refresh_token", "refresh_token": identity, "client_id": CLIENT, **asked}
        if scopes:
            form["scope"] = " ".join(scopes)
        with http.request("POST", realm, form=form) as answer:
            return self._body(answer.status, answer.read_bounded(MAX_ANSWER), realm)

    def _body(self, status: int, content: bytes, realm: str) -> bytes:
        if status == _OK:
            return content
        if 400 <= status < 500 and status not in (408, 429):
            status = 401
        raise failure.answered(self._registry, status, content, f"{self._name} (token service {realm})")

    def _parse(self, content: bytes, realm: str) -> Token:
        value = failure.json_object(content)
        token, refresh = value.get("token") or value.get("access_token"), value.get("refresh_token")
        # A token goes into a header: nothing but visible ASCII.
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise Unauthorized(f"token service {realm} of registry {self._registry} gave no token")
        life = value.get("expires_in")
        life = float(life) if isinstance(life, int | float) and 0 < life < 1e9 else _DEFAULT_LIFE
        return Token(
            access=token,
            refresh=refresh if isinstance(refresh, str) and refresh else None,
            # By our clock from now on: issued_at is by another's.
            life=max(life - _MARGIN, life / 2),
        )

    def _stored(self) -> Credentials | None:
        if not self._looked:
            self._credentials, self._looked = self._find(), True
        return self._credentials

    def _check_realm(self, realm: str, base: str) -> None:
        """Credentials go in the clear only where the registry itself may be spoken to so."""
        try:
            scheme, host, _ = origin_of(realm)
        except ValueError:
            scheme, host = "", ""
        if not host or (scheme != "https" and not (scheme == "http" and base.startswith("http:"))):
            raise Unauthorized(f"registry {self._registry} names the unusable token service {realm!r:.200}")

    @property
    def _name(self) -> str:
        return f"{self._registry}/{self._repository}" if self._repository else self._registry
