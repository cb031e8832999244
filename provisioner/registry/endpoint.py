"""Endpoint: one place that may have the content of a repository, and how to speak to it.

TLS always. Only loopback hosts and those that the operator calls insecure may speak plain HTTP, and
only after a handshake showed that they speak no TLS (see scheme); or those that a hosts.toml says speak it.
"""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from launcher.data import Data
from provisioner.errors import RegistryUnreachable

HUB = "docker.io"
_HUB_ADDRESS = "registry-1.docker.io"  # what listens for it
CONNECT_TIMEOUT = 10.0  # seconds
_LOOK = "check the address, and that the registry runs and no firewall or proxy is in the way"

Scheme = Literal["https", "http", "either"]


class Trust(Data, kw_only=True):
    """Which certificates count, besides those that the host trusts."""

    verify: bool = True
    authorities: tuple[str, ...] = ()  # PEM files
    clients: tuple[tuple[str, str | None], ...] = ()  # PEM files: certificate, and key if it is apart


class Endpoint(Data, kw_only=True):
    """A registry or a mirror of one, for one repository."""

    registry: str  # HOST[:PORT] as images' names have it; the key of its credentials
    address: str  # HOST[:PORT] that listens
    repository: str  # the name that it has there
    tag: str | None = None  # that stands there for the image's own
    scheme: Scheme = "https"
    root: str = "/v2"  # path of the API
    trust: Trust = Trust()
    headers: tuple[tuple[str, str], ...] = ()  # sent to this address and to no other
    resolves: bool = True  # may say what a tag stands for
    pulls: bool = True  # may give what a digest names
    namespace: str | None = None  # for a mirror: the registry that it stands for
    proxy: str | None = None  # URL; None: what the environment says
    connect_timeout: float = CONNECT_TIMEOUT  # seconds


def address_of(registry: str) -> str:
    """Where the registry of that name listens."""
    return _HUB_ADDRESS if registry == HUB else registry


def is_loopback(address: str) -> bool:
    host = urlsplit(f"//{address}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unreachable(registry: str, why: str, hint: str = _LOOK) -> RegistryUnreachable:
    return RegistryUnreachable(f"cannot reach registry {registry}: {why}", hint=hint)
