"""The address by which others reach this host."""

from __future__ import annotations

import contextlib
import socket


def host_address(*families: socket.AddressFamily) -> str | None:
    """The host's own, by which others reach it: the one that its default route would use. None: it has none.

    No packet is sent for it: connect(2) of a datagram socket only chooses.
    """
    for family, somewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        if families and family not in families:
            continue
        with socket.socket(family, socket.SOCK_DGRAM) as chooser, contextlib.suppress(OSError):
            chooser.connect((somewhere, 9))
            return str(chooser.getsockname()[0])
    return None
