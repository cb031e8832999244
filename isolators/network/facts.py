"""What people and programs are told of a container in networks."""

from __future__ import annotations

from typing import Any

from isolators.network import result
from isolators.network.attachments import Attached


def of(attached: Attached) -> dict[str, Any]:
    """Addresses by interface, and published ports."""
    interfaces = {}
    for each in attached.attachments:
        got = each.result or {}
        interfaces[each.interface] = {
            "network": each.network.name,
            "addresses": [str(address) for address in result.addresses(got, each.interface)],
            "gateways": result.gateways(got),
            "mac": result.hardware_address(got, each.interface),
        }
    mappings = [
        {
            "host_ip": port.host_ip,
            "host_port": port.host_port,
            "container_port": port.container_port,
            "protocol": port.protocol,
        }
        for port in attached.request.ports
    ]
    ports = [str(port) for port in attached.request.ports]
    return {"interfaces": interfaces, "ports": ports, "mappings": mappings}
