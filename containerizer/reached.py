"""Limits that a container runs into and goes on within: noted beside its record, each once.

A process more than its limit is refused, a CPU more than its quota is waited for; people want to know, and
nothing is killed. Whoever watches notes what it is told; who ends a container that nobody watched notes what
the kernel has counted (isolators.isolator, `reached`). Lines are appended, so several processes may note.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence

from containerizer import checkpoint
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from isolators.isolator import Isolator
from isolators.resources import Limitation
from launcher.container_id import ContainerId
from launcher.data import Data, asdict
from launcher.errors import ContainerizerError
from launcher.kernel import files

MOST = 64  # that are kept of one container, the first ones

_LARGEST = 1 << 20  # bytes of a file


class Noted(Data, kw_only=True):
    """One of them."""

    time: float  # seconds since the epoch: when it was first told
    limitation: Limitation

    @property
    def key(self) -> tuple[str, str]:
        """What is noted once: where the limit was changed since, what is counted is of both."""
        return (self.limitation.isolator, self.limitation.resource)

    def brought_up(self, now: Limitation) -> Noted:
        """With the figures of now, if they are of the same limit."""
        same = now.limit == self.limitation.limit
        return Noted(time=self.time, limitation=now) if same else self


def check(ask: Callable[[], Limitation | None], note: Callable[[Limitation], object]) -> Limitation | None:
    """Take all that a watch has to tell: the limit that ends the container, if one does, is returned."""
    for _ in range(MOST):  # a watch that never comes to an end keeps nobody
        limitation = ask()
        if limitation is None or limitation.fatal:
            return limitation
        note(limitation)
    return None


def note(paths: Paths, container_id: ContainerId, limitation: Limitation) -> bool:
    """Whether it was not known. A container that is gone has nothing to be noted. Raises OSError."""
    fresh = Noted(time=time.time(), limitation=limitation)
    known = noted(paths, container_id)
    if len(known) >= MOST or fresh.key in {each.key for each in known}:
        return False
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(paths.reached(container_id), flags, 0o600)
        try:
            os.write(descriptor, json.dumps(asdict(fresh)).encode() + b"\n")
        finally:
            os.close(descriptor)
    return True


def noted(paths: Paths, container_id: ContainerId) -> list[Noted]:
    """All of them, the first one first."""
    try:
        lines = files.read(paths.reached(container_id), _LARGEST).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found: dict[object, Noted] = {}
    for each in _read(lines):
        found.setdefault(each.key, each)
    return list(found.values())


def counted(
    paths: Paths, record: ContainerRecord, isolators: Sequence[Isolator], told: frozenset[str] = frozenset()
) -> list[Limitation]:
    """What the isolators tell now; only those are asked that enforce a limit of this container.

    `told`: the limits of which all has been told already.
    """
    limits = (checkpoint.read(paths.limits(record.id)) or record.limits).keys() - told
    found: list[Limitation] = []
    for isolator in isolators if limits else ():
        if not isolator.enforces.isdisjoint(limits):
            with contextlib.suppress(ContainerizerError, OSError):  # it ends just now
                found += isolator.reached(record.id)
    return found


def known(paths: Paths, record: ContainerRecord, isolators: Sequence[Isolator]) -> tuple[Noted, ...]:
    """What was noted, with the figures of now where isolators are given, and what was not noted yet."""
    now = time.time()
    found = {each.key: each for each in noted(paths, record.id)}
    for limitation in counted(paths, record, isolators):
        fresh = Noted(time=now, limitation=limitation)
        found[fresh.key] = found.get(fresh.key, fresh).brought_up(limitation)
    return tuple(found.values())


def _read(lines: Sequence[bytes]) -> Iterator[Noted]:
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):  # half of one, or of another version
            value = json.loads(line)
            yield Noted(time=float(value["time"]), limitation=Limitation(**value["limitation"]))
