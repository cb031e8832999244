"""Which containers a client may ask for: those in its own networks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from isolators.network.dns import message
from isolators.network.dns.message import Query
from isolators.network.dns.registered import Directory, Registered

_RESOLVERS = "/etc/resolv.conf"


class Names:
    def __init__(self, directory: str, network: str) -> None:
        """`directory` has those of all networks; `network` is the one that is asked."""
        self._directory = directory
        self._network = network
        self._read: dict[str, Directory] = {}

    def find(self, query: Query, client: str) -> bytes | None:
        """The answer; None: it is no name of a container."""
        if query.kind == message.PTR:
            asked = message.address_asked_for(query.name)
            names = [
                each.names[0] for _, each in self._seen(client) if asked in each.addresses and each.names
            ]
            return message.pointer(query, names[0]) if names else None
        addresses = [
            address
            for network, each in self._seen(client)
            if query.name in each.names or _without(query.name, network) in each.names
            for address in each.addresses
        ]
        return message.answer(query, list(dict.fromkeys(addresses))) if addresses else None

    def servers(self, client: str) -> list[str]:
        """Whom to ask for other names."""
        for each in self._of(self._network).records():
            if client in each.addresses and each.servers:
                return list(each.servers)
        return _of_host()

    def _seen(self, client: str) -> Iterator[tuple[str, Registered]]:
        """All in the networks of this client, those of the network that is asked first."""
        own = self._of(self._network).records()
        yield from ((self._network, each) for each in own)
        ids = {each.id for each in own if client in each.addresses}
        with contextlib.suppress(FileNotFoundError):
            for network in sorted(os.listdir(self._directory)):
                records = self._of(network).records() if network != self._network else ()
                if any(each.id in ids for each in records):
                    yield from ((network, each) for each in records)

    def _of(self, network: str) -> Directory:
        if network not in self._read:
            self._read[network] = Directory(os.path.join(self._directory, network, "names"))
        return self._read[network]


def _without(name: str, network: str) -> str | None:
    """The name that `name.network` stands for."""
    return name.removesuffix(f".{network.lower()}") if name.endswith(f".{network.lower()}") else None


def _of_host() -> list[str]:
    with contextlib.suppress(OSError), open(_RESOLVERS, encoding="utf-8", errors="replace") as file:
        words = [line.split() for line in file]
        return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return []
