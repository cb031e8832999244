"""Credential helpers: programs that keep secrets in a keychain; docker/docker-credential-helpers.

    docker-credential-NAME get      stdin: SERVER          stdout: {"ServerURL", "Username", "Secret"}
    docker-credential-NAME store    stdin: that JSON
    docker-credential-NAME erase    stdin: SERVER

One that fails says why on its standard output. The user name <token> marks an identity token.
"""

from __future__ import annotations

import json
import os
import re
import subprocess

from provisioner.errors import RegistryConfigurationError
from provisioner.registry.options import Credentials

_TIMEOUT = 60.0  # seconds: some ask their user for the keychain's password
_MAX_SAID = 200  # characters of what a helper says
_TOKEN_USER = "<token>"  # noqa: S105 - no secret: what stands in its place
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = ("credentials not found in native keychain", "no credentials server URL")


def get(name: str, server: str) -> Credentials | None:
    """What the helper has for the server. Raises RegistryConfigurationError."""
    code, said = _run(name, "get", server)
    if code != 0:
        if any(words in said for words in _NOT_FOUND):
            return None
        raise _failed(name, "get", server, said)
    try:
        value = json.loads(said)
        username, secret = value.get("Username") or "", value.get("Secret") or ""
        if not isinstance(username, str) or not isinstance(secret, str):
            raise TypeError
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _failed(name, "get", server, "its answer is not JSON of a user and a secret") from error
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username=username, password=secret) if username or secret else None


def store(name: str, server: str, credentials: Credentials) -> None:
    """Raises RegistryConfigurationError."""
    token = credentials.identity_token
    record = {
        "ServerURL": server,
        "Username": _TOKEN_USER if token else credentials.username,
        "Secret": token or credentials.password,
    }
    code, said = _run(name, "store", json.dumps(record))
    if code != 0:
        raise _failed(name, "store", server, said)


def erase(name: str, server: str) -> None:
    """Idempotent. Raises RegistryConfigurationError."""
    code, said = _run(name, "erase", server)
    if code != 0 and not any(words in said for words in _NOT_FOUND):
        raise _failed(name, "erase", server, said)


def _run(name: str, action: str, text: str) -> tuple[int, str]:
    if not _NAME.fullmatch(name):  # a name with a slash would be a path
        raise RegistryConfigurationError(f"invalid name of a credential helper: {name!r}")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, action],
            check=False,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT,
            cwd="/",
        )
    except FileNotFoundError as error:
        raise RegistryConfigurationError(
            f"the credential helper {program} is not installed",
            hint="install it, or remove it from credHelpers and credsStore",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RegistryConfigurationError(
            f"the credential helper {program} takes more than {_TIMEOUT:.0f} s",
            hint="it may wait for an answer of yours",
        ) from error
    except OSError as error:
        raise RegistryConfigurationError(
            f"cannot execute the credential helper {program}: {os.strerror(error.errno or 0).lower()}"
        ) from error
    return done.returncode, done.stdout.decode(errors="replace").strip()


def _failed(name: str, action: str, server: str, said: str) -> RegistryConfigurationError:
    words = "".join(c for c in said[:_MAX_SAID] if c.isprintable()) or "it says nothing"
    return RegistryConfigurationError(
        f"the credential helper docker-credential-{name} cannot {action} {server}: {words}"
    )
