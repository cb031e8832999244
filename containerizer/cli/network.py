"""Networks that containers join by `run --network NAME`.

    network create NAME   a bridge with addresses, NAT, published ports and a name server
    network ls            all networks, those that CNI plug-ins make too
    network inspect NAME  its configuration, and who is in it
    network rm NAME …     remove networks that were created here
    network status NAME … whether containers can be added to networks now
    network check CONTAINER …  whether containers still have what their networks gave them
    network gc            take back what containers that are gone have left in networks

The network `bridge` need not be created. Containers of one network reach each other by their names.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from containerizer import record as records
from containerizer.cli import network_options
from containerizer.cli.several import each
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.paths import Paths
from isolators.isolator import IsolatorFlags
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import EXIT_CONTAINERIZER_FAILED, InvalidRequest
from launcher.kernel import process

if TYPE_CHECKING:
    from isolators.network.bridge.settings import Settings, Subnet
    from isolators.network.cni import NetworkCni
    from isolators.network.config_list import ConfigList


def configure(parser: argparse.ArgumentParser) -> None:
    network_options.add_directories(parser)
    commands = parser.add_subparsers(dest="network_command", metavar="COMMAND", required=True)
    create = commands.add_parser("create", help="make a network")
    create.add_argument("name", metavar="NAME")
    create.add_argument(
        "--subnet", action="append", default=[], metavar="CIDR", help="of IPv4, of IPv6, or both (free ones)"
    )
    create.add_argument(
        "--gateway", action="append", default=[], metavar="IP", help="the host's (the first of each subnet)"
    )
    create.add_argument("--internal", action="store_true", help="with no way out and none in")
    yes_or_no = argparse.BooleanOptionalAction
    create.add_argument(
        "--isolate", action=yes_or_no, default=True, help="no way to other networks (it is so)"
    )
    create.add_argument("--dns", action=yes_or_no, default=True, help="a name server (there is one)")
    create.add_argument("--ipv6", action=yes_or_no, default=True, help="IPv6 too, where no subnet is named")
    create.add_argument("--mtu", type=int, metavar="BYTES", help="of a packet")
    create.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="for its users")
    add_json_option(commands.add_parser("ls", help="list the networks"))
    inspect = commands.add_parser("inspect", help="show networks, and who is in them, as JSON")
    inspect.add_argument("names", metavar="NAME", nargs="+")
    rm = commands.add_parser("rm", help="remove networks")
    rm.add_argument("names", metavar="NAME", nargs="+")
    status = commands.add_parser("status", help="ask whether containers can be added to networks now")
    status.add_argument("names", metavar="NAME", nargs="+")
    check = commands.add_parser("check", help="ask whether containers have what their networks gave them")
    check.add_argument("containers", metavar="CONTAINER", nargs="+")
    commands.add_parser("gc", help="take back what containers that are gone have left")


def run(arguments: argparse.Namespace) -> int:
    paths = Paths.of(arguments.root, arguments.state)
    isolator = _isolator(paths, network_options.flags(arguments))
    if arguments.network_command == "gc":
        return _gc(isolator, paths)
    if arguments.network_command == "check":
        return each(arguments.containers, lambda name: isolator.verify(records.find(paths, name)))
    commands = {"create": _create, "ls": _ls, "inspect": _inspect, "rm": _rm, "status": _status}
    return commands[arguments.network_command](isolator, arguments)


def _isolator(paths: Paths, flags: IsolatorFlags | None) -> NetworkCni:
    from isolators.network.cni import NetworkCni

    places = {"networks": paths.networks, "networks_state": paths.networks_state}
    return NetworkCni(replace(flags or IsolatorFlags(), **places))


def described(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What `network inspect` shows of one. Raises ContainerizerError."""
    from isolators.network.bridge import definitions

    isolator = _isolator(Paths.of(arguments.root, arguments.state), None)
    return _described(isolator, definitions.find(isolator.places, isolator.flags.cni_config_dirs, name))


def unused(arguments: argparse.Namespace) -> list[tuple[str, Callable[[], object]]]:
    """Networks of our own that no container is in, and how to remove each."""
    from isolators.network import config_list
    from isolators.network.bridge import definitions

    isolator = _isolator(Paths.of(arguments.root, arguments.state), None)
    found, _ = config_list.find_all((isolator.places.networks,))
    own = [network for network in found if definitions.own_settings(network)]
    remove = functools.partial(definitions.remove, isolator.places, isolator.flags.cni_config_dirs)
    return [
        (network.name, functools.partial(remove, network.name))
        for network in own
        if not _described(isolator, network)["containers"]
    ]


def _create(isolator: NetworkCni, arguments: argparse.Namespace) -> int:
    from isolators.network.bridge import definitions

    if process.is_rootless():
        hint = "an ordinary user's containers have slirp4netns or pasta: docs/rootless.md"
        raise InvalidRequest("networks that containers share take root", hint=hint)

    def choose() -> Settings:
        return definitions.chosen(
            isolator.places,
            arguments.name,
            subnets=_subnets(arguments),
            ipv6=arguments.ipv6,
            internal=arguments.internal,
            isolate=arguments.isolate,
            dns=arguments.dns,
            mtu=_mtu(arguments.mtu),
            labels=dict(_label(text) for text in arguments.label),
        )

    try:
        made = definitions.create(isolator.places, isolator.flags.cni_config_dirs, choose)
    except FileExistsError as error:
        hint = "choose another name, or remove the old one with `network rm`"
        raise InvalidRequest(
            f"network {arguments.name} is there already: {error.filename}", hint=hint
        ) from None
    print(made.name)
    return 0


def _subnets(arguments: argparse.Namespace) -> list[Subnet]:
    from isolators.network.bridge import settings

    gateways = {gateway: ":" in gateway for gateway in arguments.gateway}
    made = []
    for text in arguments.subnet:
        own = next((gateway for gateway, is_6 in gateways.items() if is_6 == (":" in text)), None)
        gateways.pop(own or "", None)
        made.append(settings.subnet(text, own))
    if gateways:
        raise InvalidRequest(f"gateway {next(iter(gateways))} is in no --subnet", hint="name the subnet too")
    return made


def _mtu(asked: int | None) -> int | None:
    if asked is not None and not 1280 <= asked <= 65535:
        raise InvalidRequest(f"invalid MTU {asked}", hint="use 1280, which IPv6 needs, to 65535 bytes")
    return asked


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidRequest(f"invalid label {text!r}", hint="write KEY=VALUE")
    return key, value


def _ls(isolator: NetworkCni, arguments: argparse.Namespace) -> int:
    from isolators.network import config_list

    networks, broken = config_list.find_all((isolator.places.networks, *isolator.flags.cni_config_dirs))
    for error in broken:
        print(f"containerizer: {error}", file=sys.stderr)
    described = [_described(isolator, network) for network in networks]
    if arguments.format != "table":
        print_data(described, arguments.format)
    else:
        rows = [
            (each["name"], each["driver"], ", ".join(each["subnets"]), str(len(each["containers"])))
            for each in described
        ]
        print_table(("NETWORK", "DRIVER", "SUBNETS", "CONTAINERS"), rows)
    return 0


def _inspect(isolator: NetworkCni, arguments: argparse.Namespace) -> int:
    from isolators.network.bridge import definitions

    found = [
        definitions.find(isolator.places, isolator.flags.cni_config_dirs, name) for name in arguments.names
    ]
    print_data([_described(isolator, network) for network in found])
    return 0


def _rm(isolator: NetworkCni, arguments: argparse.Namespace) -> int:
    from isolators.network.bridge import definitions

    directories = isolator.flags.cni_config_dirs
    return each(arguments.names, lambda name: definitions.remove(isolator.places, directories, name))


def _status(isolator: NetworkCni, arguments: argparse.Namespace) -> int:
    from isolators.network.bridge import definitions

    def ask(name: str) -> None:
        network = definitions.find(isolator.places, isolator.flags.cni_config_dirs, name)
        isolator.chain(network).check_installed()
        isolator.chain(network).status()

    return each(arguments.names, ask)


def _gc(isolator: NetworkCni, paths: Paths) -> int:
    from isolators.network import garbage

    def is_there(name: str) -> bool:
        try:
            return bool(records.load(paths, ContainerId.parse(name)))
        except (records.NoSuchContainer, InvalidRequest):
            return False

    taken, failures = garbage.collect(isolator, is_there)
    for name in taken:
        print(name)
    for error in failures:
        print(f"containerizer: {error}", file=sys.stderr)
    return EXIT_CONTAINERIZER_FAILED if failures else 0


def _described(isolator: NetworkCni, network: ConfigList) -> dict[str, Any]:
    from isolators.network import attachments, facts
    from isolators.network.bridge import definitions

    own = definitions.own_settings(network)
    members = {
        attached.container: interface
        for attached in attachments.load_all(isolator.places)
        for interface in facts.of(attached)["interfaces"].values()
        if interface["network"] == network.name
    }
    return {
        "name": network.name,
        "driver": "bridge" if own else "+".join(str(plugin["type"]) for plugin in network.plugins),
        "subnets": [str(subnet.network) for subnet in own.subnets] if own else [],
        "path": network.path,
        "config": network.to_json(),
        "containers": members,
    }
