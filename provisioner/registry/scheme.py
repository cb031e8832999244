"""Which of https and http an endpoint speaks that may speak either: a handshake tells.

Behind a proxy the handshake goes through its tunnel (CONNECT; RFC 9110 section 9.3.6), which many
proxies give for TLS only: where they give none, plain HTTP is left.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from provisioner.registry.endpoint import Endpoint, is_loopback, unreachable

_TLS_PORT, _PROXY_PORT = 443, 80


def base_url(endpoint: Endpoint) -> str:
    """`https://HOST[:PORT]`, or http where that is allowed and spoken. Raises RegistryUnreachable."""
    scheme = endpoint.scheme
    if scheme == "either":
        scheme = "https" if _speaks_tls(endpoint) else "http"
    return f"{scheme}://{endpoint.address}"


def _speaks_tls(endpoint: Endpoint) -> bool:
    """Try a handshake and nothing else; who is at the other end is for the real connection to verify."""
    address = urlsplit(f"//{endpoint.address}")
    proxy = _proxy(endpoint)
    if proxy is None:
        return _shakes_hands(endpoint, address)
    if proxy.scheme != "http":  # TLS in TLS, or SOCKS: left to the real connection
        return True
    try:
        with _tunnel(proxy, address, endpoint.connect_timeout) as connection:
            return _handshake(connection, address)
    except OSError:  # none to there, or no proxy: the request will tell
        return False


def _shakes_hands(endpoint: Endpoint, address: SplitResult) -> bool:
    to = (address.hostname or "", address.port or _TLS_PORT)
    try:
        with socket.create_connection(to, timeout=endpoint.connect_timeout) as connection:
            return _handshake(connection, address)
    except OSError as error:
        nothing_there = address.port is None and isinstance(error, ConnectionRefusedError)
        if nothing_there or _proxy(endpoint, "http") is not None:
            return False  # on 443: port 80 is left, or what only the proxy reaches
        why = "timed out" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise unreachable(endpoint.address, why) from error


def _handshake(connection: socket.socket, address: SplitResult) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a default one would load all CAs: 20 ms
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(connection, server_hostname=address.hostname or ""):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # only TLS has alerts
    except (ConnectionResetError, BrokenPipeError):
        return False


def _proxy(endpoint: Endpoint, scheme: str = "https") -> SplitResult | None:
    """The one that requests will take."""
    url = endpoint.proxy
    if url is None and not is_loopback(endpoint.address):
        from requests.utils import get_environ_proxies, select_proxy

        target = f"{scheme}://{endpoint.address}"
        url = select_proxy(target, get_environ_proxies(target))
    if not url:
        return None
    return urlsplit(url if "://" in url else f"http://{url}")


def _tunnel(proxy: SplitResult, address: SplitResult, timeout: float) -> socket.socket:
    """A connection through the proxy. Raises OSError."""
    connection = http.client.HTTPConnection(proxy.hostname or "", proxy.port or _PROXY_PORT, timeout=timeout)
    secret = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
    header = {"Proxy-Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
    connection.set_tunnel(address.hostname or "", address.port or _TLS_PORT, header if proxy.username else {})
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection.sock
