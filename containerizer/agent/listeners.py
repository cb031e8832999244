"""Where the agent listens: a Unix socket for this machine, TCP with TLS for others.

Whoever may write to the socket may do everything as root, so only its owner may by default. TCP
without TLS, or without a way to know who asks, is refused.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat

from launcher.attach_protocol import at_path
from launcher.data import Data
from launcher.errors import ContainerizerError, InvalidRequest

BACKLOG = 4096  # connections that wait to be taken; the kernel has a bound of its own: somaxconn


class CannotListen(ContainerizerError):
    """The address is taken, or cannot be had."""


class Tls(Data, kw_only=True):
    """Paths of PEM files. With `authorities` clients must show a certificate of theirs."""

    certificate: str
    key: str
    authorities: str | None = None

    def context(self) -> ssl.SSLContext:
        """Raises InvalidRequest."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.authorities is not None:
                context.load_verify_locations(self.authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise InvalidRequest(f"cannot use {self.certificate} with {self.key}: {error}") from error
        return context


def unix(path: str, mode: int) -> socket.socket:
    """Listens. A socket that nobody serves any more is replaced. Raises CannotListen."""
    path = os.path.abspath(path)
    remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        at_path(path, listener.bind)
        os.chmod(path, mode)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen at {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    return listener


def tcp(address: str) -> socket.socket:
    """Listens at HOST:PORT or [HOST]:PORT. Raises InvalidRequest, CannotListen."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 0xFFFF:
        raise InvalidRequest(f"invalid address {address!r}", hint="write tcp:HOST:PORT")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, *_ = socket.getaddrinfo(
            host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen at {address}: {error.strerror}") from error


def remove_stale(path: str) -> None:
    """Remove a socket that nobody serves any more. Raises CannotListen if somebody does, or it is none."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise CannotListen(f"cannot listen at {path}: there is another file")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            at_path(path, probe.connect)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                os.unlink(path)
                return
            raise CannotListen(f"cannot listen at {path}: {error.strerror}") from error
    raise CannotListen(f"cannot listen at {path}: somebody does")
