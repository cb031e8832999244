"""The packet filter of a network of our own: one nftables table, named as its bridge.

What a container publishes are elements of maps, so no rule has to be found again to be removed. Nothing
comes in from elsewhere but answers and what is published: a neighbour of the host that routes to a
container's address by itself finds no more than everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isolators.network.bridge.settings import PREFIX, Settings
from isolators.network.rtnetlink import Interface
from isolators.networks import ALL, check_address

GUARD = "containerizer"  # the table that is there since we have switched on forwarding
_EITHER = ("iifkind", "oifkind")  # of a physical one there is none, and what asks for it does not match
_VIRTUAL = ('"bridge"', '"veth"')

_KEY = "inet_proto . inet_service"
_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
_IP = {4: "ip", 6: "ip6"}
_MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}


def table(settings: Settings) -> str:
    """The script that makes it, in place of one that is there."""
    name = settings.bridge
    return (
        f"table inet {name} {{}}\ndelete table inet {name}\n"
        f"table inet {name} {{\n{''.join(map(_maps, (4, 6)))}{_PUBLISHING}"
        f"{_source(settings)}{_forward(settings)}}}\n"
    )


def no_table(settings: Settings) -> str:
    """The script that removes it; fine where there is none."""
    return f"table inet {settings.bridge} {{}}\ndelete table inet {settings.bridge}\n"


def no_router(version: int) -> str:
    """The script that keeps a host from forwarding between its own interfaces by this version of IP.

    What comes from a bridge or a cable of virtual machines or containers, ours or others', or goes there, is
    for the rules of those who made it: a drop here would be the last word on it.
    """
    chain = f"inet {GUARD} ipv{version}"
    kinds = [f"add rule {chain} meta {which} {kind} accept" for which in _EITHER for kind in _VIRTUAL]
    lines = [
        f"table inet {GUARD} {{",
        f" chain ipv{version} {{ type filter hook forward priority filter; }}",
        f"}}\nflush chain {chain}",
        f"add rule {chain} meta nfproto != ipv{version} accept",
        *kinds,
        f"add rule {chain} drop",
    ]
    return "".join(f"{line}\n" for line in lines)


def published(
    settings: Settings, addresses: Iterable[Interface], ports: Iterable[Mapping[str, Any]], *, add: bool
) -> str:
    """The script that publishes a container's ports, or takes them back if they are there.

    Raises InvalidRequest for what is no address.
    """
    lines = []
    for address in addresses:
        for port in ports:
            host_ip = check_address(str(port["hostIP"])) if port.get("hostIP") else ""
            if host_ip and (":" in host_ip) != (address.version == 6):
                continue
            host_ip = "" if host_ip in ALL else host_ip
            key = f"{port['protocol']} . {port['hostPort']}"
            name = f"published{address.version}" + ("_at" if host_ip else "")
            key = f"{host_ip} . {key}" if host_ip else key
            element = f"{key} : {address.ip} . {port['containerPort']}"
            line = f"element inet {settings.bridge} {name} {{ {element} }}"
            # There is no "delete if it is there": what has been added can be deleted.
            lines += [f"add {line}"] if add else [f"add {line}", f"delete {line}"]
    return "".join(f"{line}\n" for line in lines)


def _maps(version: int) -> str:
    address = _TYPES[version]
    return (
        f" map published{version} {{ type {_KEY} : {address} . inet_service; }}\n"
        f" map published{version}_at {{ type {address} . {_KEY} : {address} . inet_service; }}\n"
    )


# Packets to 127.0.0.0/8 must not come from the bridge, which may route them (CVE-2020-8558). IPv6 routes none
# from ::1, so who tries `localhost` by that is refused at once, and goes on by 127.0.0.1.
_PUBLISHING = """\
 chain guard { type filter hook prerouting priority raw; iifname != "lo" ip daddr 127.0.0.0/8 drop; }
 chain prerouting { type nat hook prerouting priority dstnat; fib daddr type local jump published; }
 chain output {
  type nat hook output priority -100;
  ip6 daddr ::1 return
  fib daddr type local jump published
 }
 chain published {
  dnat ip to ip daddr . meta l4proto . th dport map @published4_at
  dnat ip to meta l4proto . th dport map @published4
  dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6_at
  dnat ip6 to meta l4proto . th dport map @published6
 }
"""


def _source(settings: Settings) -> str:
    bridge = settings.bridge
    # The host's own, who come by 127.0.0.1, and a container that comes back by the host's address.
    lines = [f'  oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade\n']
    for subnet in settings.subnets:
        ip, network = _IP[subnet.network.version], subnet.network
        lines.append(f'  oifname "{bridge}" {ip} saddr {network} ct status dnat masquerade\n')
        if not settings.internal:
            others = f"{ip} daddr != {{ {network}, {_MULTICAST[network.version]} }}"
            lines.append(f'  oifname != "{bridge}" {ip} saddr {network} {others} masquerade\n')
    hook = "type nat hook postrouting priority srcnat;"
    return f" chain postrouting {{ {hook}\n{''.join(lines)} }}\n"


def _forward(settings: Settings) -> str:
    bridge, others = settings.bridge, f"{PREFIX}*"
    lines = [f'iifname "{bridge}" oifname "{bridge}" accept']
    if settings.internal:
        lines += [f'iifname "{bridge}" drop', f'oifname "{bridge}" drop']
    elif settings.isolate:
        lines += [
            f'iifname "{bridge}" oifname "{others}" drop',
            f'iifname "{others}" oifname "{bridge}" drop',
        ]
    else:
        lines += [f'iifname "{others}" oifname "{bridge}" accept']
    lines += [
        f'oifname "{bridge}" ct state established,related accept',
        f'oifname "{bridge}" ct status dnat accept',
        f'oifname "{bridge}" drop',
    ]
    body = "".join(f"  {line}\n" for line in lines)
    return f" chain forward {{ type filter hook forward priority filter;\n{body} }}\n"
