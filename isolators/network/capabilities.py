"""What a request asks of networks, in the words that plug-ins declare to know (CNI's CONVENTIONS.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from isolators.network.config_list import ConfigList
from isolators.networks import NetworkRequest
from launcher.errors import InvalidRequest

_PLUGINS = {
    "portMappings": "portmap",
    "bandwidth": "bandwidth",
    "mac": "tuning",
    "ips": "static or host-local",
}

# Bits that may go at once, at least: a few packets of what offloading makes of them (64 KiB).
_LEAST_BURST = 4 * 64 * 1024 * 8


def of_each(
    networks: Sequence[ConfigList],
    request: NetworkRequest,
    names: Iterable[str | None] = (),
    *,
    net_admin: bool = False,
) -> list[dict[str, Any]]:
    """By network, what its plug-ins are told. Raises InvalidRequest for what none of them would do.

    `net_admin`: whether the container may change its network, CAP_NET_ADMIN.

    Ports and rates are the first network's that knows them, address and hardware address eth0's, names
    (those of the request, and `names`) and DNS everyone's.
    """
    known = [_known(network) for network in networks]
    told: list[dict[str, Any]] = [{} for _ in networks]
    of_one: tuple[tuple[str, Any], ...]
    of_one = (("portMappings", _ports(request)), ("bandwidth", _bandwidth(request)))
    for word, value in of_one:
        if value:
            told[_first(word, known, networks)][word] = value
    of_first: tuple[tuple[str, Any], ...] = (("ips", list(request.addresses)), ("mac", request.mac_address))
    for word, value in of_first:
        if value:
            _first(word, known[:1], networks[:1])
            told[0][word] = value
    if request.aliases:
        _first("aliases", known, networks)
    aliases = list(dict.fromkeys(name for name in (*names, *request.aliases) if name))
    dns = _dns(request)
    for each, words in zip(told, known, strict=True):
        each |= {"aliases": aliases} if aliases and "aliases" in words else {}
        each |= {"dns": dns} if "dns" in words else {}
        each |= {"netAdmin": True} if net_admin and "netAdmin" in words else {}
    return told


def _known(network: ConfigList) -> set[str]:
    return {
        word
        for plugin in network.plugins
        for word, has in plugin.get("capabilities", {}).items()
        if has is True
    }


def _first(word: str, known: Sequence[set[str]], networks: Sequence[ConfigList]) -> int:
    for index, words in enumerate(known):
        if word in words:
            return index
    names = ", ".join(network.name for network in networks)
    plugin = f", as the plug-in {_PLUGINS[word]} has" if word in _PLUGINS else ""
    hint = f'give it a plug-in with the capability "{word}"{plugin}'
    raise InvalidRequest(f"nothing in network {names} does what is asked of {word}", hint=hint)


def _ports(request: NetworkRequest) -> list[dict[str, Any]]:
    return [
        {
            "hostPort": port.host_port,
            "containerPort": port.container_port,
            "protocol": port.protocol,
            **({"hostIP": port.host_ip} if port.host_ip else {}),
        }
        for port in request.ports
    ]


def _bandwidth(request: NetworkRequest) -> dict[str, int]:
    """Bits a second, and bits."""
    told: dict[str, int] = {}
    for direction, rate in (("ingress", request.ingress_rate), ("egress", request.egress_rate)):
        if rate is not None:
            told |= {f"{direction}Rate": rate, f"{direction}Burst": max(rate // 10, _LEAST_BURST)}
    return told


def _dns(request: NetworkRequest) -> dict[str, list[str]]:
    return {
        "servers": list(request.dns_servers),
        "searches": list(request.dns_search),
        "options": list(request.dns_options),
    }
