"""How a registry wants to know who asks: its challenge, the token service, stored credentials.

RFC 9110 section 11.6.1 for WWW-Authenticate; distribution's "Token Authentication Specification"
for Bearer. Credentials come from the file that `docker login` writes.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping

from launcher.data import Data
from provisioner.errors import ProvisionerError

_MAX_CONFIG = 1 << 20  # bytes of ~/.docker/config.json
_MAX_CHALLENGE = 8 << 10  # characters of a WWW-Authenticate header

_PARAMETER = re.compile(
    r"""(?:(?P<scheme>[A-Za-z][A-Za-z0-9_-]*)\s+)?      # a scheme starts a new challenge
        (?P<key>[A-Za-z][A-Za-z0-9_-]*)\s*=\s*
        (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))""",
    re.VERBOSE,
)


class Challenge(Data, kw_only=True):
    """One way in that a registry offers."""

    scheme: str  # lower case: "bearer", "basic"
    parameters: Mapping[str, str]


class Credentials(Data, kw_only=True):
    username: str
    password: str

    @property
    def header(self) -> str:
        """The value of an Authorization header; RFC 7617."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


def parse_challenges(header: str) -> list[Challenge]:
    """Read a WWW-Authenticate header, which may hold several challenges."""
    found: list[tuple[str, dict[str, str]]] = []
    for match in _PARAMETER.finditer(header[:_MAX_CHALLENGE]):
        if match["scheme"]:
            found.append((match["scheme"].lower(), {}))
        if found:
            quoted = match["quoted"]
            value = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1][match["key"].lower()] = value
    return [Challenge(scheme=scheme, parameters=parameters) for scheme, parameters in found]


def load_credentials(registry: str) -> Credentials | None:
    """What `docker login` stored for the registry. Raises ProvisionerError for a broken file."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    path = f"{directory}/config.json"
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_CONFIG)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ProvisionerError(f"cannot read credentials from {path}: {error.strerror}") from error
    try:
        auths = json.loads(content).get("auths") or {}
        return next((_decode(auths[key]) for key in _keys(registry) if key in auths), None)
    except (ValueError, AttributeError, TypeError, RecursionError, binascii.Error) as error:
        raise ProvisionerError(
            f"malformed credentials for {registry} in {path}", hint="log in again, or mend the file"
        ) from error


def _keys(registry: str) -> tuple[str, ...]:
    """The names under which writers have stored a registry."""
    if registry == "docker.io":
        return ("https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io")
    return (registry, f"https://{registry}", f"https://{registry}/v1/", f"http://{registry}")


def _decode(entry: Mapping[str, str]) -> Credentials | None:
    encoded = entry.get("auth")
    if not encoded:  # the secret is in a credential helper, or gone
        return None
    username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    if not colon:
        raise ValueError("auth is not username:password")
    return Credentials(username=username, password=password)
