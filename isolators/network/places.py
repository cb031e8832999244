"""Where what is known of networks is on disk. Nothing else of this package makes up a path.

<networks>                      survives a reboot; default /var/lib/containerizer/networks
|-- <name>.conflist             what `network create` has made
|-- lock                        shared by who attaches or detaches; GC has it for itself
`-- attached/<container>.json   which container is where: isolators.network.attachments

<state>                         forgotten at a reboot; default /run/containerizer/networks
|-- namespaces/<id>             a container's network namespace, mounted
|-- swept                       what was attached before this boot has been taken back
|-- ports/                      of the host, each a link to who has it: isolators.ownership
|-- holders/<id>                locked by the process that has those ports bound: isolators.network.holder
|-- usermode/<container>/       of a program that is a network: isolators.network.usermode
`-- of/<network>/               of a network of our own: isolators.network.bridge
"""

from __future__ import annotations

import contextlib
import os

from launcher.data import Data
from launcher.kernel import files


class Places(Data):
    networks: str
    state: str

    def attached(self, container: str = "") -> str:
        directory = os.path.join(self.networks, "attached")
        return os.path.join(directory, f"{container}.json") if container else directory

    def orphans(self, id_: str = "") -> str:
        directory = os.path.join(self.networks, "orphans")
        return os.path.join(directory, f"{id_}.json") if id_ else directory

    def namespace(self, id_: str) -> str:
        return os.path.join(self.state, "namespaces", id_)

    def usermode(self, container: str = "") -> str:
        return os.path.join(self.state, "usermode", container)

    def holder(self, id_: str) -> str:
        return os.path.join(self.state, "holders", id_)

    @property
    def ports(self) -> str:
        return os.path.join(self.state, "ports")

    @property
    def swept(self) -> str:
        return os.path.join(self.state, "swept")

    def is_swept(self, boot: str) -> bool:
        """Whether it is since this boot; a state directory on a disk outlives it."""
        try:
            return files.read(self.swept, 64).decode() == boot
        except FileNotFoundError:
            return False

    def own(self, network: str) -> str:
        return os.path.join(self.state, "of", network)

    def locked(self, *, alone: bool = False) -> contextlib.AbstractContextManager[None]:
        """Within, nobody collects garbage; or nobody attaches or detaches."""
        return files.locked(os.path.join(self.networks, "lock"), shared=not alone)
