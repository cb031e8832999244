"""Networks in the words of Docker's options: what a request asks, from text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from containerizer.request import CONTAINER
from isolators.isolator import OF_HOST
from isolators.networks import HOST_GATEWAY, NetworkRequest, PortMapping
from launcher.errors import InvalidRequest

NONE = "none"

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}


def asked(
    network: str | None,
    *,
    publish: Sequence[str] = (),
    add_host: Sequence[str] = (),
    ingress: str | None = None,
    egress: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """The fields `networks` and `namespaces` of ContainerConfig.

    `network`: "none" (as None: nothing but loopback), "host", "container:NAME", or names of networks with
    commas between. `others` are further fields of NetworkRequest. Raises InvalidRequest.
    """
    shared = network == OF_HOST or (network or "").startswith(CONTAINER)
    names = () if network in (None, NONE) or shared else tuple(str(network).split(","))
    request = NetworkRequest(
        names=names,
        ports=tuple(port for text in publish for port in ports(text)),
        extra_hosts=tuple(map(_host, add_host)),
        ingress_rate=_rate(ingress),
        egress_rate=_rate(egress),
        **others,
    )
    return {"networks": request, "namespaces": {"net": str(network)} if shared else {}}


def ports(text: str) -> list[PortMapping]:
    """From "8080:80", "127.0.0.1:8080:80/udp", "[::1]:8080:80", "8000-8010:9000-9010", "80" (a free one)."""
    rest, slash, protocol = text.partition("/")
    if rest.startswith("["):
        host_ip, bracket, rest = rest[1:].partition("]:")
        parts = [host_ip, *rest.split(":")] if bracket else []
    else:
        parts = rest.split(":")
    if not 1 <= len(parts) <= 3 or (slash and not protocol):
        raise _invalid(text)
    inside = _range(parts[-1], text)
    outside = _range(parts[-2], text) if len(parts) > 1 and parts[-2] else [0] * len(inside)
    if len(inside) != len(outside):
        raise InvalidRequest(f"the ranges in {text!r} differ in length", hint="let both have as many ports")
    return [
        PortMapping(
            host_ip=parts[0] if len(parts) == 3 else "",
            host_port=host_port,
            container_port=container_port,
            protocol=protocol.lower() or "tcp",
        )
        for host_port, container_port in zip(outside, inside, strict=True)
    ]


def _range(text: str, whole: str) -> list[int]:
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not all(each.isdecimal() and each.isascii() and 0 < int(each) < 65536 for each in (first, last)):
        raise _invalid(whole)
    if int(last) < int(first):
        raise InvalidRequest(f"the range in {whole!r} ends before it begins")
    return list(range(int(first), int(last) + 1))


def _invalid(text: str) -> InvalidRequest:
    hint = "write [IP:]HOST:CONTAINER[/tcp|udp|sctp], with numbers or ranges from 1 to 65535"
    return InvalidRequest(f"invalid port {text!r}", hint=hint)


def _host(text: str) -> tuple[str, str]:
    name, colon, address = text.partition(":")
    if not colon:
        hint = f"write NAME:IP, or NAME:{HOST_GATEWAY} for the host"
        raise InvalidRequest(f"invalid --add-host {text!r}", hint=hint)
    return name, address.removeprefix("[").removesuffix("]")


def _rate(text: str | None) -> int | None:
    if text is None:
        return None
    number, unit = text.removesuffix("bit"), ""
    if number and number[-1].lower() in _UNITS:
        number, unit = number[:-1], number[-1].lower()
    if not number.isdecimal() or not number.isascii() or not int(number):
        hint = "write bits a second, e.g. 10mbit"
        raise InvalidRequest(f"invalid rate {text!r}", hint=hint)
    return int(number) * _UNITS[unit]
