"""A registry's challenge: how it wants to know who asks; RFC 9110 section 11.6.1 for WWW-Authenticate."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from launcher.data import Data

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


def basic(username: str, password: str) -> str:
    """The value of an Authorization header; RFC 7617."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


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
