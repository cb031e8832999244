"""What a request asks of networks: which ones to join, and how it is known and reached there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from launcher.data import Data, field
from launcher.errors import InvalidRequest

HOST_GATEWAY = "host-gateway"  # in place of an address: the host, as the container reaches it
ALL = frozenset({"0.0.0.0", "::"})  # noqa: S104 - in place of an address of the host: all of that family
PROTOCOLS = ("tcp", "udp", "sctp")
USERMODE = ("slirp4netns", "pasta")  # in place of names of networks: what an ordinary user has, by preference

# Compiled where they are used: most containers join no network.
_MAC = r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"  # of a network: CNI spec, section 1
_HOST_NAME = r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?"


class PortMapping(Data, kw_only=True):
    """A port of the container that the host answers for."""

    container_port: int  # 1 to 65535
    host_port: int = 0  # 0: one that is free
    host_ip: str = ""  # an address of the host, or one of ALL; "": all of them
    protocol: str = "tcp"  # one of PROTOCOLS

    def __post_init__(self) -> None:
        if not 1 <= self.container_port <= 65535 or not 0 <= self.host_port <= 65535:
            raise InvalidRequest(f"invalid port in {self}", hint="ports are numbers from 1 to 65535")
        if self.protocol not in PROTOCOLS:
            hint = f"use one of {', '.join(PROTOCOLS)}"
            raise InvalidRequest(f"unknown protocol {self.protocol!r} of a port", hint=hint)
        if self.host_ip:
            check_address(self.host_ip)

    def __str__(self) -> str:
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{host}{':' if host else ''}{self.host_port}:{self.container_port}/{self.protocol}"


class NetworkRequest(Data, kw_only=True):
    """Networks of one container. Without names none is joined, and the rest means nothing."""

    names: tuple[str, ...] = ()  # of networks; the first is eth0, and its routes are the container's
    ports: tuple[PortMapping, ...] = ()
    addresses: tuple[str, ...] = ()  # of eth0, one a family; empty: as the network gives them out
    mac_address: str | None = None  # of eth0
    aliases: tuple[str, ...] = ()  # further names by which others in its networks find it
    dns_servers: tuple[str, ...] = ()  # in place of the host's
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()  # of resolv.conf(5)
    extra_hosts: tuple[tuple[str, str], ...] = ()  # (name, address or HOST_GATEWAY) for /etc/hosts
    arguments: tuple[tuple[str, str], ...] = ()  # for the plug-ins (CNI_ARGS): who it is, elsewhere
    # By networks of plug-ins: the key `args` of the configuration that these get (CNI specification).
    plugin_args: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ingress_rate: int | None = None  # bits a second that it receives at most
    egress_rate: int | None = None  # bits a second that it sends at most

    def __post_init__(self) -> None:
        for name in self.names:
            check_network_name(name)
            if self.names.count(name) > 1:
                raise InvalidRequest(f"network {name} is named twice", hint="name each network once")
        given = [address for _, address in self.extra_hosts if address != HOST_GATEWAY]
        for address in (*self.addresses, *self.dns_servers, *given):
            check_address(address)
        for name in (*self.aliases, *self.dns_search, *(name for name, _ in self.extra_hosts)):
            if not re.fullmatch(_HOST_NAME, name.removesuffix(".")):
                raise InvalidRequest(
                    f"invalid host name {name!r}", hint="use letters, digits, '-', '_' and '.'"
                )
        if self.mac_address is not None and not re.fullmatch(_MAC, self.mac_address):
            hint = "write six hexadecimal bytes, such as 02:00:00:00:00:01"
            raise InvalidRequest(f"invalid hardware address {self.mac_address!r}", hint=hint)
        for word in (word for pair in self.arguments for word in pair):
            if not word.isprintable() or {";", "="} & set(word):
                raise InvalidRequest(f"invalid argument of plug-ins {word!r}", hint="leave out ';' and '='")
        if any(not option.isprintable() or " " in option for option in self.dns_options):
            raise InvalidRequest(f"invalid option of resolv.conf in {self.dns_options!r}")
        for name in self.plugin_args.keys() - set(self.names):
            raise InvalidRequest(f"arguments of network {name}, which is not joined")
        if not self.names and any(value for value in self.__dict__.values()):
            hint = "name a network, e.g. --network bridge"
            raise InvalidRequest("ports, addresses and names need a network to be in", hint=hint)
        if self.usermode:
            self._check_usermode(self.usermode)

    @property
    def usermode(self) -> str | None:
        """The program that is its network, one of USERMODE; None: it is in networks, or in none."""
        return next((name for name in self.names if name in USERMODE), None)

    def _check_usermode(self, name: str) -> None:
        if len(self.names) > 1:
            hint = f"--network {name} alone, or without it"
            raise InvalidRequest(f"a container in network {name} can be in no other", hint=hint)
        for what in ("addresses", "mac_address", "aliases", "plugin_args", "ingress_rate", "egress_rate"):
            if getattr(self, what):
                hint = "leave it out, or run it as root, in a network"
                raise InvalidRequest(f"network {name} has no {what.replace('_', ' ')} to choose", hint=hint)
        for port in self.ports:
            if port.protocol == "sctp" or (name == "slirp4netns" and ":" in port.host_ip):
                raise InvalidRequest(f"network {name} cannot publish {port}", hint="it knows TCP and UDP")


def check_network_name(name: str) -> None:
    """Raises InvalidRequest for what is no name of a network."""
    if not re.fullmatch(_NAME, name) or len(name) > 64:
        hint = "use at most 64 letters, digits, '_', '.' and '-', a letter or digit first"
        raise InvalidRequest(f"invalid name of a network {name!r}", hint=hint)


def check_address(text: str) -> str:
    """The one way to write it. Raises InvalidRequest for what is no IP address, or one of some link only.

    A scope ("%eth0") may be any text, and addresses get into scripts and files.
    """
    import ipaddress  # 4 ms, and most containers join no network

    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        hint = "write one such as 10.0.0.2 or fd00::2"
        raise InvalidRequest(f"invalid IP address {text!r}", hint=hint) from None
    if "%" in text:
        raise InvalidRequest(f"{text!r} is the address of a link", hint="write one without %")
    return str(address)
