"""The program `containerizer`, also as `python -m containerizer`: a start and an end without detours."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import NoReturn

# Twice what a command makes until its task runs, nearly all of which stays: to look through it for
# cycles again and again takes 5 ms of a start.
_OBJECTS_UNTIL_COLLECTION = 50_000


def command() -> NoReturn:
    """Run the command line, as the last thing that this process does.

    To end in Python takes a fifth of a short command: every module and object is taken down, one by one,
    in memory that the kernel takes back at once. Nothing here waits for that: what has to be given back
    is given back by a `with`, and no command ends before its threads.
    """
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)
    from containerizer.cli.main import main

    try:
        code = main()
    except SystemExit as end:  # argparse, which has printed the help
        code = int(end.code or 0)
    with contextlib.suppress(OSError):  # there is nobody to tell
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    command()
