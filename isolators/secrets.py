"""Secrets: what is asked of them. No text shows a value; no checkpoint, record or message has one.

A secret is given by its value, or by reference: then a resolver (isolators/secret_resolvers.py) has it, which
is asked at each launch, so that whoever changes it there changes it for the next container.
"""

from __future__ import annotations

import base64
import binascii

from launcher.data import Data
from launcher.errors import InvalidRequest

LARGEST = 500 << 10  # bytes of one, as Docker's

_LONGEST_NAME = 255
_IDS = (1 << 32) - 1  # user and group ids end here; the last one stands for none


class SecretReference(Data, kw_only=True):
    """Where a secret is."""

    name: str
    key: str | None = None  # one of several values of that name
    resolver: str | None = None  # a name of isolators.secret_resolvers; None: the operator's choice

    def __post_init__(self) -> None:
        """Raises InvalidRequest."""
        for what, text in (("name", self.name), ("key", self.key)):
            if text is not None and (not text or "\0" in text or len(text) > _LONGEST_NAME):
                raise InvalidRequest(f"invalid {what} of a secret {text!r:.100}")

    def __str__(self) -> str:
        return self.name if self.key is None else f"{self.name} ({self.key})"


class Secret(Data, kw_only=True):
    """One as a file: its value or a reference, and who may read it in the container."""

    content: str | None = None  # base64
    reference: SecretReference | None = None
    mode: int = 0o444  # of the file, as Docker and podman have it
    uid: int = 0  # in the container
    gid: int = 0

    def __post_init__(self) -> None:
        """Raises InvalidRequest."""
        if (self.content is None) == (self.reference is None):
            raise InvalidRequest("a secret needs either a value or a reference")
        if not 0 <= self.mode <= 0o777:
            raise InvalidRequest(f"invalid mode of a secret {self.mode:o}", hint="use three octal digits")
        if not (0 <= self.uid < _IDS and 0 <= self.gid < _IDS):
            raise InvalidRequest(f"invalid owner of a secret {self.uid}:{self.gid}")
        if self.content is not None:
            check(decoded(self.content), "a secret")

    def __repr__(self) -> str:
        return f"Secret({self.reference or 'a value'}, mode={self.mode:o}, uid={self.uid}, gid={self.gid})"


def encoded(value: bytes) -> str:
    """As `Secret.content`."""
    return base64.b64encode(value).decode()


def check(value: bytes, what: str) -> None:
    """Raises InvalidRequest, which does not tell the value."""
    if len(value) > LARGEST:
        raise InvalidRequest(f"{what} has {len(value)} bytes", hint=f"at most {LARGEST} are a secret")


def variable(value: bytes, name: str) -> str:
    """The value of an environment variable. Raises InvalidRequest, which does not tell it."""
    check(value, f"the secret of the variable {name}")
    if b"\0" in value:
        hint = "have it as a file"
        raise InvalidRequest(f"the secret of the variable {name} has a null byte", hint=hint)
    return value.decode("utf-8", "surrogateescape")


def decoded(content: str) -> bytes:
    """Of `Secret.content`. Raises InvalidRequest, which does not tell it."""
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("the value of a secret is no base64") from None
