"""Which of the programs there are, and what they can do on this host."""

from __future__ import annotations

import os
import shutil
import socket
from types import ModuleType

from isolators.network.helper import pasta, slirp4netns
from isolators.network.host_address import host_address
from isolators.networks import USERMODE

PROGRAMS: dict[str, ModuleType] = {module.NAME: module for module in (slirp4netns, pasta)}

_TUN = "/dev/net/tun"


def default() -> str | None:
    """The first that works here; None: an ordinary user's containers have no way out."""
    return next(filter(is_installed, USERMODE), None) if has_tun() else None


def is_installed(name: str = "") -> bool:
    """One of them, or any."""
    return any(shutil.which(each) for each in ((name,) if name else USERMODE))


def has_tun() -> bool:
    """Whether this user may make interfaces that a program has the other end of: tun/tap, tuntap.rst."""
    return os.access(_TUN, os.R_OK | os.W_OK)


def families(name: str) -> tuple[int, ...]:
    """Those of IP that the program knows, as far as the host has a way out by them."""
    routed = 6 in PROGRAMS[name].FAMILIES and host_address(socket.AF_INET6)
    return (4, 6) if routed else (4,)
