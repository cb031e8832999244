"""Show which ports of the host lead to a container: `80/tcp -> 127.0.0.1:8080`, `*` for all addresses."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from containerizer import inspection
from containerizer.cli.table import add_json_option, print_data
from containerizer.containerizer import Containerizer
from launcher.errors import InvalidRequest


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    parser.add_argument("container", metavar="CONTAINER", help="its name, or a beginning that no other has")
    parser.add_argument("port", metavar="PORT[/PROTOCOL]", nargs="?", help="this one of the container only")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    container = containerizer.get(arguments.container).id
    facts = inspection.status(containerizer, container).facts
    mappings = [each for told in facts.values() for each in _mappings(told)]
    if arguments.port is not None:
        number, _, protocol = arguments.port.partition("/")
        asked = (number, protocol or "tcp")
        mappings = [each for each in mappings if (str(each["container_port"]), each["protocol"]) == asked]
        if not mappings:
            hint = "`containerizer port CONTAINER` lists those that are"
            raise InvalidRequest(f"port {arguments.port} of {container} is not published", hint=hint)
    if arguments.format != "table":
        print_data(mappings, arguments.format)
    else:
        print("".join(f"{_line(each)}\n" for each in mappings), end="")
    return 0


def _mappings(told: Any) -> list[Mapping[str, Any]]:
    return list(told.get("mappings", ())) if isinstance(told, Mapping) else []


def _line(mapping: Mapping[str, Any]) -> str:
    address = mapping.get("host_ip") or "*"
    shown = f"[{address}]" if ":" in address else address
    return f"{mapping['container_port']}/{mapping['protocol']} -> {shown}:{mapping['host_port']}"
