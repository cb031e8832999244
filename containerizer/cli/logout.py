"""Log out of a registry: forget the credentials that are stored for it."""

from __future__ import annotations

import argparse

from provisioner.registry.options import RegistryOptions


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--authfile", metavar="FILE", help="where they are stored (see login)")
    parser.add_argument("registry", metavar="HOST[:PORT][/NAMESPACE]")


def run(arguments: argparse.Namespace) -> int:
    from provisioner.registry.login import logout

    for place in logout(arguments.registry, RegistryOptions(authfile=arguments.authfile)):
        print(f"removed the credentials for {arguments.registry} from {place}")
    return 0
