"""slirp4netns(1): a TCP/IP stack in a process, which opens the container's connections on the host.

Ports are published by its API: a request in JSON a connection, on a socket in the container's directory
(docs/api.md of slirp4netns). It knows IPv4 only.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from isolators.network.helper import keeper
from isolators.network.helper.keeper import HelperFailed
from isolators.networks import PortMapping

NAME = "slirp4netns"
PACKAGE = "slirp4netns"
FAMILIES = (4,)

_SOCKET = "api.sock"
_MTU = 65520  # no cable is there that would want less
_LARGEST = 1 << 12  # bytes of an answer


def argv(namespace: str, ports: tuple[PortMapping, ...], *, resolves: bool) -> list[str]:
    """To be executed by the keeper; `resolves`: the host's name server is to answer at its own address.

    Out of its reach are the host's loopback, where services listen that trust who can, all files but
    /etc and /run, and the system calls that it does without.
    """
    own = keeper.DESCRIPTORS
    return [
        *(NAME, "--configure", f"--mtu={_MTU}", "--netns-type=path", f"--ready-fd={own.ready}"),
        *("--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"),
        *(() if resolves else ("--disable-dns",)),
        *(("--api-socket", f"/proc/self/fd/{own.directory}/{_SOCKET}") if ports else ()),
        *(namespace, "eth0"),
    ]


def publish(directory: int, port: PortMapping) -> None:
    """Have it listen. Raises HelperFailed, where somebody else has the port too."""
    arguments = {
        "proto": port.protocol,
        "host_addr": port.host_ip or "0.0.0.0",  # noqa: S104 - what was asked for
        "host_port": port.host_port,
        "guest_port": port.container_port,
    }
    answer = _asked(directory, {"execute": "add_hostfwd", "arguments": arguments})
    if "return" not in answer:
        told = (answer.get("error") or {}).get("desc", answer)
        raise HelperFailed(f"{NAME} cannot publish {port}: {told}", hint="choose another port of the host")


def _asked(directory: int, request: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as api:
        api.settimeout(keeper.PATIENCE)
        api.connect(f"/proc/self/fd/{directory}/{_SOCKET}")
        api.sendall(json.dumps(request).encode())
        api.shutdown(socket.SHUT_WR)
        answer = b""
        while len(answer) < _LARGEST and (part := api.recv(_LARGEST)):
            answer += part
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"error": {"desc": os.fsdecode(answer)}}
