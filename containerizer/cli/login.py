"""Log in to a registry: credentials are tried there, and stored for pulls.

They go to the credential helper of registries.conf, ~/.docker/config.json or auth.json, if one is configured,
or into auth.json, as podman's: $REGISTRY_AUTH_FILE, or $XDG_RUNTIME_DIR/containers/auth.json.
"""

from __future__ import annotations

import argparse
import sys

from containerizer.cli import registry_options
from launcher.errors import InvalidRequest


def configure(parser: argparse.ArgumentParser) -> None:
    registry_options.add(parser)
    registry_options.add_credentials(parser)
    parser.add_argument("registry", metavar="HOST[:PORT][/NAMESPACE]")


def run(arguments: argparse.Namespace) -> int:
    from provisioner.registry.login import login

    if arguments.username is None:
        arguments.username = _ask("username: ")
    options = registry_options.of(arguments, ask=_secret)
    done = login(arguments.registry, options, lambda text: print(text, file=sys.stderr))
    who = f"{arguments.registry} as {arguments.username}"
    if done.tried:
        print(f"logged in to {who}; stored in {done.where}")
    else:
        print(f"stored for {who} in {done.where}, but not tried: the registry asks nobody who they are")
    return 0


def _ask(prompt: str) -> str:
    _need_terminal("--username")
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _secret() -> str:
    import getpass

    _need_terminal("--password-stdin")
    return getpass.getpass("password: ")


def _need_terminal(option: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidRequest("stdin is no terminal to ask at", hint=f"use {option}")
