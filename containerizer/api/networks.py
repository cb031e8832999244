"""Networks, as the API carries them: NetworkInfo, by the predecessor's fields."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from isolators.networks import NetworkRequest, PortMapping
from launcher.errors import InvalidRequest

_CARRIED = {"names", "ports", "addresses"}
_TOLD = ("host_port", "container_port", "protocol")  # of a port: the message has no room for an address


def asked(infos: Iterable[containers.NetworkInfo]) -> NetworkRequest:
    """Each that is named is joined; one without a name is the host's or the parent's, as without it.

    Raises BadRequest for what no isolator here does, and for addresses or ports without a network.
    """
    names: list[str] = []
    ports: list[PortMapping] = []
    addresses: list[str] = []
    for info in infos:
        if info.groups or info.HasField("labels"):
            raise BadRequest("'network_infos.groups' and 'network_infos.labels' are not supported")
        if info.name:
            names.append(info.name)
        elif info.ip_addresses or info.port_mappings:
            raise BadRequest("'network_infos.name' is absent", hint="name the network that is to be joined")
        wanted = [each.ip_address for each in info.ip_addresses if each.ip_address]
        if wanted and len(names) > 1:
            raise BadRequest("'network_infos.ip_addresses' are of the first network only")
        addresses += wanted
        ports += map(_port, info.port_mappings)
    try:
        return NetworkRequest(names=tuple(names), ports=tuple(ports), addresses=tuple(addresses))
    except InvalidRequest as error:
        raise BadRequest(error.message, hint=error.hint) from None


def add(container: containers.ContainerInfo, request: NetworkRequest) -> None:
    """The client's side. Raises InvalidRequest for what the message has no room for."""
    for name, value in request.__dict__.items():
        if value and name not in _CARRIED:
            hint = "ask for it on the agent's host, without --agent"
            raise InvalidRequest(f"{name} of networks cannot be asked of an agent", hint=hint)
    for name in request.names:
        container.network_infos.add(name=name)
    for address in request.addresses:
        _add_address(container.network_infos[0], address)
    for port in request.ports:
        if port.host_ip:
            raise InvalidRequest(f"the address of the host in {port} cannot be asked of an agent")
        container.network_infos[0].port_mappings.add(
            host_port=port.host_port, container_port=port.container_port, protocol=port.protocol
        )


def told(facts: Mapping[str, Any]) -> list[containers.NetworkInfo]:
    """Of a container that runs, by the facts of network/cni."""
    infos = []
    for each in facts.get("interfaces", {}).values():
        info = containers.NetworkInfo(name=each["network"])
        for address in each["addresses"]:
            _add_address(info, address.partition("/")[0])
        infos.append(info)
    for port in facts.get("mappings", ()) if infos else ():
        infos[0].port_mappings.add(**{name: port[name] for name in _TOLD})
    return infos


def _add_address(info: containers.NetworkInfo, address: str) -> None:
    is_6 = ipaddress.ip_address(address).version == 6
    protocol = containers.NetworkInfo.IPv6 if is_6 else containers.NetworkInfo.IPv4
    info.ip_addresses.add(protocol=protocol, ip_address=address)


def _port(mapping: containers.NetworkInfo.PortMapping) -> PortMapping:
    try:
        return PortMapping(
            host_port=mapping.host_port,
            container_port=mapping.container_port,
            protocol=mapping.protocol.lower() or "tcp",
        )
    except InvalidRequest as error:
        raise BadRequest(error.message, hint=error.hint) from None
