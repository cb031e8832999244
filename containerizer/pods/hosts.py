"""hostAliases: what a pod's containers find in /etc/hosts besides what is always there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from containerizer.pods.document import Node

_NAME = re.compile(r"[a-zA-Z0-9]([-.a-zA-Z0-9]{0,251}[a-zA-Z0-9])?")


def parse(spec: Node) -> Iterator[tuple[str, str]]:
    """Pairs of an address and a name. Raises InvalidManifest."""
    for alias in spec.objects("hostAliases"):
        address, names = alias.text("ip"), alias.texts("hostnames") or ()
        if not _is_address(address):
            raise alias.refusal("ip", f"is {address!r}, which is no address")
        for name in names:
            if not _NAME.fullmatch(name):
                raise alias.refusal("hostnames", f"has {name!r}, which is no name of a host")
            yield address, name
        alias.done()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # what follows may be anything, line breaks too
