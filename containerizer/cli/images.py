"""List the images in the store: what each takes, how much of that it shares with others, and its age.

SHARED is the part of SIZE in layers that other images have, too, which `rmi` does not free; USED is when
it was last pulled or run. DIGEST stands for an image wherever one is named.

`images verify` reads them all and says what is damaged; `images prune` frees the space of those that no
container uses.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from containerizer.cli import headroom_options
from containerizer.cli.table import add_json_option, print_data, print_table, told
from containerizer.units import format_age, format_size, parse_age
from launcher.errors import EXIT_CONTAINERIZER_FAILED
from provisioner.image import ImageUsage
from provisioner.provisioner import Provisioner

if TYPE_CHECKING:
    from containerizer.cli.template import Template
    from provisioner.store.prune import Criteria

_SHORT = 12  # digits of a digest that the table shows


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print digests only")
    add_json_option(parser)
    actions = parser.add_subparsers(dest="action", metavar="[ACTION]")
    verify = actions.add_parser(
        "verify", description="Hash all that is stored, and compare.", help="look for damage"
    )
    add_json_option(verify)
    prune = actions.add_parser("prune", description=_PRUNE, help="free space")
    _configure_prune(prune)
    add_json_option(prune)


_PRUNE = """\
Remove images that no container uses, and their layers. Without options, only what interrupted pulls
have left. What a container uses, or a pull at work, stays in any case."""


def _configure_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="all that no container uses")
    parser.add_argument("--older-than", metavar="AGE", help="those not used for so long: 12h, 7d")
    parser.add_argument(
        "--headroom",
        metavar="PART",
        type=float,
        help="the oldest, until this part of the disk is free: 0.1",
    )
    parser.add_argument("--exclude", metavar="IMAGE", action="append", default=[], help="keep it; repeatable")


def run(arguments: argparse.Namespace) -> int:
    provisioner = Provisioner(arguments.root)
    if arguments.action == "verify":
        return _verify(provisioner, form=arguments.format)
    if arguments.action == "prune":
        return _prune(provisioner, _criteria(arguments), form=arguments.format)
    usages = provisioner.usage()
    if arguments.format != "table":
        print_data([_as_json(usage) for usage in usages], arguments.format)
    elif arguments.quiet:
        print("".join(f"{usage.image.digest}\n" for usage in usages), end="")
    else:
        print_table(
            ("IMAGE", "DIGEST", "PLATFORM", "SIZE", "SHARED", "USED"), [_row(usage) for usage in usages]
        )
    return 0


def _as_json(usage: ImageUsage) -> dict[str, object]:
    return usage.image.to_json() | {
        "shared_size": usage.shared,
        "used_at": usage.used_at,
        "containers": list(usage.containers),
    }


def _row(usage: ImageUsage) -> tuple[str, ...]:
    image = usage.image
    return (
        image.reference,
        image.digest.partition(":")[2][:_SHORT],
        image.platform,
        format_size(image.size),
        format_size(usage.shared),
        f"{format_age(time.time() - usage.used_at)} ago",
    )


def _verify(provisioner: Provisioner, *, form: str | Template) -> int:
    found = provisioner.verify()
    if form != "table":
        damages = [{"images": list(damage.images), "what": damage.what} for damage in found.damages]
        print_data({"layers": found.layers, "recorded": found.recorded, "damages": damages}, form)
    else:
        for damage in found.damages:
            print(f"{', '.join(damage.images)}: {told(damage.what)}; remove the image and pull it again")
        print(
            f"{found.layers} layers compared, {found.recorded} seen for the first time,"
            f" {len(found.damages)} damaged parts"
        )
    return EXIT_CONTAINERIZER_FAILED if found.damages else 0


def _criteria(arguments: argparse.Namespace) -> Criteria:
    from provisioner.store.prune import Criteria

    return Criteria(
        everything=arguments.all,
        unused_for=None if arguments.older_than is None else parse_age(arguments.older_than),
        headroom=headroom_options.checked(arguments.headroom, "--headroom"),
        excluded=tuple(arguments.exclude),
    )


def _prune(provisioner: Provisioner, criteria: Criteria, *, form: str | Template) -> int:
    pruned = provisioner.prune(criteria)
    if form != "table":
        print_data({"images": [image.to_json() for image in pruned.images], "freed": pruned.freed}, form)
    else:
        for image in pruned.images:
            print(image.reference)
        print(f"freed {format_size(pruned.freed)}")
    return 0
