"""network/usermode: a network without root, by slirp4netns or pasta: the way out, and published ports.

Such a program has one end of the container's only interface, and opens its connections on the host as any
program of the user does. It lives as long as the container's task does, whoever else is killed
(helper/keeper.py). What is known of it is in a directory of the container's, so any process finds it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isolators.isolator import (
    ContainerConfig,
    Isolator,
    IsolatorFlags,
    IsolatorUnavailable,
    Need,
    hostname_of,
    shares,
)
from isolators.network import facts, files, namespace, published
from isolators.network.attachments import Attached
from isolators.network.helper import choice, keeper, pasta, records, slirp4netns
from isolators.network.helper.records import Record
from isolators.network.places import Places
from isolators.networks import NetworkRequest, PortMapping
from isolators.resources import Usage
from launcher import execute
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import process
from launcher.launch_info import LaunchInfo

_INHERITED = ("PATH", "LD_LIBRARY_PATH")


class NetworkUsermode(Isolator):
    name = "network/usermode"
    enforces = frozenset({"usermode_network"})
    needs = (
        Need("slirp4netns or pasta", choice.is_installed, "apt-get install slirp4netns", optional=True),
        Need("permission to open /dev/net/tun", choice.has_tun, "chmod 0666 /dev/net/tun", optional=True),
    )

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        self.places = Places(flags.networks, flags.networks_state)

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        try:
            names = os.listdir(self.places.usermode())
        except FileNotFoundError:
            return ()
        gone = [each for each in map(ContainerId.parse, sorted(names)) if not is_there(each)]
        for container_id in gone:
            self.cleanup(container_id)
        return [f"network of container {container_id}" for container_id in gone]

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        info = self.contribute(container_id, config)
        program = config.networks.usermode
        if program is None:
            return info
        servers = config.networks.dns_servers or _servers()
        families = choice.families(program)
        asked = config.networks.ports if len(families) > 1 else map(_of_ipv4, config.networks.ports)
        ports = published.chosen(asked)
        record = Record(program=program, families=families, resolves=not servers, ports=ports)
        directory = self._directory(container_id)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        record.save(directory)
        files.make(config.sandbox)
        request = replace(config.networks, dns_servers=servers or (records.RESOLVER,))
        files.write(_attached(record, container_id, replace(config, networks=request)))
        return info

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        program = config.networks.usermode
        if program is None:
            return LaunchInfo()
        _check(program, config)
        return files.launch_info(config)

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        place = self._directory(container_id)
        record = records.load(place)
        if record is None:
            return
        namespace.pin(pid, records.namespace(place))
        task, directory = os.pidfd_open(pid), os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path = execute.find(record.program, os.environ)
            environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
            argv = _argv(record, records.namespace(place))
            started = keeper.start(path, argv, environment, directory=directory, task=task)
            replace(record, keeper=started).save(place)
            if record.program == slirp4netns.NAME:
                for port in record.ports:
                    slirp4netns.publish(directory, port)
        finally:
            os.close(task)
            os.close(directory)

    def usage(self, container_id: ContainerId) -> Usage:
        path = records.namespace(self._directory(container_id))
        if not namespace.is_pinned(path):
            return Usage()
        from isolators.network import traffic  # what a launch does not need

        return traffic.of_all(path, [records.INTERFACE])

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        record = records.load(self._directory(container_id))
        if record is None:
            return {}
        request = NetworkRequest(names=(record.program,), ports=record.ports)
        return facts.of(record.as_attached(str(container_id), "", request, None))

    def cleanup(self, container_id: ContainerId) -> None:
        directory = self._directory(container_id)
        record = records.load(directory)
        if record is not None and record.keeper is not None:
            keeper.end(record.keeper, directory)
        if record is not None:
            namespace.unpin(records.namespace(directory))
            records.remove(directory)

    def _directory(self, container_id: ContainerId) -> str:
        return self.places.usermode(str(container_id))


def _check(program: str, config: ContainerConfig) -> None:
    """Raises InvalidRequest, IsolatorUnavailable."""
    if shares("net", config):
        raise InvalidRequest(
            f"a container in another network namespace has no {program}", hint="leave one of them out"
        )
    if not process.is_rootless():
        hint = "root's containers join networks: --network bridge"
        raise InvalidRequest(f"{program} is for ordinary users", hint=hint)
    if not choice.is_installed(program):
        hint = f"apt-get install {choice.PROGRAMS[program].PACKAGE}, or --network none"
        raise IsolatorUnavailable(f"{program} is not installed", hint=hint)
    if not choice.has_tun():
        raise IsolatorUnavailable("/dev/net/tun cannot be opened", hint="chmod 0666 /dev/net/tun")


def _argv(record: Record, path: str) -> list[str]:
    if record.program == slirp4netns.NAME:
        return slirp4netns.argv(path, record.ports, resolves=record.resolves)
    pairs = ((records.ADDRESS, records.GATEWAY), (records.ADDRESS_6, records.GATEWAY_6))
    resolver = records.RESOLVER if record.resolves else ""
    return pasta.argv(path, record.ports, addresses=pairs[: len(record.families)], resolver=resolver)


def _servers() -> tuple[str, ...]:
    """The host's name servers, but for those that only the host itself reaches."""
    servers = files.host_resolver()["nameserver"]
    return tuple(each for each in servers if not ipaddress.ip_address(each).is_loopback)


def _of_ipv4(port: PortMapping) -> PortMapping:
    return port if port.host_ip else replace(port, host_ip="0.0.0.0")  # noqa: S104 - as was asked


def _attached(record: Record, container_id: ContainerId, config: ContainerConfig) -> Attached:
    hosts = (*config.networks.extra_hosts, *((name, address) for address, name in config.hosts))
    request = replace(config.networks, extra_hosts=hosts)
    hostname = hostname_of(container_id, config)
    return record.as_attached(str(container_id), config.sandbox, request, hostname)
