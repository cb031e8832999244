"""A network namespace with a name: mounted at a path, it stays until it is unmounted, whoever ends.

As ip-netns(8) does it. Beside filesystems of named volumes it is all that is ever mounted on the host: what a
plug-in has to take back of a container that is gone it finds there.
"""

from __future__ import annotations

import contextlib
import os

from launcher.kernel import mounts


def pin(pid: int, path: str) -> None:
    """Mount the process' network namespace at `path`. Idempotent. Raises OSError."""
    if is_pinned(path):
        return
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    target = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        tree = mounts.clone_tree(f"/proc/{pid}/ns/net")
        try:
            mounts.attach(tree, target, path)
        finally:
            os.close(tree)
    finally:
        os.close(target)


def unpin(path: str) -> None:
    """Take the name away; the namespace goes with its last process. Idempotent. Raises OSError."""
    if is_pinned(path):
        mounts.unmount(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def is_pinned(path: str) -> bool:
    """Whether a namespace is mounted there."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except FileNotFoundError:
        return False
