"""One HTTP request as a check, over a connection into the container."""

from __future__ import annotations

import http.client
import socket
import ssl

from containerizer.checks.attempt import Deadline
from containerizer.checks.check import Http, Result
from containerizer.checks.network import connected
from containerizer.record import ContainerRecord

_USER_AGENT = "containerizer-check"


def try_http(record: ContainerRecord, check: Http, timeout: float, deadline: Deadline) -> Result:
    """Raises OSError, HTTPException."""
    connection = connected(record, check, timeout, deadline)
    host = f"{check.host or 'localhost'}:{check.port}"
    client = http.client.HTTPConnection(host)
    client.sock = _in_tls(connection) if check.tls else connection
    headers = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Connection": "close", **dict(check.headers)}
    try:
        client.request("GET", check.path, headers=headers)
        status = client.getresponse().status
    finally:
        client.close()
    return Result(success=200 <= status < 400, message=f"answers {status}", code=status)


def _in_tls(connection: socket.socket) -> ssl.SSLSocket:
    """Whoever it is at the container's own loopback: Mesos and Kubernetes verify nothing either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(connection)
    except BaseException:
        connection.close()
        raise
