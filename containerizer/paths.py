"""Where everything is on disk. No other module makes up a path.

<root>                              survives a reboot; default /var/lib/containerizer
|-- store/                          the provisioner's: see provisioner.store
`-- containers/
    `-- <name>/                     a container's sandbox
        |-- rootfs/ upper/ work/    the backend's: mount point and writable layer
        |-- volumes/                the image's volumes
        |-- log log.1 log.2         the task's output, the newest first: launcher.io.log_file
        `-- containers/<name>/ …    nested containers

<state>                             forgotten at reboot; default /run/containerizer
`-- containers/
    `-- <name>/
        |-- container.json          the checkpoint: containerizer.record
        |-- exit_status.json        written by the supervisor when the task has ended
        |-- attach.sock             where the supervisor serves: launcher.attach_protocol
        `-- containers/<name>/ …
"""

from __future__ import annotations

import os

from launcher.container_id import ContainerId
from launcher.data import Data

DEFAULT_ROOT = "/var/lib/containerizer"
DEFAULT_STATE = "/run/containerizer"

_CONTAINERS = "containers"


class Paths(Data):
    """The two directories, and what lies in them. Both are made absolute."""

    root: str
    state: str

    @classmethod
    def of(cls, root: str | None, state: str | None) -> Paths:
        return cls(os.path.abspath(root or DEFAULT_ROOT), os.path.abspath(state or DEFAULT_STATE))

    def sandbox(self, container_id: ContainerId) -> str:
        return _nested(self.root, container_id)

    def containers(self) -> str:
        """The directory of the state of all root containers."""
        return os.path.join(self.state, _CONTAINERS)

    def container_state(self, container_id: ContainerId) -> str:
        return _nested(self.state, container_id)

    def record(self, container_id: ContainerId) -> str:
        return os.path.join(self.container_state(container_id), "container.json")

    def exit_status(self, container_id: ContainerId) -> str:
        return os.path.join(self.container_state(container_id), "exit_status.json")

    def attach_socket(self, container_id: ContainerId) -> str:
        return os.path.join(self.container_state(container_id), "attach.sock")

    def log(self, container_id: ContainerId) -> str:
        return os.path.join(self.sandbox(container_id), "log")


def _nested(base: str, container_id: ContainerId) -> str:
    parts = (part for name in container_id.lineage for part in (_CONTAINERS, name))
    return os.path.join(base, *parts)
