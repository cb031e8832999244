"""Serve containers to programs and people by HTTP, until SIGTERM; what runs then goes on running.

Each flag is also read from the environment, as CONTAINERIZER_<FLAG>, and from the TOML file of
--config. --root and --state, before the command, are --work-dir and --runtime-dir.
"""

from __future__ import annotations

import argparse
import os

from containerizer.agent import flags
from containerizer.paths import default_root, default_state

USAGE = "%(prog)s [--config FILE] [--FLAG VALUE ...]"


def configure(parser: argparse.ArgumentParser) -> None:
    flags.add(parser)


def run(arguments: argparse.Namespace) -> int:
    from containerizer.agent.main import serve

    if arguments.work_dir is None and arguments.root != default_root():
        arguments.work_dir = arguments.root
    if arguments.runtime_dir is None and arguments.state != default_state():
        arguments.runtime_dir = arguments.state
    serve(flags.read(arguments, os.environ))
    return 0
