"""Options of every command that may talk to a registry."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from launcher.errors import InvalidRequest
from provisioner.registry.options import Credentials, RegistryOptions

_MAX_PASSWORD = 64 << 10  # characters; some are tokens


NAMES = ("insecure_registry", "registries_conf", "certs_dir", "authfile")


def add(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """How to reach registries."""
    group.add_argument(
        "--insecure-registry",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="may do without TLS, or without a trusted certificate",
    )
    group.add_argument(
        "--registries-conf", metavar="FILE", help="mirrors, as in containers-registries.conf(5)"
    )
    group.add_argument("--certs-dir", metavar="DIR", help="certificates and hosts.toml, by HOST[:PORT]")
    group.add_argument("--authfile", metavar="FILE", help="credentials, as in containers-auth.json(5)")


def add_credentials(parser: argparse.ArgumentParser) -> None:
    """Who asks."""
    parser.add_argument("-u", "--username", metavar="NAME", help="instead of stored credentials")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from stdin")


def of(arguments: argparse.Namespace, ask: Callable[[], str] | None = None) -> RegistryOptions:
    """What the options say; `ask` gives a password that stdin does not. Raises InvalidRequest."""
    return RegistryOptions(
        insecure=tuple(arguments.insecure_registry),
        registries_conf=arguments.registries_conf,
        certs_dir=arguments.certs_dir,
        authfile=arguments.authfile,
        credentials=_credentials(arguments, ask) if "username" in arguments else None,
    )


def _credentials(arguments: argparse.Namespace, ask: Callable[[], str] | None) -> Credentials | None:
    if arguments.username is None:
        if arguments.password_stdin:
            raise InvalidRequest("--password-stdin needs a user", hint="add --username NAME")
        return None
    if arguments.password_stdin:
        password = sys.stdin.read(_MAX_PASSWORD).rstrip("\r\n")
    elif ask is not None:
        password = ask()
    else:
        raise InvalidRequest("--username needs --password-stdin", hint="or store credentials by `login`")
    if not arguments.username or not password or ":" in arguments.username:
        raise InvalidRequest("a user name and a password are needed, and the name has no colon")
    return Credentials(username=arguments.username, password=password)
