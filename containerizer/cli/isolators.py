"""List the isolators: what each does and enforces, what it needs, and whether this host has it."""

from __future__ import annotations

import argparse

from containerizer.cli.table import add_json_option, print_data, print_table
from isolators import catalog
from launcher.data import asdict


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    descriptions = catalog.describe([*catalog.TABLE, *catalog.third_party()])
    if arguments.format != "table":
        print_data(
            [
                asdict(d) | {"available": d.available, "default": d.name in catalog.defaults()}
                for d in descriptions
            ],
            arguments.format,
        )
        return 0
    rows = [
        (d.name, "yes" if d.available else "no", ", ".join(d.enforces) or "-", _needs(d), d.summary)
        for d in descriptions
    ]
    print_table(("ISOLATOR", "AVAILABLE", "LIMITS", "NEEDS", "WHAT IT DOES"), rows)
    return 0


def _needs(description: catalog.Description) -> str:
    needs = [need.what + ("" if need.present else " (missing)") for need in description.needs]
    return ", ".join([*needs, *description.requires]) or "-"
