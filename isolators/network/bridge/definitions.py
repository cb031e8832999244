"""Networks of our own as files: made, found and removed; the default one when it is first asked for."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from isolators.network import attachments, config_list
from isolators.network.bridge import driver, routes, settings, sysctls
from isolators.network.bridge.place import Place
from isolators.network.bridge.settings import PREFIX, TYPE, Network, Settings, Subnet
from isolators.network.config_list import ConfigList
from isolators.network.places import Places
from isolators.network.rtnetlink import Netlink
from isolators.networks import USERMODE, check_network_name
from launcher.errors import InvalidRequest
from launcher.kernel import files
from launcher.remove_tree import remove_tree

DEFAULT = "bridge"  # the name of the network that need not be made

_POOL = ipaddress.ip_network("10.90.0.0/16")  # of which each network gets a /24
_RESERVED = ("none", "host", "container", "default", *USERMODE)


def find(places: Places, directories: Sequence[str], name: str) -> ConfigList:
    """A network by its name; the default one as it would be made. Raises UnknownNetwork, InvalidConfig."""
    try:
        return config_list.find((places.networks, *directories), name)
    except config_list.UnknownNetwork:
        if name != DEFAULT:
            raise
        return config_list.parse(chosen(places, name).to_json())


def ensure_default(places: Places, directories: Sequence[str]) -> None:
    """Have it be there. Raises OSError."""
    try:
        config_list.find((places.networks, *directories), DEFAULT)
    except config_list.UnknownNetwork:
        with contextlib.suppress(FileExistsError):  # somebody else was as fast
            create(places, directories, lambda: chosen(places, DEFAULT))


def chosen(
    places: Places,
    name: str,
    *,
    subnets: Sequence[Subnet] = (),
    ipv6: bool = True,
    internal: bool = False,
    isolate: bool = True,
    dns: bool = True,
    mtu: int | None = None,
    labels: Mapping[str, str] | None = None,
) -> Settings:
    """A network of this name, with what is not said chosen among what is free. Raises InvalidRequest."""
    check_network_name(name)
    if name in _RESERVED:
        raise InvalidRequest(f"{name!r} is no name for a network", hint="choose another")
    others = list(_others(places))
    given = list(subnets) or [_free_ipv4(others)]
    if not subnets and ipv6 and sysctls.has_ipv6():
        given.append(_random_ipv6())
    settings.check_subnets(given)
    for each in given:
        _refuse_overlap(each.network, others)
    return Settings(
        name=name,
        bridge=_free_device(others),
        subnets=tuple(given),
        internal=internal,
        isolate=isolate,
        dns=dns,
        mtu=mtu,
        labels=labels or {},
    )


def create(places: Places, directories: Sequence[str], choose: Callable[[], Settings]) -> Settings:
    """Write the network that `choose` gives while nobody else does.

    Raises FileExistsError if there is one of its name, and what `choose` does.
    """
    with _alone(places):
        made = choose()
        with contextlib.suppress(config_list.UnknownNetwork):
            there = config_list.find((places.networks, *directories), made.name)
            raise FileExistsError(errno.EEXIST, "there is a network of this name", there.path)
        path = os.path.join(places.networks, f"{made.name}.conflist")
        beside = f"{path}.{os.getpid()}.new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(made.to_json(), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.rename(beside, path)
    return made


def remove(places: Places, directories: Sequence[str], name: str) -> None:
    """Raises UnknownNetwork, and InvalidRequest for one that is in use or was made by others."""
    with _alone(places), places.locked(alone=True):
        network = config_list.find((places.networks, *directories), name)
        if os.path.dirname(network.path) != places.networks:
            hint = f"it is the operator's: remove {network.path}"
            raise InvalidRequest(f"network {name} was not made by `network create`", hint=hint)
        users = users_of(places, name)
        if users:
            hint = f"end {', '.join(users[:5])}"
            raise InvalidRequest(f"network {name} is in use by {len(users)} containers", hint=hint)
        own = own_settings(network)
        if own is not None:
            driver.end(own, Place(places.own(name)))
        os.unlink(network.path)
        with contextlib.suppress(FileNotFoundError):
            remove_tree(places.own(name))


def users_of(places: Places, name: str) -> list[str]:
    """The containers in the network."""
    return [
        attached.container
        for attached in attachments.load_all(places)
        if any(each.network.name == name and each.version for each in attached.attachments)
    ]


def own_settings(network: ConfigList) -> Settings | None:
    """None for a network of others' plug-ins."""
    first = network.plugins[0]
    return settings.parse({**first, "name": network.name}) if first["type"] == TYPE else None


def _alone(places: Places) -> contextlib.AbstractContextManager[None]:
    return files.locked(os.path.join(places.networks, "making.lock"))


def _others(places: Places) -> Iterator[Settings]:
    for network in config_list.find_all((places.networks,))[0]:
        found = own_settings(network)
        if found is not None:
            yield found


def _free_ipv4(others: Sequence[Settings]) -> Subnet:
    taken = [subnet.network for other in others for subnet in other.subnets]
    taken += [network for _, network in routes.routed()]
    for network in _POOL.subnets(new_prefix=24):
        if not any(network.overlaps(each) for each in taken if each.version == 4):
            return settings.subnet(str(network))
    raise InvalidRequest(f"no subnet of {_POOL} is free", hint="name one with --subnet")


def _random_ipv6() -> Subnet:
    """A prefix of our own choice (RFC 4193): 40 bits by chance are nobody else's."""
    return settings.subnet(
        f"{ipaddress.IPv6Address((0xFD << 120) | (int.from_bytes(os.urandom(7)) << 64))}/64"
    )


def _refuse_overlap(network: Network, others: Sequence[Settings]) -> None:
    for other in others:
        for subnet in other.subnets:
            if subnet.network.version == network.version and subnet.network.overlaps(network):
                hint = "choose another --subnet"
                raise InvalidRequest(
                    f"{network} overlaps with network {other.name}'s {subnet.network}", hint=hint
                )


def _free_device(others: Sequence[Settings]) -> str:
    """A name that no other network's bridge has, and no device of the host."""
    with Netlink() as netlink:
        taken = {*netlink.names(), *(other.bridge for other in others)}
    return next(name for number in range(1 << 16) if (name := f"{PREFIX}{number}") not in taken)
