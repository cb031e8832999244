"""The options that say which networks a container joins; named as Docker's are."""

from __future__ import annotations

import argparse
from typing import Any

from containerizer.cli import plugin_options, secret_options
from isolators.catalog import LAUNCHERS
from isolators.isolator import IsolatorFlags
from launcher.errors import InvalidRequest
from launcher.kernel import process

_LISTS = ("publish", "add_host", "dns", "dns_search", "dns_option", "ip", "network_alias")
_SINGLE = ("mac_address", "ingress", "egress")


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--network",
        "--net",
        metavar="none|host|container:NAME|NAME[,NAME]",
        help="bridge: the default network (none: loopback only; of an ordinary user slirp4netns or pasta)",
    )
    for options, metavar, help_ in (
        (
            ("-p", "--publish"),
            "[IP:]HOST:CONTAINER[/PROTO]",
            "a port of the host, or a range, for one of its own",
        ),
        (("--dns",), "IP", "name server, in place of the host's"),
        (("--dns-search",), "DOMAIN", "where names without a dot are looked for"),
        (("--dns-option",), "WORD", "of resolv.conf(5)"),
        (("--add-host",), "NAME:IP", "for /etc/hosts; host-gateway is the host"),
        (("--ip",), "IP", "its address in the first network; once more for IPv6"),
        (("--network-alias",), "NAME", "a further name for others in its networks"),
    ):
        group.add_argument(*options, action="append", default=[], metavar=metavar, help=help_)
    group.add_argument(
        "--listen-ports", metavar="LIST", help="TCP ports that it may listen on, or it ends: 8000-8010,9000"
    )
    group.add_argument("--mac-address", metavar="MAC", help="of its first interface")
    group.add_argument("--ingress", metavar="RATE", help="bits a second to receive at most, e.g. 10mbit")
    group.add_argument("--egress", metavar="RATE", help="bits a second to send at most")
    add_directories(group)


def add_directories(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """Where CNI's parts are; the words are the agent's flags."""
    group.add_argument(
        "--network-cni-config-dir", metavar="DIR[:DIR]", help="configured networks (/etc/cni/net.d)"
    )
    group.add_argument(
        "--network-cni-plugins-dir", metavar="DIR[:DIR]", help="CNI plug-ins (/opt/cni/bin, /usr/lib/cni …)"
    )


def fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields `networks` and `namespaces` of ContainerConfig. Raises InvalidRequest."""
    given = [name for name in (*_LISTS, *_SINGLE) if getattr(arguments, name)]
    listen = {"listen_ports": arguments.listen_ports}
    network = arguments.network or _default(arguments)
    if network is None and not given:
        return {"namespaces": {}, **listen}
    from containerizer import networking  # what most do without

    if network is None:
        option = f"--{given[0].replace('_', '-')}"
        raise InvalidRequest(f"{option} needs a network", hint="name one, e.g. --network bridge")
    return listen | networking.asked(
        network,
        publish=arguments.publish,
        add_host=arguments.add_host,
        ingress=arguments.ingress,
        egress=arguments.egress,
        addresses=tuple(arguments.ip),
        mac_address=arguments.mac_address,
        aliases=tuple(arguments.network_alias),
        dns_servers=tuple(arguments.dns),
        dns_search=tuple(arguments.dns_search),
        dns_options=tuple(arguments.dns_option),
    )


def _default(arguments: argparse.Namespace) -> str | None:
    """None: loopback only; or what an ordinary user has, who may not make devices of the host."""
    chosen = arguments.agent or arguments.isolation is not None or arguments.launcher != LAUNCHERS[0]
    named = any(text.startswith("net=") for text in arguments.ns)
    is_nested = "." in (arguments.name or "")  # in its parent's network
    if chosen or named or is_nested or not process.is_rootless():
        return None
    from isolators.network.helper import choice  # for ordinary users

    return choice.default()


def flags(arguments: argparse.Namespace) -> IsolatorFlags | None:
    """None: the defaults."""
    named = {
        "cni_config_dirs": arguments.network_cni_config_dir,
        "cni_plugins_dirs": arguments.network_cni_plugins_dir,
    }
    given: dict[str, Any] = {
        name: tuple(filter(None, text.split(":"))) for name, text in named.items() if text is not None
    }
    if getattr(arguments, "seccomp_listener", None):
        given["seccomp_listeners"] = tuple(arguments.seccomp_listener)
    given |= secret_options.flags(arguments) | plugin_options.flags(arguments)
    return IsolatorFlags(**given) if given else None
