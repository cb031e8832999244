"""A disk that can be frozen: whoever writes to it then waits uninterruptibly, and not even SIGKILL ends it.

An ext4 on a loop device, mounted in a mount namespace of a process of its own: nothing of it is left
on the host when that has ended. FIFREEZE and FITHAW are in ioctl_fs(2) and linux/fs.h.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
TIMEOUT = 30  # seconds

_MOUNT = 'mkfs.ext4 -q "$1" && mount -o loop "$1" "$2" && echo mounted && read line'


class FrozenDisk:
    """Frozen and thawed by its directory; thawed at the latest when its context ends."""

    def __init__(self, directory: str, within: tuple[str, ...], descriptor: int) -> None:
        self.directory = directory  # where it is mounted in the namespace
        self.within = within  # the command that runs another one in the namespace
        self._descriptor = descriptor

    def wait_for_file(self, name: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while name not in os.listdir(self._descriptor):
            assert time.monotonic() < deadline, f"nobody writes {name}"
            os.sched_yield()

    def freeze(self) -> None:
        fcntl.ioctl(self._descriptor, FIFREEZE, 0)

    def thaw(self) -> None:
        """Idempotent."""
        try:
            fcntl.ioctl(self._descriptor, FITHAW, 0)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is not frozen
                raise


@contextlib.contextmanager
def frozen_disk(directory: Path) -> Iterator[FrozenDisk]:
    """A disk that is not frozen yet, made and mounted below `directory`."""
    image, mount_point = directory / "image", directory / "disk"
    image.touch()
    os.truncate(image, 8 << 20)
    mount_point.mkdir()
    command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(image), str(mount_point)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        descriptor = os.open(f"/proc/{holder.pid}/root{mount_point}", os.O_RDONLY | os.O_DIRECTORY)
        within = ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--")
        disk = FrozenDisk(str(mount_point), within, descriptor)
        try:
            yield disk
        finally:
            disk.thaw()
            os.close(descriptor)


def wait_until_stuck(pid: int) -> None:
    """Until the process waits uninterruptibly and stays so. There is no event for that."""
    deadline = time.monotonic() + TIMEOUT
    while _state(pid) != "D":
        assert time.monotonic() < deadline, f"process {pid} is in state {_state(pid)}"
        os.sched_yield()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
