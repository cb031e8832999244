"""Ports of the host that containers have: each of one container's, and of no process of the host."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from collections.abc import Iterable

from isolators import ownership
from isolators.network.attachments import Attached
from isolators.network.bridge import definitions
from isolators.network.bridge.settings import Subnet
from isolators.network.config_list import ConfigList
from isolators.network.places import Places
from isolators.networks import ALL, NetworkRequest, PortMapping, check_address
from launcher.data import replace
from launcher.errors import ContainerizerError, InvalidRequest

TYPES = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, 132)}
_ATTEMPTS = 64  # to find a free port; each is lost to somebody who is as fast


class PortTaken(ContainerizerError):
    """Somebody else has the port of the host."""


class _NoAddress(InvalidRequest):
    """The host lacks it."""


def taken(port: PortMapping) -> PortTaken:
    """With who has it, as far as that can be told."""
    from isolators.network import occupants  # for those who meet somebody

    who = occupants.of(port.protocol, port.host_port)
    what = f"port {port.host_port}/{port.protocol} of the host is taken{f' by {who}' if who else ''}"
    return PortTaken(what, hint="choose another port of the host")


def _who_was_faster(ports: Iterable[PortMapping]) -> PortTaken:
    for port in ports:
        try:
            bound(port)
        except PortTaken as error:
            return error
    return PortTaken("a port of the host is taken", hint="try it again")


def take(places: Places, holder: str, request: NetworkRequest) -> NetworkRequest:
    """Give the ports to the holder; the request with the numbers of those that were free to choose.

    Raises PortTaken, InvalidRequest; then it has none.
    """
    try:
        ports = tuple(_take(places, holder, port) for port in request.ports)
    except BaseException:
        ownership.release(places.ports, holder)
        raise
    return replace(request, ports=ports)


def chosen(ports: Iterable[PortMapping]) -> tuple[PortMapping, ...]:
    """With numbers of ports that are free in place of 0. Raises PortTaken, InvalidRequest.

    Nothing is held: for who listens there itself, and hears then that somebody was faster.
    """
    found: list[PortMapping] = []
    for port in ports:
        for _ in range(_ATTEMPTS):
            each = replace(port, host_port=bound(port))
            if port.host_port or each not in found:
                break
        found.append(each)
    return tuple(found)


def hold(places: Places, attached: Attached, task: int, place: str) -> None:
    """Have the host's ports bound while the task runs. `place`: of its state. Raises PortTaken, OSError."""
    from isolators.network import holder  # what most do without

    versions = {subnet.network.version for each in attached.attachments for subnet in _subnets(each.network)}
    ports = attached.request.ports
    try:
        holder.hold(ports, versions or {4}, task=task, lock=places.holder(attached.id), place=place)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise _who_was_faster(ports) from None


def _subnets(network: ConfigList) -> tuple[Subnet, ...]:
    """None for a network that is not ours: by which families its plug-in publishes is not known."""
    own = definitions.own_settings(network)
    return own.subnets if own is not None else ()


def release(places: Places, holder: str) -> None:
    """Idempotent."""
    ownership.release(places.ports, holder)
    if os.path.exists(lock := places.holder(holder)):
        from isolators.network.holder import await_end

        await_end(lock)


def _take(places: Places, holder: str, port: PortMapping) -> PortMapping:
    if port.host_ip:  # by their texts they are compared
        port = replace(port, host_ip=check_address(port.host_ip))
    for _ in range(_ATTEMPTS):
        owner = _other(places, port, holder)
        chosen = port if owner else replace(port, host_port=bound(port))
        owner = owner or _other(places, chosen, holder)
        if owner is None and ownership.take(places.ports, holder, [_name(chosen)], 1):
            return chosen
        if port.host_port:
            owner = owner or ownership.holder_of(places.ports, _name(chosen)) or "another container"
            hint = "choose another port of the host, or end that container"
            raise PortTaken(
                f"port {chosen.host_port}/{chosen.protocol} is published by {_called(owner)}", hint=hint
            )
    raise PortTaken(f"no port of the host is free for {port.container_port}/{port.protocol}")


def _called(holder: str) -> str:
    """The container's own name: a holder's has a mark of its state directory behind it."""
    return re.sub("-[0-9a-f]{8}$", "", holder)


def bound(port: PortMapping) -> int:
    """The port, or one that is free for 0; by having it for a moment. Raises PortTaken, InvalidRequest."""
    if port.host_ip:
        return _probed(port, socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET, port.host_ip)
    try:
        return _probed(port, socket.AF_INET6, "::", of_both=True)
    except _NoAddress:  # a host without IPv6
        return _probed(port, socket.AF_INET, "0.0.0.0")  # noqa: S104 - it listens to nobody


def _probed(port: PortMapping, family: int, address: str, *, of_both: bool = False) -> int:
    """As `bound`, at one address, or at all of IPv6 and IPv4."""
    kind, protocol = TYPES[port.protocol]
    try:
        with socket.socket(family, kind, protocol) as probe:
            if kind == socket.SOCK_STREAM:  # connections that are over do not count
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not of_both)
            probe.bind((address, port.host_port))
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise taken(port) from None
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            hint = "name one of its addresses, or leave it out for all"
            raise _NoAddress(f"the host has no address {address}", hint=hint) from None
        if error.errno == errno.EACCES:
            hint = f"choose one from 1024 up, or sysctl net.ipv4.ip_unprivileged_port_start={port.host_port}"
            raise InvalidRequest(f"port {port.host_port} of the host is for root", hint=hint) from None
        if error.errno == errno.EPROTONOSUPPORT:  # sctp is a module that nobody may have loaded
            return port.host_port
        raise


def _name(port: PortMapping) -> str:
    return f"{port.protocol} {port.host_ip or '*'} {port.host_port}"


def _meet(address: str, other: str) -> bool:
    """Whether both are of one address of the host; "" is all, and 0.0.0.0 and :: all of a family."""
    if not address or not other or address == other:
        return True
    return (":" in address) == (":" in other) and bool({address, other} & ALL)


def _other(places: Places, port: PortMapping, holder: str) -> str | None:
    """Who else has the port, for an address that is among ours, or that ours is among."""
    names: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        names = os.listdir(places.ports)
    for name in names:
        protocol, address, number = name.split(" ")
        same = protocol == port.protocol and int(number) == port.host_port
        if same and _meet(address.replace("*", ""), port.host_ip):
            owner = ownership.holder_of(places.ports, name)
            if owner not in (None, holder):
                return owner
    return None
