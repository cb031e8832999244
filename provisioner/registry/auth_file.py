"""auth.json and config.json: where credentials are stored, in the order in which they are looked for.

containers-auth.json(5); Docker's config.json has the same form. Nothing but `login` and `logout`
writes, and those only the first of these:

    $REGISTRY_AUTH_FILE, or else $XDG_RUNTIME_DIR/containers/auth.json
    $XDG_CONFIG_HOME/containers/auth.json
    $DOCKER_CONFIG/config.json           (~/.docker)
    ~/.dockercfg                         the value of "auths" alone
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.errors import RegistryConfigurationError
from provisioner.registry.options import Credentials

_MAX_FILE = 1 << 20  # bytes


class AuthFile:
    """One file, as it is now."""

    def __init__(self, path: str, value: Mapping[str, Any]) -> None:
        self.path = path
        self._value = value

    @classmethod
    def read(cls, path: str) -> AuthFile:
        """An empty one if there is none. Raises RegistryConfigurationError."""
        try:
            with open(path, "rb") as file:
                content = file.read(_MAX_FILE)
        except (FileNotFoundError, NotADirectoryError):
            return cls(path, {})
        except OSError as error:
            raise RegistryConfigurationError(
                f"cannot read credentials from {path}: {error.strerror}"
            ) from error
        return cls.parse(path, content)

    @classmethod
    def parse(cls, path: str, content: bytes) -> AuthFile:
        """What is, or could be, in the file. Raises RegistryConfigurationError."""
        try:
            value = json.loads(content or b"{}")
        except (ValueError, RecursionError) as error:
            raise malformed(path) from error
        if not isinstance(value, dict):
            raise malformed(path)
        return cls(path, {"auths": value} if path.endswith("/.dockercfg") else value)

    def entry(self, key: str) -> Credentials | None:
        """What is stored under the key itself. Raises RegistryConfigurationError."""
        value = self._table("auths").get(key)
        if value is None:
            return None
        try:
            return _decode(value)
        except (ValueError, AttributeError, TypeError, binascii.Error) as error:
            raise malformed(self.path, key) from error

    def helper(self, key: str) -> str | None:
        """The credential helper for exactly this key."""
        name = self._table("credHelpers").get(key)
        return name if isinstance(name, str) and name else None

    @property
    def store(self) -> str | None:
        """The credential helper for all registries that have none of their own."""
        name = self._value.get("credsStore")
        return name if isinstance(name, str) and name else None

    def with_entry(self, key: str, credentials: Credentials) -> AuthFile:
        auths = dict(self._table("auths")) | {key: _encode(credentials)}
        return AuthFile(self.path, dict(self._value) | {"auths": auths})

    def without_entry(self, key: str) -> AuthFile | None:
        """None if it has no such entry."""
        auths = dict(self._table("auths"))
        if auths.pop(key, None) is None:
            return None
        return AuthFile(self.path, dict(self._value) | {"auths": auths})

    def write(self) -> None:
        """Replace the file at once; nobody else can read it. Raises RegistryConfigurationError."""
        # A link, such as one into a directory that is synchronized, stays one.
        path = os.path.realpath(self.path)
        value = self._table("auths") if path.endswith("/.dockercfg") else self._value
        temporary = f"{path}.{os.urandom(8).hex()}"
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "w") as file:
                json.dump(value, file, indent="\t")
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise RegistryConfigurationError(f"cannot write {path}: {error.strerror}") from error

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self._value.get(name) or {}
        if not isinstance(table, dict):
            raise malformed(self.path)
        return table


def primary(explicit: str | None = None) -> str:
    """The file that `login` writes."""
    named = explicit or os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        return os.path.abspath(named)
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    return f"{runtime}/containers/auth.json" if "XDG_RUNTIME_DIR" in os.environ else f"{runtime}/auth.json"


def paths(explicit: str | None = None) -> Iterator[str]:
    """All files, the first to look into first."""
    yield primary(explicit)
    if explicit:
        return
    home = os.path.expanduser("~")
    yield f"{os.environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/containers/auth.json"
    yield f"{os.environ.get('DOCKER_CONFIG') or f'{home}/.docker'}/config.json"
    yield f"{home}/.dockercfg"


def malformed(path: str, key: str | None = None) -> RegistryConfigurationError:
    which = f" for {key}" if key else ""
    return RegistryConfigurationError(
        f"malformed credentials{which} in {path}", hint="log in again, or mend the file"
    )


def _decode(entry: Mapping[str, str]) -> Credentials | None:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if encoded := entry.get("auth"):
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        if not colon:
            raise ValueError("auth is not username:password")
    identity, token = entry.get("identitytoken") or "", entry.get("registrytoken") or ""
    if not (username or identity or token):  # the secret is in a credential helper, or gone
        return None
    return Credentials(
        username=username,
        password=password.rstrip("\0"),  # as some writers pad it
        identity_token=identity,
        registry_token=token,
    )


def _encode(credentials: Credentials) -> dict[str, str]:
    pair = f"{credentials.username}:{credentials.password}".encode()
    entry = {"auth": base64.b64encode(pair).decode()}
    if credentials.identity_token:
        entry["identitytoken"] = credentials.identity_token
    return entry
