"""What `network create` says of a network of our own; it is the plug-in's configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.data import Data
from launcher.errors import InvalidRequest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TYPE = "containerizer-bridge"
PREFIX = "ctz"  # of the names of bridges: by it a network knows the others
CAPABILITIES = ("portMappings", "ips", "mac", "aliases", "dns", "bandwidth", "netAdmin")

_SMALLEST = {4: 30, 6: 126}  # prefix lengths with room for a gateway and one more


class Subnet(Data):
    network: Network
    gateway: Address  # of the bridge

    def describe(self) -> dict[str, str]:
        return {"subnet": str(self.network), "gateway": str(self.gateway)}


class Settings(Data, kw_only=True):
    name: str
    bridge: str  # the device
    subnets: tuple[Subnet, ...]  # one a family at most
    internal: bool = False  # no way out of it and none in
    isolate: bool = True  # no way to other networks of ours
    dns: bool = True
    mtu: int | None = None  # None: the kernel's
    labels: Mapping[str, str] = {}  # of its users, for its users

    def to_json(self) -> dict[str, Any]:
        """A CNI network configuration list."""
        plugin = {
            "type": TYPE,
            "bridge": self.bridge,
            "subnets": [subnet.describe() for subnet in self.subnets],
            "internal": self.internal,
            "isolate": self.isolate,
            "dns": self.dns,
            **({"mtu": self.mtu} if self.mtu else {}),
            **({"labels": dict(self.labels)} if self.labels else {}),
            "capabilities": dict.fromkeys(CAPABILITIES, True),
        }
        return {"cniVersion": "1.1.0", "name": self.name, "plugins": [plugin]}


def parse(config: Mapping[str, Any]) -> Settings:
    """From a plug-in's configuration. Raises InvalidRequest."""
    subnets = config.get("subnets", [])
    mtu = config.get("mtu")
    try:
        return Settings(
            name=str(config["name"]),
            bridge=str(config["bridge"]),
            subnets=tuple(subnet(each["subnet"], each.get("gateway")) for each in subnets),
            internal=config.get("internal") is True,
            isolate=config.get("isolate") is not False,
            dns=config.get("dns") is not False,
            mtu=mtu if isinstance(mtu, int) else None,
            labels=config.get("labels", {}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"network {config.get('name')} is no bridge of ours: {error}") from None


def subnet(text: str, gateway: str | None = None) -> Subnet:
    """The first address is the gateway's, unless another is named. Raises InvalidRequest."""
    try:
        network = ipaddress.ip_network(text)
        chosen = ipaddress.ip_address(gateway) if gateway else network.network_address + 1
    except ValueError as error:
        hint = "write one such as 10.5.0.0/24 or fd00:5::/64"
        raise InvalidRequest(f"invalid subnet: {error}", hint=hint) from None
    if network.prefixlen > _SMALLEST[network.version]:
        raise InvalidRequest(f"subnet {network} has no room for containers")
    if network.is_loopback or network.is_multicast or network.is_link_local or network.is_unspecified:
        hint = "use a private one, such as 10.5.0.0/24 or fd00:5::/64"
        raise InvalidRequest(f"subnet {network} is for something else", hint=hint)
    if chosen not in network:
        raise InvalidRequest(f"the gateway {chosen} is not in {network}")
    return Subnet(network, chosen)


def check_subnets(subnets: Sequence[Subnet]) -> None:
    """Raises InvalidRequest for two of one family, or none."""
    families = [each.network.version for each in subnets]
    if not subnets or len(set(families)) != len(families):
        raise InvalidRequest("a network has one subnet, or one of IPv4 and one of IPv6")
