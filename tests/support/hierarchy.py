"""A hierarchy of cgroup v1 of a test's own: mounted, but attached nowhere, so that nobody else sees it."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.kernel import cgroups, mounts

_PATIENCE = 10.0  # seconds


@contextlib.contextmanager
def v1(controller: str, directory: Path) -> Iterator[str]:
    """The path of a mountinfo that has it, and nothing else; the host's, where that has the controller."""
    if cgroups.find(controller) is not None:
        yield cgroups.MOUNTINFO
        return
    mount = _mount(controller)
    try:
        point = f"/proc/{os.getpid()}/fd/{mount}"
        (directory / "mountinfo").write_text(f"31 21 0:29 / {point} rw - cgroup cgroup rw,{controller}\n")
        yield str(directory / "mountinfo")
    finally:
        os.close(mount)


def _mount(controller: str) -> int:
    """The kernel takes a moment to have back the controller of one that is gone, and does not tell when."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return mounts.new_filesystem("cgroup", "cgroup", (), ((controller, ""),))
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                pytest.skip(f"no hierarchy with {controller} can be mounted: {error}")
        time.sleep(0.01)
