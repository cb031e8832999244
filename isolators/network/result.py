"""What is used of a plug-in's result: the container's addresses, and the DNS of the network.

CNI specification 1.1, section 5; the plug-in is somebody else's, so what makes no sense is left out.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from typing import Any

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def addresses(result: Mapping[str, Any], interface: str) -> list[Address]:
    """Those of the container's interface, in the plug-in's order."""
    interfaces = result.get("interfaces") or []
    found = []
    for each in result.get("ips") or []:
        index = each.get("interface")
        of = interfaces[index] if isinstance(index, int) and 0 <= index < len(interfaces) else None
        if of is not None and (not of.get("sandbox") or of.get("name") != interface):
            continue
        with contextlib.suppress(ValueError):
            found.append(ipaddress.ip_interface(str(each.get("address"))))
    return found


def gateways(result: Mapping[str, Any]) -> list[str]:
    """Of the networks that the addresses are in."""
    return [gateway for each in result.get("ips") or [] if (gateway := _address(each.get("gateway")))]


def hardware_address(result: Mapping[str, Any], interface: str) -> str | None:
    for each in result.get("interfaces") or []:
        if each.get("name") == interface and each.get("sandbox") and isinstance(each.get("mac"), str):
            return str(each["mac"])
    return None


def name_servers(result: Mapping[str, Any]) -> list[str]:
    return [address for each in _texts(result, "nameservers") if (address := _address(each))]


def search(result: Mapping[str, Any]) -> list[str]:
    """The domains to search; the network's own first."""
    domain = (result.get("dns") or {}).get("domain")
    domains = [domain] if isinstance(domain, str) and domain else []
    return list(dict.fromkeys([*domains, *_texts(result, "search")]))


def options(result: Mapping[str, Any]) -> list[str]:
    return _texts(result, "options")


def _texts(result: Mapping[str, Any], key: str) -> list[str]:
    listed = (result.get("dns") or {}).get(key)
    words = listed if isinstance(listed, list) else []
    return [word for word in words if isinstance(word, str) and word and not set(word) & set(" \t\r\n\0")]


def _address(text: Any) -> str | None:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text)) if isinstance(text, str) else None
    return None
