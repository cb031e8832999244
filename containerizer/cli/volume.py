"""Volumes that outlive containers: `run -v NAME:/path` has one, and makes it if it is not there.

volume create [NAME]  make one; without a name it gets one
volume ls             all volumes, and how many containers have each
volume inspect NAME … where they are, how they were made, and who has them, as JSON
volume rm NAME …      remove volumes that no container has, with all that is in them
volume prune          the same for all without a name of their own; with --all for every one
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol

from containerizer.cli import plugin_options
from containerizer.cli.several import each
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.paths import Paths
from isolators.flags import IsolatorFlags
from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from containerizer.volumes.manager import VolumeInfo

_FILTER = "name=PART, driver=NAME, label=KEY[=VALUE], dangling=true|false"


class Manager(Protocol):
    """Who has the volumes: this host, or an agent."""

    def create(
        self, name: str, *, driver: str, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> VolumeInfo: ...

    def all(self, filters: Sequence[str]) -> list[VolumeInfo]: ...

    def inspect(self, name: str) -> VolumeInfo: ...

    def remove(self, name: str, *, force: bool) -> None: ...

    def prune(self, filters: Sequence[str], *, everything: bool) -> list[VolumeInfo]: ...


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="volume_command", metavar="COMMAND", required=True)
    create = commands.add_parser("create", help="make a volume, if it is not there")
    create.add_argument("name", metavar="NAME", nargs="?", default="", help="(one that nobody has)")
    create.add_argument("-d", "--driver", default="local", metavar="NAME", help="who keeps it (%(default)s)")
    create.add_argument(
        "-o",
        "--opt",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the driver; of local: type=, device=, o= as of mount(8), size=",
    )
    create.add_argument("--label", action="append", default=[], metavar="KEY[=VALUE]", help="for its users")
    ls = commands.add_parser("ls", help="list the volumes")
    ls.add_argument("-q", "--quiet", action="store_true", help="their names only")
    add_json_option(ls)
    inspect = commands.add_parser("inspect", help="show volumes, and who has them, as JSON")
    inspect.add_argument("names", metavar="NAME", nargs="+")
    rm = commands.add_parser("rm", help="remove volumes that no container has")
    rm.add_argument("names", metavar="NAME", nargs="+")
    rm.add_argument("-f", "--force", action="store_true", help="fine if there is none")
    prune = commands.add_parser("prune", help="remove the volumes that no container has")
    prune.add_argument("-a", "--all", action="store_true", help="those with a name of their own, too")
    for command in (create, ls, inspect, rm, prune):
        plugin_options.add(command)
    for command in (ls, prune):
        command.add_argument("--filter", action="append", default=[], metavar=_FILTER, help="only those")


def run(arguments: argparse.Namespace) -> int:
    from containerizer.volumes.manager import Volumes

    flags = IsolatorFlags(**plugin_options.flags(arguments))
    return work(Volumes(Paths.of(arguments.root, arguments.state), flags), arguments)


def work(volumes: Manager, arguments: argparse.Namespace) -> int:
    """What was asked for, of those volumes; the exit code."""
    match arguments.volume_command:
        case "create":
            options, labels = _pairs(arguments.opt, "--opt"), _pairs(arguments.label)
            made = volumes.create(arguments.name, driver=arguments.driver, options=options, labels=labels)
            print(made.record.name)
        case "ls":
            _ls(volumes.all(arguments.filter), arguments)
        case "inspect":
            print_data([volumes.inspect(name).to_json() for name in arguments.names])
        case "rm":
            return each(arguments.names, lambda name: volumes.remove(name, force=arguments.force))
        case "prune":
            for gone in volumes.prune(arguments.filter, everything=arguments.all):
                print(gone.record.name)
    return 0


def _ls(found: list[VolumeInfo], arguments: argparse.Namespace) -> None:
    if arguments.quiet:
        for info in found:
            print(info.record.name)
    elif arguments.format == "table":
        rows = [(info.record.driver, info.record.name, str(len(info.containers))) for info in found]
        print_table(("DRIVER", "VOLUME", "CONTAINERS"), rows)
    else:
        print_data([info.to_json() for info in found], arguments.format)


def _pairs(texts: list[str], option: str | None = None) -> dict[str, str]:
    """`option`: its values have to be KEY=VALUE; else VALUE may be left out."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or (option and not equals):
            raise InvalidRequest(f"invalid {option or '--label'} {text!r}", hint="write KEY=VALUE")
        pairs[key] = value
    return pairs
