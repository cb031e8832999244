"""What a network of our own sets in the kernel: forwarding, connections to 127.0.0.1 that are published, and
that the host is told nothing by containers.

See Documentation/networking/ip-sysctl.rst. What others may rely on (forwarding) is left as it is in the end.
"""

from __future__ import annotations

import os

from isolators.network import nftables
from isolators.network.bridge import rules
from isolators.network.bridge.settings import PREFIX, Settings

_NET = "/proc/sys/net"


def set_for(own: Settings) -> None:
    """Before the bridge is up. Raises OSError."""
    ipv6 = any(subnet.network.version == 6 for subnet in own.subnets)
    if has_ipv6():
        # A container that says it is a router must get none of the host's traffic (CVE-2020-13401).
        _set(f"ipv6/conf/{own.bridge}/accept_ra", "0")
        # Its own addresses are nobody else's: it need not wait a second until it asks by them who is there.
        _set(f"ipv6/conf/{own.bridge}/accept_dad", "0")
        _set(f"ipv6/conf/{own.bridge}/disable_ipv6", "0" if ipv6 else "1")
    if own.internal:
        return
    _forward(4, "ipv4/ip_forward")
    _set(f"ipv4/conf/{own.bridge}/route_localnet")
    if has_ipv6() and ipv6:
        _keep_router_advertisements()
        _forward(6, "ipv6/conf/all/forwarding")


def has_ipv6() -> bool:
    return os.path.isdir(f"{_NET}/ipv6")


def _forward(version: int, name: str) -> None:
    """A host that did not forward is to be no router for others because of our containers.

    That stays when the last of them has gone, as forwarding does. One that did is meant to.
    """
    if _read(f"{_NET}/{name}") == "0":
        nftables.run(rules.no_router(version))
        _write(f"{_NET}/{name}", "1")


def _keep_router_advertisements() -> None:
    """A host that forwards hears no router unless told so (accept_ra 2), and may have its route by one."""
    for name in os.listdir(f"{_NET}/ipv6/conf"):
        path = f"{_NET}/ipv6/conf/{name}"
        hears = _read(f"{path}/accept_ra") == "1" and _read(f"{path}/forwarding") == "0"
        if hears and name not in ("all", "default", "lo") and not name.startswith(PREFIX):
            _write(f"{path}/accept_ra", "2")


def _set(name: str, value: str = "1") -> None:
    path = f"{_NET}/{name}"
    if _read(path) != value:
        _write(path, value)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
