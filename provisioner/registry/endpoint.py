"""Where a registry listens, and whether in TLS.

TLS always. Only loopback hosts and those that the operator calls insecure may speak plain HTTP, and
only after a handshake showed that they speak no TLS.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from provisioner.errors import RegistryUnreachable

_HUB = "registry-1.docker.io"  # what listens for "docker.io"
_CONNECT = 10.0  # seconds
_LOOK = "check the address, and that the registry runs and no firewall or proxy is in the way"


def base_url(registry: str, insecure_registries: Sequence[str]) -> str:
    """`https://HOST[:PORT]`, or http where that is allowed and spoken. Raises RegistryUnreachable."""
    address = _HUB if registry == "docker.io" else registry
    if (is_loopback(registry) or registry in insecure_registries) and not _speaks_tls(address):
        return f"http://{address}"
    return f"https://{address}"


def is_loopback(registry: str) -> bool:
    host = urlsplit(f"//{registry}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unreachable(registry: str, why: str, hint: str = _LOOK) -> RegistryUnreachable:
    return RegistryUnreachable(f"cannot reach registry {registry}: {why}", hint=hint)


def _speaks_tls(address: str) -> bool:
    """Try a handshake and nothing else; who is at the other end is for the real connection to verify."""
    parts = urlsplit(f"//{address}")
    host = parts.hostname or ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a default one would load all CAs: 20 ms
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        ports = [parts.port] if parts.port else [443]
        with (
            socket.create_connection((host, ports[0]), timeout=_CONNECT) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # only TLS has alerts
    except (ConnectionResetError, BrokenPipeError):
        return False
    except TimeoutError as error:
        raise unreachable(address, "timed out") from error
    except OSError as error:
        if parts.port is None and isinstance(error, ConnectionRefusedError):
            return False  # nothing on 443: port 80 is left
        raise unreachable(address, (error.strerror or str(error)).lower()) from error
