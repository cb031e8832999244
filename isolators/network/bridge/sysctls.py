"""What a network of our own sets in the kernel: forwarding, and connections to 127.0.0.1 that are published.

See Documentation/networking/ip-sysctl.rst. What others may rely on (forwarding) is left as it is in the end.
"""

from __future__ import annotations

import os

from isolators.network.bridge.settings import Settings

_NET = "/proc/sys/net"


def set_for(own: Settings) -> None:
    """Raises OSError."""
    if own.internal:
        return
    _set("ipv4/ip_forward")
    _set(f"ipv4/conf/{own.bridge}/route_localnet")
    if has_ipv6() and any(subnet.network.version == 6 for subnet in own.subnets):
        _keep_router_advertisements()
        _set("ipv6/conf/all/forwarding")


def has_ipv6() -> bool:
    return os.path.isdir(f"{_NET}/ipv6")


def _keep_router_advertisements() -> None:
    """A host that forwards hears no router unless told so (accept_ra 2), and may have its route by one."""
    for name in os.listdir(f"{_NET}/ipv6/conf"):
        path = f"{_NET}/ipv6/conf/{name}"
        hears = _read(f"{path}/accept_ra") == "1" and _read(f"{path}/forwarding") == "0"
        if hears and name not in ("all", "default", "lo"):
            _write(f"{path}/accept_ra", "2")


def _set(name: str) -> None:
    path = f"{_NET}/{name}"
    if _read(path) != "1":
        _write(path, "1")


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
