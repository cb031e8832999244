"""Small images of busybox, some of them hostile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from launcher.launch_info import Mount

APPLETS = ("sh", "cat", "ls", "id", "pwd", "mount", "stat", "touch", "mkdir", "readlink", "test", "head")
SECRET = "the host's own"


def make_image(directory: Path) -> Path:
    """A root file system with busybox, and no more than it needs."""
    (directory / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy2(busybox, directory / "bin" / "busybox")
    for applet in APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    return directory


def overlay(image: Path, sandbox: Path) -> Mount:
    """The image below, the sandbox's `upper` above; on the sandbox's `rootfs`."""
    for name in ("upper", "work", "rootfs"):
        (sandbox / name).mkdir(parents=True)
    return Mount(
        target=str(sandbox / "rootfs"),
        fstype="overlay",
        source="overlay",
        options=(
            ("lowerdir+", str(image)),
            ("upperdir", str(sandbox / "upper")),
            ("workdir", str(sandbox / "work")),
        ),
    )


def snapshot(directory: Path) -> Sequence[tuple[str, int, int, bytes]]:
    """Everything below a directory: path, mode, owner, content."""
    found = []
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else b""
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else content
        found.append((str(path), status.st_mode, status.st_uid, content))
    return found
