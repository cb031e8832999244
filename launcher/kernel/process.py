"""What the kernel keeps of one process: its name, its OOM score adjustment, and its end. See proc(5)."""

from __future__ import annotations

import os

from launcher.kernel import files

OOM_SCORE_ADJ = "/proc/self/oom_score_adj"
_COMM = "/proc/self/comm"


def oom_score_adj() -> int:
    """The caller's. Raises OSError."""
    return int(files.read(OOM_SCORE_ADJ, 16))


def set_name(name: str) -> None:
    """What ps shows as the command's name: 15 bytes, the rest is cut. Raises OSError."""
    file = os.open(_COMM, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, os.fsencode(name))
    finally:
        os.close(file)


def collect(child: int) -> int | None:
    """Wait for the end of a child. Its wait status, or None where somebody else has collected it.

    That is a thread that waits for any child, or the kernel: whoever ignores SIGCHLD has none to
    collect, wait(2), and may have inherited that.
    """
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:
        return None
