"""Who asks: principals, and their secrets as hashes, in a JSON or TOML file.

    {"credentials": [{"principal": "ops", "secret": "scrypt$16384$8$1$<salt>$<hash>"}]}

A client shows both by Basic authentication (RFC 7617), or as a Bearer token (RFC 6750) of the form
`principal:secret`. Only hashes are stored: scrypt (RFC 7914) with a salt each, so a file that is read
by others still has to be guessed at. A hash takes some 50 ms, which a client who knows no secret could
have us spend; so one is computed at a time, in a thread, for a few who wait, and what was right once is
remembered by a keyed digest until the file changes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import tomllib
from collections.abc import Mapping
from typing import Any

from launcher.errors import ContainerizerError, InvalidRequest

_N, _R, _P = 1 << 14, 8, 1  # 16 MiB of memory: RFC 7914, section 2
_SALT, _HASH = 16, 32  # bytes
_REMEMBERED = 1000
_WAITING = 100  # clients whose secrets are still to be looked at
_MAX_FILE = 1 << 20  # bytes


def hash_secret(secret: str) -> str:
    """What the file has in place of the secret."""
    salt = os.urandom(_SALT)
    digest = hashlib.scrypt(secret.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=_HASH)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return "$".join(["scrypt", str(_N), str(_R), str(_P), *encoded])


def is_secret(secret: str, hashed: str) -> bool:
    """Whether it is the one of which this is the hash."""
    _, n, r, p, salt, digest = hashed.split("$")
    expected = base64.b64decode(digest)
    computed = hashlib.scrypt(
        secret.encode(), salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), dklen=len(expected)
    )
    return hmac.compare_digest(computed, expected)


class TooMany(ContainerizerError):
    """More clients than can be looked at wait to be told from others."""


class Credentials:
    """The file's content. Belongs to one event loop."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = dict(hashes)
        self._nobody = hash_secret("")  # so that an unknown principal takes as long as a wrong secret
        self._key = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._one = asyncio.Lock()
        self._waiting = 0

    @classmethod
    def load(cls, path: str) -> Credentials:
        """Raises InvalidRequest naming the file and what is wrong in it."""
        value = read_document(path)
        try:
            pairs = [(entry["principal"], entry["secret"]) for entry in value["credentials"]]
            for _, hashed in pairs:
                if hashed.split("$")[0] != "scrypt" or len(hashed.split("$")) != 6:
                    raise ValueError("a secret is not hashed")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            hint = "`containerizer credential PRINCIPAL` writes an entry"
            raise InvalidRequest(f"invalid credentials in {path}: {error}", hint=hint) from error
        return cls(dict(pairs))

    async def principal(self, header: str | None) -> str | None:
        """Who the Authorization header is of; None if it is missing, malformed or wrong. Raises TooMany."""
        shown = _shown(header)
        if shown is None:
            return None
        name, secret = shown
        digest = hmac.digest(self._key, f"{name}:{secret}".encode(), "sha256")
        if digest in self._right:
            return name
        right = await self._is_right(secret, self._hashes.get(name, self._nobody))
        if not right or name not in self._hashes:
            return None
        if len(self._right) >= _REMEMBERED:
            self._right.pop(next(iter(self._right)))
        self._right[digest] = None
        return name

    async def _is_right(self, secret: str, hashed: str) -> bool:
        if self._waiting >= _WAITING:
            raise TooMany("too many clients show secrets that nobody has shown before", hint="try again")
        self._waiting += 1
        try:
            async with self._one:
                return await asyncio.to_thread(is_secret, secret, hashed)
        finally:
            self._waiting -= 1


def read_document(path: str) -> dict[str, Any]:
    """A JSON or TOML file of ours. Raises InvalidRequest."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MAX_FILE)
        value = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"cannot read {path}: {error}") from error
    assert isinstance(value, dict)
    return value


def _shown(header: str | None) -> tuple[str, str] | None:
    scheme, _, value = (header or "").partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode()
        except ValueError:  # no base64, or of no text
            return None
    elif scheme.lower() != "bearer":
        return None
    name, colon, secret = value.partition(":")
    with contextlib.suppress(UnicodeEncodeError):  # a header has any bytes
        return (name, secret) if colon and value.encode() else None
    return None
