"""List the images in an agent's store."""

from __future__ import annotations

import argparse

from containerizer.api.json_format import to_json
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.client.commands import client_of
from containerizer.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    images = client_of(arguments).images()
    if arguments.format != "table":
        print_data([to_json(image) for image in images], arguments.format)
        return 0
    rows = [(" ".join(each.names), each.platform, format_size(each.size), each.id) for each in images]
    print_table(("IMAGE", "PLATFORM", "SIZE", "ID"), rows)
    return 0
