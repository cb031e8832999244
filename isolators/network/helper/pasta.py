"""pasta(1), of passt: as slirp4netns, but it translates packets to the host's sockets, which is faster.

It knows IPv6 too. It has no interface to publish ports later, and needs none. It drops privileges and
reaches no files by itself. By default it would make the host's loopback reachable by the gateway's
address, and each listening port of either side to the other: none of this is wanted here.
"""

from __future__ import annotations

from isolators.network.helper import keeper
from isolators.networks import PortMapping

NAME = "pasta"
PACKAGE = "passt"
FAMILIES = (4, 6)

_MTU = 65520


def argv(
    namespace: str, ports: tuple[PortMapping, ...], *, addresses: tuple[tuple[str, str], ...], resolver: str
) -> list[str]:
    """To be executed by the keeper. `addresses`: of the container, and its gateway, one pair a family.

    `resolver`: the address at which the host's name server is to answer; "": none.
    """
    own = keeper.DESCRIPTORS
    words = [NAME, "--foreground", "--quiet", "--config-net", "--no-map-gw"]
    words += ["--ns-ifname", "eth0", "--mtu", str(_MTU), "--no-dhcp", "--no-dhcpv6", "--no-ra"]
    words += ["--tcp-ns", "none", "--udp-ns", "none"]
    for address, gateway in addresses:
        words += ["--address", address, "--gateway", gateway]
    words += ["--netmask", "24"]
    words += [] if len(addresses) > 1 else ["--ipv4-only"]
    words += ["--dns-forward", resolver] if resolver else []
    for option, protocol in (("--tcp-ports", "tcp"), ("--udp-ports", "udp")):
        for spec in [_spec(port) for port in ports if port.protocol == protocol] or ["none"]:
            words += [option, spec]
    return [*words, "--pid", f"/proc/self/fd/{own.ready}", "--netns", namespace]


def _spec(port: PortMapping) -> str:
    at = f"{port.host_ip}/" if port.host_ip else ""
    return f"{at}{port.host_port}:{port.container_port}"
