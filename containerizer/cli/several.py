"""Commands on several containers: one that fails does not spare the others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from launcher.errors import EXIT_CONTAINERIZER_FAILED, ContainerizerError


def add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "containers", metavar="CONTAINER", nargs="+", help="a name, or a beginning that no other has"
    )


def each(
    names: Sequence[str], action: Callable[[str], object], then: Callable[[str], object] = lambda _: None
) -> int:
    """Do `action` for all names, and `then` for those where it worked; print each name, or its error.

    Returns the exit code.
    """
    acted = [name for name in dict.fromkeys(names) if _succeeds(name, action)]
    done = []
    for name in acted:
        if _succeeds(name, then):
            done.append(name)
            print(name, flush=True)
    return 0 if len(done) == len(set(names)) else EXIT_CONTAINERIZER_FAILED


def _succeeds(name: str, action: Callable[[str], object]) -> bool:
    try:
        action(name)
    except (ContainerizerError, OSError) as error:
        print(f"containerizer: {error}", file=sys.stderr)
        return False
    return True
