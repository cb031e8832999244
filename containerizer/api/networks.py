"""Networks, as the API carries them: NetworkInfo, by the predecessor's fields."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from containerizer.api.errors import BadRequest
from containerizer.api.json_format import to_json
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import extensions_pb2 as extensions
from isolators.networks import NetworkRequest, PortMapping
from launcher.data import asdict
from launcher.errors import InvalidRequest

_TEXTS = ("aliases", "dns_servers", "dns_search", "dns_options")  # lists that are the same in both
_SINGLE = ("mac_address", "ingress_rate", "egress_rate")
_TOLD = ("host_port", "container_port", "protocol")  # of a port: the message has no room for an address


def asked(infos: Iterable[containers.NetworkInfo], options: extensions.NetworkOptions) -> NetworkRequest:
    """Each that is named is joined; one without a name is the host's or the parent's, as without it.

    Raises BadRequest for what no isolator here does, and for addresses or ports without a network.
    """
    names: list[str] = []
    ports: list[PortMapping] = []
    addresses: list[str] = []
    args: dict[str, Any] = {}
    for info in infos:
        if info.name:
            names.append(info.name)
            if info.groups or info.labels.labels:
                args[info.name] = _plugin_args(info)
        elif info.ip_addresses or info.port_mappings or info.groups or info.labels.labels:
            raise BadRequest("'network_infos.name' is absent", hint="name the network that is to be joined")
        wanted = [each.ip_address for each in info.ip_addresses if each.ip_address]
        if wanted and len(names) > 1:
            raise BadRequest("'network_infos.ip_addresses' are of the first network only")
        addresses += wanted
        ports += map(_port, info.port_mappings)
    ports += map(_port, options.ports)
    further: dict[str, Any] = {name: tuple(getattr(options, name)) for name in _TEXTS}
    further |= {name: getattr(options, name) for name in _SINGLE if options.HasField(name)}
    try:
        return NetworkRequest(
            names=tuple(names),
            ports=tuple(ports),
            addresses=tuple(addresses),
            plugin_args=args,
            extra_hosts=tuple(map(_host, options.extra_hosts)),
            **further,
        )
    except InvalidRequest as error:
        raise BadRequest(error.message, hint=error.hint) from None


def _plugin_args(info: containers.NetworkInfo) -> dict[str, Any]:
    """Groups and labels are for plug-ins: as those of the predecessor's agent got them, and labels as CNI's
    conventions have them besides.
    """
    labels = [{"key": label.key, "value": label.value} for label in info.labels.labels]
    conventional = {"cni": {"labels": labels}} if labels else {}
    return {"org.apache.mesos": {"network_info": to_json(info)}, **conventional}


def add(launch: agent.Call.LaunchContainer, request: NetworkRequest) -> None:
    """The client's side. Raises InvalidRequest."""
    if request.plugin_args:
        raise InvalidRequest("arguments of plug-ins cannot be given to an agent", hint="it takes labels")
    container = launch.container
    for name in request.names:
        container.network_infos.add(name=name)
    for address in request.addresses:
        _add_address(container.network_infos[0], address)
    for port in request.ports:
        launch.options.networks.ports.add(**asdict(port))
    for name in _TEXTS:
        if getattr(request, name):
            getattr(launch.options.networks, name).extend(getattr(request, name))
    for name in _SINGLE:
        if getattr(request, name) is not None:
            setattr(launch.options.networks, name, getattr(request, name))
    for name, address in request.extra_hosts:
        launch.options.networks.extra_hosts.append(f"{name}:{address}")


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


def _host(text: str) -> tuple[str, str]:
    name, colon, address = text.partition(":")
    if not colon:
        raise BadRequest(f"'extra_hosts' has {text!r}", hint="write NAME:ADDRESS, or NAME:host-gateway")
    return name, address


def _port(mapping: containers.NetworkInfo.PortMapping | extensions.NetworkOptions.Port) -> PortMapping:
    try:
        return PortMapping(
            host_ip=mapping.host_ip if isinstance(mapping, extensions.NetworkOptions.Port) else "",
            host_port=mapping.host_port,
            container_port=mapping.container_port,
            protocol=mapping.protocol.lower() or "tcp",
        )
    except InvalidRequest as error:
        raise BadRequest(error.message, hint=error.hint) from None
