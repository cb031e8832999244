"""A watcher: the process that runs a pod for whoever has gone on, as a supervisor does for a container.

It is `pod run --watched`, in a session of its own, with the manifest as its standard input. By a pipe it
tells whoever has started it that the pod has begun, or why not; from then on it says nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from launcher.errors import ContainerizerError

_BEGUN = b"\0"  # no error has that


def start(manifest: bytes, options: Sequence[str]) -> str | None:
    """Run `containerizer *options` for the manifest. What it says if it cannot begin, or None."""
    text = os.memfd_create("manifest", os.MFD_CLOEXEC)
    readable, writable = os.pipe2(os.O_CLOEXEC)
    try:
        with open(text, "wb", closefd=False) as file:
            file.write(manifest)
        os.lseek(text, 0, os.SEEK_SET)
        actions: list[Any] = [
            (os.POSIX_SPAWN_DUP2, text, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, writable, place := writable + 1),
        ]
        argv = [sys.executable, "-m", "containerizer", *options, f"--watched={place}"]
        os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions, setsid=True)
    finally:
        os.close(text)
        os.close(writable)
    with open(readable, "rb") as pipe:
        said = pipe.read()
    return None if said == _BEGUN else said.decode(errors="replace") or "it was killed"


def watched(descriptor: int, run: Callable[[Callable[[], None]], int]) -> int:
    """In that process: `run` calls what it is given when the pod has begun. Raises what it raises."""
    os.set_inheritable(descriptor, False)

    told = False

    def tell(text: bytes) -> None:
        nonlocal told
        if not told:
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(descriptor, text)
            os.close(descriptor)
        told = True

    try:
        return run(lambda: tell(_BEGUN))
    except (ContainerizerError, OSError) as error:
        tell(str(error).encode())
        raise
