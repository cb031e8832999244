"""Change the limits of running containers, at once; those that are not named stay.

A limit below what is used already may be refused (memory on cgroup v1), end something (memory on
v2), or just keep the container from having more (processes).
"""

from __future__ import annotations

import argparse

from containerizer.cli import limit_options
from containerizer.cli.several import add_names, each
from containerizer.containerizer import Containerizer
from isolators.resources import Resources
from launcher.errors import InvalidRequest

USAGE = "%(prog)s LIMIT ... CONTAINER [CONTAINER ...]"


def configure(parser: argparse.ArgumentParser) -> None:
    limit_options.add(parser.add_argument_group("limits"))
    add_names(parser)


def run(arguments: argparse.Namespace) -> int:
    from containerizer.updating import update

    resources = asked(arguments)
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    return each(
        arguments.containers, lambda name: update(containerizer, containerizer.get(name).id, resources)
    )


def asked(arguments: argparse.Namespace) -> Resources:
    """The limits that the options name. Raises InvalidRequest."""
    resources = limit_options.resources(arguments)
    if not resources.asked():
        raise InvalidRequest("no limit is named", hint="name one, e.g. --memory 128m")
    return resources
