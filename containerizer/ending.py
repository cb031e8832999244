"""The end of a container: several processes may come to it at once, and one takes everything back.

The launcher that waits for the task, the supervisor that outlived it, and whoever says `rm -f`: each
of them learns of the end. A file beside the record is their lock, and says how far things are:

    (empty)        nobody has asked for the end
    destroying     somebody has: a launch in progress gives up at its next step
    {…}            how the container ended: all has been taken back

The lock is flock(2)'s, so a killed holder leaves none. Who has the file open can read how the
container ended after somebody else has removed it; by then another may have its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator

from containerizer import record as records
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from containerizer.termination import Termination
from launcher.container_id import ContainerId

_DESTROYING = b"destroying"
_MAX_SIZE = 64 * 1024  # bytes


class Ending:
    """The opened file; close it, or use it as a context manager."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor

    @classmethod
    def open(cls, paths: Paths, container_id: ContainerId) -> Ending | None:
        """None: there is no such container, or no longer."""
        try:
            return cls(os.open(paths.ending(container_id), os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    def duplicate(self) -> Ending:
        """Another descriptor of the same; it shares the lock."""
        return Ending(os.dup(self._fd))

    def __enter__(self) -> Ending:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one who ends the container. Waits for another one; not to be nested."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    @property
    def removed(self) -> bool:
        """Whether the container is forgotten, and its name perhaps another's."""
        return os.fstat(self._fd).st_nlink == 0

    @property
    def over(self) -> bool:
        """Whether everything has been taken back."""
        return self.removed or self.termination is not None

    @property
    def termination(self) -> Termination | None:
        """How it ended; None if it has not, or if its launch was given up."""
        content = os.pread(self._fd, _MAX_SIZE, 0)
        if not content:  # as for most who ask
            return None
        try:
            return Termination.from_json(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError):  # half of it, or something else
            return None

    def request(self) -> None:
        """Make a launch in progress give up."""
        with self.locked():
            if os.fstat(self._fd).st_size == 0:
                os.pwrite(self._fd, _DESTROYING, 0)

    def say(self, termination: Termination) -> None:
        """Everything has been taken back. Only for who has the lock."""
        os.pwrite(self._fd, json.dumps(termination.to_json()).encode(), 0)


def requested(paths: Paths, container_id: ContainerId) -> bool:
    """Whether somebody has asked for the end, or even brought it about."""
    try:
        return os.stat(paths.ending(container_id)).st_size > 0
    except FileNotFoundError:
        return True


@contextlib.contextmanager
def of_own(paths: Paths, record: ContainerRecord, saved: str) -> Iterator[Ending | None]:
    """The ending of a container launched here, locked; None where another process has removed it.

    `saved`: the record as it was stored here last.
    """
    end = Ending.open(paths, record.id)
    if end is None:
        yield None
        return
    with end, end.locked():
        gone = end.removed or not records.is_there(paths, record, saved)
        yield None if gone else end
