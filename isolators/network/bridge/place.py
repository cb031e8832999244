"""Where a network of our own keeps what is of this boot, and who may change it.

<state>/of/<network>/
|-- lock            held by who attaches or detaches
|-- addresses/      each a link to who has it: isolators.ownership
|-- names/          while somebody is attached: a file for each, for the name server
`-- dns             locked while the name server runs
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from launcher.data import Data


class Place(Data):
    directory: str

    @property
    def addresses(self) -> str:
        return os.path.join(self.directory, "addresses")

    @property
    def names(self) -> str:
        return os.path.join(self.directory, "names")

    @property
    def dns(self) -> str:
        return os.path.join(self.directory, "dns")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        path = os.path.join(self.directory, "lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
