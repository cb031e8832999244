"""Volumes that an agent keeps, and that outlive its containers."""

from __future__ import annotations

import argparse

from containerizer.cli.volume import configure, work
from containerizer.client.commands import client_of
from containerizer.client.volumes import RemoteVolumes


def run(arguments: argparse.Namespace) -> int:
    return work(RemoteVolumes(client_of(arguments)), arguments)


__all__ = ["configure", "run"]
