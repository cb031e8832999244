"""What a container has received and sent, by the counters of its interfaces (linux/if_link.h)."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from isolators.network.rtnetlink import Netlink
from isolators.resources import Usage
from launcher.program import sockets

_KINDS = ("packets", "bytes", "errors", "dropped")  # of each those received, then those sent


def of_all(namespace: str, interfaces: Sequence[str]) -> Usage:
    """Of these interfaces together, in the network namespace at the path. Raises OSError."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        made = sockets.made_in(descriptor, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    finally:
        os.close(descriptor)
    with Netlink(made) as netlink:
        counted = [counts for name in interfaces if (counts := netlink.traffic(name))]
    names = [f"network_{direction}_{kind}" for kind in _KINDS for direction in ("rx", "tx")]
    totals = [sum(each) for each in zip(*counted, strict=True)] or [0] * len(names)
    return Usage(**dict(zip(names, totals, strict=True)))
