"""Show what `run` with the same options would do: each field of the launch, and who asks for it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from containerizer.cli import container_options, network_options, registry_options
from containerizer.cli.progress import layer_bars
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.containerizer import Containerizer
from launcher.launch_info import Capabilities, FileOperation, Mount
from launcher.merge import Merged

USAGE = container_options.USAGE

_WIDTH = 100  # characters of a value that the table shows


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    container_options.add(parser)


def run(arguments: argparse.Namespace) -> int:
    request = container_options.request(arguments)
    containerizer = Containerizer(
        root=arguments.root,
        state=arguments.state,
        isolation=container_options.isolation(arguments, request.config),
        flags=network_options.flags(arguments),
        launcher=arguments.launcher,
        registries=registry_options.of(arguments),
        image_backend=arguments.image_provisioner_backend,
    )
    with layer_bars() as progress:
        merged = containerizer.plan(request, progress)
    if arguments.format != "table":
        print_data({"launch_info": merged.info.to_json(), "owners": merged.owners}, arguments.format)
    else:
        rows = [(key, merged.owners[key], _shorten(text)) for key, text in _items(merged)]
        print_table(("FIELD", "ISOLATOR", "VALUE"), rows)
    return 0


def _items(merged: Merged) -> Iterator[tuple[str, str]]:
    """Each owned key with its value as text, in the order of the fields."""
    for name, value in merged.values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}[{key}]", str(item)) for key, item in value.items())
        elif name in merged.owners:
            yield name, _text(value)
        else:
            yield from ((merged.key(name, item), _text(item)) for item in value)


def _text(value: Any) -> str:
    if isinstance(value, Mount):
        flags = ",".join((*value.flags, *(f"{k}={v}" if v else k for k, v in value.options)))
        return " ".join(part for part in (value.fstype, value.source, flags) if part)
    if isinstance(value, FileOperation):
        return f"{value.kind} {value.content!r}"
    if isinstance(value, Capabilities):
        return ", ".join(name.removeprefix("CAP_").lower() for name in value.bounding) or "none"
    if isinstance(value, tuple):
        return str(list(value))
    return str(value)


def _shorten(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
