"""A token service for docker-registry's `auth: token`: real JSON Web Tokens, which the registry verifies.

with TokenServer.start(authority, users={"user": "secret"}) as tokens:
    Registry.start(storage, token=tokens)

Users have all rights, strangers may pull what is below public/. By GET with Basic, and by POST with
an identity token, which a GET with offline_token gives.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.server
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.authority import Authority, der, sign
from tests.support.serving import serving

SERVICE = "registry of the tests"


@dataclasses.dataclass
class TokenServer:
    """`requests` is what was asked: method, parameters, headers."""

    authority: Authority
    users: Mapping[str, str]
    life: int = 300  # seconds, as it says in `expires_in`
    field: str = "token"  # or access_token
    realm: str = ""
    requests: list[tuple[str, dict[str, list[str]], Mapping[str, str]]] = dataclasses.field(
        default_factory=list
    )
    identities: dict[str, str] = dataclasses.field(default_factory=dict)  # identity token → user
    revoked: bool = False  # from then on it signs with another issuer, which the registry refuses

    @classmethod
    @contextlib.contextmanager
    def start(cls, authority: Authority, **options: Any) -> Iterator[TokenServer]:
        server = cls(authority, **options)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parameters = parse_qs(urlsplit(self.path).query)
                server.requests.append(("GET", parameters, dict(self.headers)))
                self._answer(*server.by_password(parameters, self.headers.get("Authorization")))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                parameters = parse_qs(body.decode())
                server.requests.append(("POST", parameters, dict(self.headers)))
                self._answer(*server.by_identity(parameters))

            def _answer(self, status: int, value: object) -> None:
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        with serving(Handler) as address:
            server.realm = f"http://{address}/token"
            yield server

    @property
    def settings(self) -> dict[str, object]:
        """What docker-registry wants to know of it."""
        bundle = str(self.authority.certificate)
        names = {"realm": self.realm, "service": SERVICE, "issuer": "tests"}
        return {"token": {**names, "rootcertbundle": bundle}}

    def by_password(
        self, parameters: Mapping[str, Sequence[str]], authorization: str | None
    ) -> tuple[int, dict[str, object]]:
        user = ""
        if authorization is not None:
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            user, _, password = pair.partition(":")
            if self.users.get(user) != password:
                return 401, {"details": "incorrect username or password"}
        answer = self._grant(user, " ".join(parameters.get("scope", ())))
        if user and parameters.get("offline_token") == ["true"]:
            answer["refresh_token"] = os.urandom(8).hex()
            self.identities[str(answer["refresh_token"])] = user
        return 200, answer

    def by_identity(self, parameters: Mapping[str, Sequence[str]]) -> tuple[int, dict[str, object]]:
        user = self.identities.get(parameters.get("refresh_token", [""])[0])
        if user is None or parameters.get("grant_type") != ["refresh_token"]:
            return 400, {"error": "invalid_grant", "error_description": "unknown token"}
        return 200, self._grant(user, parameters.get("scope", [""])[0])

    def _grant(self, user: str, scope: str) -> dict[str, object]:
        return {self.field: self._token(user, scope), "expires_in": self.life}

    def _token(self, user: str, scope: str) -> str:
        now = int(time.time())
        claims = {
            "iss": "somebody else" if self.revoked else "tests",
            "aud": SERVICE,
            "sub": user,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 300,
            "jti": os.urandom(8).hex(),
            "access": [_access(user, item) for item in scope.split()],
        }
        chain = [base64.b64encode(der(self.authority.certificate)).decode()]
        header = {"typ": "JWT", "alg": "RS256", "x5c": chain}
        content = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        return (content + b"." + _encoded(sign(self.authority.key, content))).decode()


def _access(user: str, scope: str) -> dict[str, object]:
    kind, name, actions = scope.split(":")
    granted = actions.split(",") if user else ["pull"] if name.startswith("public/") else []
    return {"type": kind, "name": name, "actions": granted}


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
