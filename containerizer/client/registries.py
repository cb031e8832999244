"""What an agent may be told of registries: who asks for an image. How to reach them it knows by itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from containerizer.cli import registry_options
from launcher.errors import InvalidRequest
from provisioner.reference import ImageReference
from provisioner.registry.options import Credentials


def refuse(arguments: argparse.Namespace, names: Iterable[str]) -> None:
    """Raises InvalidRequest where one of these options, which an agent has for all, is given."""
    for name in names:
        if getattr(arguments, name, None):
            option = f"--{name.replace('_', '-')}"
            raise InvalidRequest(f"{option} cannot be chosen with --agent", hint="it has its own")


def credentials_of(arguments: argparse.Namespace, image: str) -> Credentials | None:
    """What the file of --authfile, or a helper that it names, has for the image. Raises InvalidRequest."""
    refuse(arguments, (name for name in registry_options.NAMES if name != "authfile"))
    if arguments.authfile is None:
        return None
    from provisioner.registry import credentials  # few name a file

    reference = ImageReference.parse(image)
    found = credentials.find(reference.registry, reference.repository, arguments.authfile)
    if found is None:
        hint = "`containerizer login --authfile FILE` adds some"
        what = reference.registry or image
        raise InvalidRequest(f"{arguments.authfile} has no credentials for {what}", hint=hint)
    return found
