"""Which addresses of a network are whose: each a link of its name in one directory (isolators.ownership).

An address that is free again may be the next one's at once: its hardware address is made of it, so what
neighbours remember stays right.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from isolators import ownership
from isolators.network.bridge.settings import Address, Settings, Subnet
from isolators.network.rtnetlink import Interface
from launcher.errors import ContainerizerError

_LOCAL = b"\x02\x43"  # the first bytes of a hardware address that nobody has been assigned


class NoAddress(ContainerizerError):
    """The network has none left, or not the one that is asked for."""


def take(directory: str, settings: Settings, holder: str, asked: Iterable[str]) -> list[Interface]:
    """One of each subnet, those that are asked for among them. Raises NoAddress."""
    wanted = [ipaddress.ip_address(each) for each in asked]
    for address in wanted:
        if not any(address in subnet.network for subnet in settings.subnets):
            subnets = ", ".join(str(subnet.network) for subnet in settings.subnets)
            raise NoAddress(f"{address} is no address of network {settings.name}", hint=f"it has {subnets}")
    found = []
    for subnet in settings.subnets:
        own = next((address for address in wanted if address in subnet.network), None)
        found.append(_take(directory, settings, subnet, holder, own))
    return found


def held(directory: str, settings: Settings, holder: str) -> list[Interface]:
    """What the holder has, in the order of the subnets."""
    addresses = [ipaddress.ip_address(name) for name in ownership.held(directory, holder)]
    return [
        interface(address, subnet)
        for subnet in settings.subnets
        for address in addresses
        if address in subnet.network
    ]


def release(directory: str, holder: str) -> None:
    ownership.release(directory, holder)


def hardware_address(addresses: Iterable[Interface]) -> bytes:
    return _LOCAL + next(iter(addresses)).ip.packed[-4:]


def _take(directory: str, settings: Settings, subnet: Subnet, holder: str, own: Address | None) -> Interface:
    candidates = _candidates(subnet) if own is None else iter([own])
    if own is not None and not _is_usable(own, subnet):
        raise NoAddress(f"{own} of network {settings.name} is no container's to have")
    taken = ownership.take(directory, holder, map(str, candidates), 1)
    if not taken:
        if own is not None:
            owner = ownership.holder_of(directory, str(own)) or "another container"
            raise NoAddress(f"address {own} of network {settings.name} is {owner}'s", hint="ask for another")
        hint = "make one with a larger --subnet"
        raise NoAddress(f"network {settings.name} has no address left in {subnet.network}", hint=hint)
    return interface(ipaddress.ip_address(taken[0]), subnet)


def _candidates(subnet: Subnet) -> Iterator[Address]:
    first, size = subnet.network.network_address, subnet.network.num_addresses
    return (first + number for number in range(1, size - 1) if _is_usable(first + number, subnet))


def _is_usable(address: Address, subnet: Subnet) -> bool:
    network = subnet.network
    return address not in (subnet.gateway, network.network_address, network.broadcast_address)


def interface(address: Address, subnet: Subnet) -> Interface:
    return ipaddress.ip_interface(f"{address}/{subnet.network.prefixlen}")
