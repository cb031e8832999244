"""Read a secret from stdin, and print an entry for the agent's file of --http-credentials."""

from __future__ import annotations

import argparse
import json
import sys

from containerizer.agent.credentials import hash_secret
from launcher.errors import InvalidRequest

_MAX_SECRET = 1024  # characters


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("principal", metavar="PRINCIPAL", help="who shows the secret")


def run(arguments: argparse.Namespace) -> int:
    secret = sys.stdin.read(_MAX_SECRET + 1).rstrip("\r\n")
    if not secret or len(secret) > _MAX_SECRET or ":" in arguments.principal:
        raise InvalidRequest("a principal without a colon and a secret of up to 1024 characters are needed")
    print(json.dumps({"principal": arguments.principal, "secret": hash_secret(secret)}))
    return 0
