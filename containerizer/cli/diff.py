"""List the files of its image that a container has changed: A added, C changed, D deleted."""

from __future__ import annotations

import argparse

from containerizer.cli.table import add_json_option, print_data, printable
from containerizer.containerizer import Containerizer
from launcher.data import asdict
from provisioner.saving.changes import ADDED

# Made for what is mounted there, where the image has none; the task sees, and writes, something else.
_MOUNT_POINTS = frozenset(
    (
        *("/dev", "/proc", "/sys", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"),
        *("/mnt", "/mnt/mesos", "/mnt/mesos/sandbox"),
    )
)


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    parser.add_argument("container", metavar="CONTAINER", help="its name, or a beginning that no other has")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    container = containerizer.get(arguments.container).id
    changes = containerizer.provisioner.changes(str(container), containerizer.paths.sandbox(container))
    changes = [change for change in changes if change.kind != ADDED or change.path not in _MOUNT_POINTS]
    if arguments.format != "table":
        print_data([asdict(change) for change in changes], arguments.format)
    else:
        print("".join(f"{change.kind} {printable(change.path)}\n" for change in changes), end="")
    return 0
