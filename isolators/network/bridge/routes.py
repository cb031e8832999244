"""Where the host has routes to: proc_pid_net(5)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

_ROUTES = "/proc/net/route"  # those of IPv4


def routed() -> Iterator[tuple[str, ipaddress.IPv4Network]]:
    """The device and the network of each route, but of default routes. Raises OSError."""
    with open(_ROUTES, encoding="ascii") as file:
        for line in file.read().splitlines()[1:]:
            device, destination, _, _, _, _, _, mask, *_ = line.split()
            address, length = bytes.fromhex(destination)[::-1], bin(int(mask, 16)).count("1")
            if length:  # little endian, like the mask
                yield device, ipaddress.IPv4Network((address, length), strict=False)
