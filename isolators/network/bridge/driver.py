"""A network of our own, with the parameters and results of a CNI plug-in, but in this process.

The first container makes the bridge, its addresses, rules and name server. The name server takes them away
when the last has been gone for a moment, so that containers one after another need not make them each; where
there is none, the last container does. Who changes them has the network's lock.
"""

from __future__ import annotations

import contextlib
import os
import socket
import zlib
from collections.abc import Mapping
from typing import Any

from isolators import ownership
from isolators.network import nftables
from isolators.network.bridge import addresses, guard, routes, rules, settings, sysctls
from isolators.network.bridge.place import Place
from isolators.network.bridge.settings import Settings
from isolators.network.dns import registered, starting
from isolators.network.places import Places
from isolators.network.plugin import Call, PluginFailed
from isolators.network.rtnetlink import Interface, Netlink
from launcher.errors import ContainerizerError
from launcher.kernel import process
from launcher.program import sockets

_VETH = "ctv"  # how the host's ends of cables begin; then what is made of the attachment


def call(asked: Call, config: Mapping[str, Any], places: Places) -> dict[str, Any] | None:
    """As `isolators.network.plugin.call`. Raises PluginFailed."""
    try:
        return _DO[asked.command](asked, config, settings.parse(config), places)
    except PluginFailed:
        raise
    except ContainerizerError as error:
        raise PluginFailed(error.message, hint=error.hint) from error
    except OSError as error:
        what = f": {error.filename}" if error.filename else ""
        raise PluginFailed(f"{(error.strerror or str(error)).lower()}{what}") from error


def _add(asked: Call, config: Mapping[str, Any], own: Settings, places: Places) -> dict[str, Any]:
    place, told = Place(places.own(own.name)), config.get("runtimeConfig", {})
    holder = _holder(asked)
    with contextlib.ExitStack() as stack:
        stack.enter_context(place.locked())
        netlink = stack.enter_context(Netlink())
        index = _ensure(own, place, netlink)
        got = addresses.take(place.addresses, own, holder, told.get("ips", ()))
        mac = _mac(told.get("mac")) or addresses.hardware_address(got)
        registered.add(place.names, holder.replace("/", " "), _record(asked, told, got))
        if told.get("portMappings"):
            nftables.run(rules.published(own, got, told["portMappings"], add=True))
        if own.dns and (started := starting.ensure(place, own)) is not None:
            stack.callback(process.collect, started)
        namespace = os.open(asked.netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            veth = _veth(asked)
            netlink.delete_link(veth)  # of an ADD that was killed midway
            port = netlink.add_veth(veth, index, asked.interface, mac, namespace, own.mtu)
            if not told.get("netAdmin"):
                guard.set_at(netlink, port, veth, guard.program(mac, got))
            if told.get("portMappings"):
                netlink.set_hairpin(port, veth)
            _limit(netlink, veth, told, "ingress")
            _configure(namespace, asked.interface, own, got, told)
        finally:
            os.close(namespace)
    return _result(asked, config, own, got, mac, veth)


def _delete(asked: Call, config: Mapping[str, Any], own: Settings, places: Places) -> None:
    place, told = Place(places.own(own.name)), config.get("runtimeConfig", {})
    if not os.path.isdir(place.directory):  # of another boot
        return
    with Netlink() as netlink:
        netlink.delete_link(_veth(asked))
        with place.locked():
            _release(_holder(asked), told.get("portMappings", ()), own, place, netlink)
            _tidy(own, place, netlink)


def _check(asked: Call, config: Mapping[str, Any], own: Settings, places: Places) -> None:
    place = Place(places.own(own.name))
    with Netlink() as netlink:
        for device in (own.bridge, _veth(asked)):
            if netlink.index(device) is None:
                raise PluginFailed(f"network {own.name} lacks the device {device}")
    if not addresses.held(place.addresses, own, _holder(asked)):
        raise PluginFailed(f"container {asked.container_id} has no address in network {own.name}")


def _collect(asked: Call, config: Mapping[str, Any], own: Settings, places: Places) -> None:
    """What is left of attachments that are not valid; nobody attaches meanwhile."""
    place = Place(places.own(own.name))
    if not os.path.isdir(place.directory):
        return
    valid = {f"{each['containerID']}/{each['ifname']}" for each in config["cni.dev/valid-attachments"]}
    with place.locked(), Netlink() as netlink:
        for holder in _holders(place) - valid:
            id_, _, interface = holder.rpartition("/")
            netlink.delete_link(_veth(Call(command="DEL", container_id=id_, interface=interface)))
            _release(holder, (), own, place, netlink)
        _tidy(own, place, netlink)


def _status(asked: Call, config: Mapping[str, Any], own: Settings, places: Places) -> None:
    if not nftables.is_installed():
        raise PluginFailed(f"{nftables.LIBRARY} is not installed", hint="apt-get install libnftables1")


_DO = {"ADD": _add, "DEL": _delete, "CHECK": _check, "GC": _collect, "STATUS": _status}


# The network -----------------------------------------------------------------------------------------


def _ensure(own: Settings, place: Place, netlink: Netlink) -> int:
    """Have the bridge be there, with all that belongs to it; its index.

    The bridge comes first and goes last: who has it has the table of its name, too.
    """
    index = netlink.index(own.bridge)
    if index is not None and not _is_ours(own, place, netlink):
        whose = "another state directory's, or somebody else's"
        what = f"the device {own.bridge} is there already, and not of this network: it is {whose}"
        raise PluginFailed(what, hint=_anew(own))
    if index is not None and os.path.isdir(place.names):
        return index
    _refuse_overlap(own)
    with contextlib.ExitStack() as made:
        if index is None:
            index = netlink.add_bridge(own.bridge, _hardware_address(own, place), own.mtu)
            made.callback(netlink.delete_link, own.bridge)
        nftables.run(rules.table(own))
        sysctls.set_for(own)
        netlink.set_up(index, own.bridge)
        for subnet in own.subnets:
            if subnet.network.version == 4 or sysctls.has_ipv6():
                netlink.add_address(index, _of(subnet))
        os.makedirs(place.names, mode=0o700, exist_ok=True)
        made.pop_all()
    return index


def _refuse_overlap(own: Settings) -> None:
    """With the network of another root directory, which nobody has asked when ours was made."""
    for device, network in routes.routed():
        if device.startswith(settings.PREFIX) and device != own.bridge:
            for subnet in own.subnets:
                if subnet.network.version == 4 and subnet.network.overlaps(network):
                    what = f"the device {device}, which is of another network, has {network}"
                    raise PluginFailed(what, hint=_anew(own))


def _anew(own: Settings) -> str:
    return f"end who is in it, or make network {own.name} anew: `network rm {own.name}` and `network create`"


def _is_ours(own: Settings, place: Place, netlink: Netlink) -> bool:
    return netlink.hardware_address(own.bridge) == _hardware_address(own, place)


def _hardware_address(own: Settings, place: Place) -> bytes:
    """Of the bridge: by it we know the device that somebody who was killed has left.

    Other state directories may have a network with the same device.
    """
    gateways = "".join(f"\0{subnet.gateway}" for subnet in own.subnets)
    whose = os.path.realpath(place.directory) + gateways
    return b"\x02\x44" + zlib.crc32(os.fsencode(whose)).to_bytes(4)


def _tidy(own: Settings, place: Place, netlink: Netlink) -> None:
    """Take the network away if nobody is in it, unless its name server does so in a moment."""
    if not _holders(place) and not starting.is_alive(place):
        take_away(own, place, netlink)


def take_away_if_unused(own: Settings, place: Place) -> bool:
    """For the name server itself. Only for who has the network's lock."""
    if _holders(place):
        return False
    with Netlink() as netlink:
        take_away(own, place, netlink)
    return True


def end(own: Settings, place: Place) -> None:
    """Take away what is left of a network that nobody is in."""
    registered.close(place.names)
    starting.await_end(place)
    with place.locked(), Netlink() as netlink:
        take_away(own, place, netlink)


def take_away(own: Settings, place: Place, netlink: Netlink) -> None:
    registered.close(place.names)
    if _is_ours(own, place, netlink):
        nftables.run(rules.no_table(own))
        netlink.delete_link(own.bridge)


def _release(holder: str, ports: Any, own: Settings, place: Place, netlink: Netlink) -> None:
    got = addresses.held(place.addresses, own, holder)
    if ports and got and _is_ours(own, place, netlink):
        nftables.run(rules.published(own, got, ports, add=False))
    registered.remove(place.names, holder.replace("/", " "))
    addresses.release(place.addresses, holder)


def _holders(place: Place) -> set[str]:
    names = os.listdir(place.addresses) if os.path.isdir(place.addresses) else []
    return {holder for name in names if (holder := ownership.holder_of(place.addresses, name))}


# One container ---------------------------------------------------------------------------------------


def _configure(
    namespace: int, interface: str, own: Settings, got: list[Interface], told: Mapping[str, Any]
) -> None:
    """The container's end of the cable, by a socket of its network namespace."""
    # Another container that says it is a router gets none of its traffic (CVE-2020-10749).
    quiet = {f"net/ipv6/conf/{interface}/accept_ra": "0"} if sysctls.has_ipv6() else {}
    asked = socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
    made = sockets.made_in(namespace, *asked, sysctls=quiet)
    with Netlink(made) as netlink:
        index = netlink.index(interface)
        assert index is not None
        for address in got:
            if address.version == 4 or sysctls.has_ipv6():
                netlink.add_address(index, address)
        netlink.set_up(index, interface)
        _limit(netlink, interface, told, "egress")
        if interface == "eth0" and not own.internal:
            for subnet in own.subnets:
                if subnet.network.version == 4 or sysctls.has_ipv6():
                    netlink.add_default_route(subnet.gateway, index)


def _limit(netlink: Netlink, device: str, told: Mapping[str, Any], direction: str) -> None:
    if told.get("bandwidth"):
        from isolators.network.bridge import shaping  # what most do without

        shaping.limit(netlink, device, told["bandwidth"], direction)


def _record(asked: Call, told: Mapping[str, Any], got: list[Interface]) -> dict[str, Any]:
    return {
        "id": asked.container_id,
        "names": list(told.get("aliases", ())),
        "addresses": [str(address.ip) for address in got],
        "servers": list(told.get("dns", {}).get("servers", ())),
    }


def _result(
    asked: Call, config: Mapping[str, Any], own: Settings, got: list[Interface], mac: bytes, veth: str
) -> dict[str, Any]:
    gateways = [str(subnet.gateway) for subnet in own.subnets]
    pairs = list(zip(got, gateways, strict=True))
    routed = asked.interface == "eth0" and not own.internal
    anywhere = {4: "0.0.0.0/0", 6: "::/0"}
    return {
        "cniVersion": config["cniVersion"],
        "interfaces": [
            {"name": own.bridge},
            {"name": veth},
            {"name": asked.interface, "mac": mac.hex(":"), "sandbox": asked.netns},
        ],
        "ips": [{"address": str(ip), "gateway": gateway, "interface": 2} for ip, gateway in pairs],
        "routes": [{"dst": anywhere[ip.version], "gw": gateway} for ip, gateway in pairs if routed],
        # A name without a dot is a container's: ask for it as it is, before domains are searched.
        "dns": {"nameservers": gateways[:1], "options": ["ndots:0"]} if own.dns else {},
    }


def _holder(asked: Call) -> str:
    return f"{asked.container_id}/{asked.interface}"


def _veth(asked: Call) -> str:
    """By the random end of the id (attachments.new_id), and the number of the interface."""
    return f"{_VETH}{asked.container_id.rpartition('-')[2][:8]}{asked.interface.removeprefix('eth')[:3]}"


def _mac(text: Any) -> bytes | None:
    return bytes.fromhex(str(text).replace(":", "")) if text else None


def _of(subnet: settings.Subnet) -> Interface:
    return addresses.interface(subnet.gateway, subnet)
