"""A watcher: the process that runs a pod for whoever has gone on, as a supervisor does for a container.

It is `pod run --watched`, in a session of its own, with the manifest as its standard input. By a pipe it
tells whoever has started it that the pod has begun, with what it has to say of the manifest, or why it
has not; from then on it says nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from launcher.data import Data
from launcher.errors import ContainerizerError

_BEGUN = b"\0"  # no error has that


class Started(Data, kw_only=True):
    """A watcher: a child of this process."""

    pid: int
    failed: str | None = None  # why it could not begin
    told: tuple[str, ...] = ()  # of the manifest, once it has begun


def start(manifest: bytes, options: Sequence[str]) -> Started:
    """Run `containerizer *options` for the manifest, and wait until that has begun, or cannot."""
    memory = os.memfd_create("manifest", os.MFD_CLOEXEC)
    readable, writable = os.pipe2(os.O_CLOEXEC)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(manifest)
        os.lseek(memory, 0, os.SEEK_SET)
        actions: list[Any] = [
            (os.POSIX_SPAWN_DUP2, memory, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, writable, place := writable + 1),
        ]
        argv = [sys.executable, "-m", "containerizer", *options, f"--watched={place}"]
        pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions, setsid=True)
    finally:
        os.close(memory)
        os.close(writable)
    with open(readable, "rb") as pipe:
        said = pipe.read()
    text = said.decode(errors="replace")
    if not said.startswith(_BEGUN):
        return Started(pid=pid, failed=text or "it was killed")
    return Started(pid=pid, told=tuple(filter(None, text[1:].split("\n"))))


def watched(descriptor: int, run: Callable[[Callable[[Sequence[str]], None]], int]) -> int:
    """In that process: `run` calls what it is given when the pod has begun, with what there is to say.

    Raises what it raises.
    """
    os.set_inheritable(descriptor, False)

    over = False

    def tell(text: bytes) -> None:
        nonlocal over
        if not over:
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(descriptor, text)
            os.close(descriptor)
        over = True

    try:
        return run(lambda told: tell(_BEGUN + "\n".join(told).encode()))
    except (ContainerizerError, OSError) as error:
        tell(str(error).encode())
        raise
