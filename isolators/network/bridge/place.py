"""Where a network of our own keeps what is of this boot, and who may change it.

<state>/of/<network>/
|-- lock            held by who attaches or detaches
|-- addresses/      each a link to who has it: isolators.ownership
|-- names/          while somebody is attached: a file for each, for the name server
|-- names.new       one of these that is being written
`-- dns             locked while the name server runs
"""

from __future__ import annotations

import contextlib
import os

from launcher.data import Data
from launcher.kernel import files


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

    def locked(self) -> contextlib.AbstractContextManager[None]:
        return files.locked(os.path.join(self.directory, "lock"))
