"""Where everything is on disk. No other module makes up a path.

<root>                              survives a reboot; default /var/lib/containerizer, for
|                                   others than root $XDG_DATA_HOME/containerizer
|-- store/                          the provisioner's: see provisioner.store
|-- fetched/                        what several containers fetch: containerizer.fetcher.cache
|-- cri/                            what kubelets have asked for: containerizer.cri.store
|-- networks/                       which there are, and who is in them: isolators.network.places
|-- volumes/                        those with a name: isolators.volume_store
`-- containers/
    `-- <name>/                     a container's sandbox
        |-- rootfs/ upper/ work/    the backend's: mount point and writable layer
        |-- volumes/                the image's volumes
        |-- network/                /etc/hosts and resolv.conf: isolators.network.files
        |-- fetched/                what was fetched for the task: containerizer.fetching
        |-- pod-volumes/            of a pod: its emptyDir volumes
        |-- previous-logs/          of a pod: those of its containers' runs before the last
        |-- shared-volumes/         of this container and those in it: isolators.volume.sandbox_path
        |-- image-volumes/          what it writes to images: isolators.volume.image
        |-- log log.1 log.2         the task's output, the newest first: launcher.io.log_file
        `-- containers/<name>/ …    nested containers

<state>                             forgotten at reboot; default /run/containerizer, for
|                                   others than root $XDG_RUNTIME_DIR/containerizer
|-- disk/                           whose sandboxes are measured: isolators.disk.register
|-- agent.lock                      of the agent that serves both: containerizer.agent.lock
|-- networks/                       what is of this boot: isolators.network.places
|-- cgroups_root                of all containers, if one was chosen: containerizer.cgroups_root
|-- cgroup-parents/               whose cgroups are elsewhere: isolators.cgroups.parents
|-- relays/                         of those who serve stdio: launcher.io.relays
`-- containers/
    `-- <name>/
        |-- container.json          the checkpoint: containerizer.record
        |-- launch_info.json        what later commands in it need: containerizer.nested
        |-- ending                  who ends the container, and that it has ended: containerizer.ending
        |-- exit_status             written by the supervisor when the task has ended
        |-- reached                 limits that it ran into and goes on within: containerizer.reached
        |-- attach.sock             where the task's stdio is served: launcher.attach_protocol
        |-- volumes.json            which ones it has: containerizer.volumes.kept
        |-- checks.json             of an agent's container that has some: containerizer.api.checking
        |-- pod.json                of a pod: what is in it: containerizer.pods.status
        |-- pod-volumes/            of a pod: where its own mount namespace has those that are in memory
        `-- containers/<name>/ …
"""

from __future__ import annotations

import os

from launcher.container_id import ContainerId
from launcher.data import Data

DEFAULT_ROOT = "/var/lib/containerizer"
DEFAULT_STATE = "/run/containerizer"

# The variable by which an ordinary user's own root is told: containerizer.rootless.
ROOTLESS = "CONTAINERIZER_ROOTLESS_UID"

RECORD = "container.json"
LAUNCH_INFO = "launch_info.json"
EXIT_STATUS = "exit_status"
ENDING = "ending"
AGENT_LOCK = "agent.lock"

NESTED = "containers"  # directory of those in none, and in each container's of those in it


def is_root() -> bool:
    """Whether this process is the host's root, and not one that an ordinary user is in its own namespace."""
    return os.geteuid() == 0 and ROOTLESS not in os.environ


def default_root() -> str:
    """For an ordinary user by the XDG Base Directory Specification, below its home."""
    if is_root():
        return DEFAULT_ROOT
    data = _xdg("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(data, "containerizer")


def default_state() -> str:
    """As `default_root`. Where a login has made no $XDG_RUNTIME_DIR, below the root directory."""
    if is_root():
        return DEFAULT_STATE
    runtime = _xdg("XDG_RUNTIME_DIR")
    return os.path.join(runtime, "containerizer") if runtime else os.path.join(default_root(), "run")


def _xdg(variable: str) -> str | None:
    """A relative path there is invalid, and ignored: so says the specification."""
    directory = os.environ.get(variable, "")
    return directory if os.path.isabs(directory) else None


class Paths(Data):
    """The two directories, and what lies in them. Both are made absolute."""

    root: str
    state: str

    @classmethod
    def of(cls, root: str | None, state: str | None) -> Paths:
        return cls(os.path.abspath(root or default_root()), os.path.abspath(state or default_state()))

    @property
    def fetch_cache(self) -> str:
        return os.path.join(self.root, "fetched")

    @property
    def networks(self) -> str:
        return os.path.join(self.root, "networks")

    @property
    def volumes(self) -> str:
        return os.path.join(self.root, "volumes")

    @property
    def networks_state(self) -> str:
        return os.path.join(self.state, "networks")

    @property
    def relays(self) -> str:
        return os.path.join(self.state, "relays")

    @property
    def cgroups_root(self) -> str:
        """Where the operator's choice is noted: containerizer.cgroups_root."""
        return os.path.join(self.state, "cgroups_root")

    @property
    def cgroup_parents(self) -> str:
        """Of containers whose cgroups are elsewhere: isolators.cgroups.parents."""
        return os.path.join(self.state, "cgroup-parents")

    @property
    def agent_lock(self) -> str:
        return os.path.join(self.state, AGENT_LOCK)

    def sandbox(self, container_id: ContainerId) -> str:
        return container_id.below(self.root)

    def nested(self, parent: ContainerId | None) -> str:
        """The directory of the state of all containers in this one, or of all that are in none."""
        return os.path.join(self.container_state(parent) if parent else self.state, NESTED)

    def container_state(self, container_id: ContainerId) -> str:
        return container_id.below(self.state)

    def record(self, container_id: ContainerId) -> str:
        return f"{self.container_state(container_id)}/{RECORD}"

    def ending(self, container_id: ContainerId) -> str:
        return f"{self.container_state(container_id)}/{ENDING}"

    def launch_info(self, container_id: ContainerId) -> str:
        return f"{self.container_state(container_id)}/{LAUNCH_INFO}"

    def limits(self, container_id: ContainerId) -> str:
        """Those in force since the last update."""
        return f"{self.container_state(container_id)}/limits.json"

    def reached(self, container_id: ContainerId) -> str:
        return os.path.join(self.container_state(container_id), "reached")

    def exit_status(self, container_id: ContainerId) -> str:
        return f"{self.container_state(container_id)}/{EXIT_STATUS}"

    def attach_socket(self, container_id: ContainerId) -> str:
        return f"{self.container_state(container_id)}/attach.sock"

    def volumes_of(self, container_id: ContainerId) -> str:
        return f"{self.container_state(container_id)}/volumes.json"

    def checks(self, container_id: ContainerId) -> str:
        return os.path.join(self.container_state(container_id), "checks.json")

    def pod(self, container_id: ContainerId) -> str:
        return os.path.join(self.container_state(container_id), "pod.json")

    def pod_volume(self, container_id: ContainerId, name: str, *, in_memory: bool) -> str:
        around = self.container_state(container_id) if in_memory else self.sandbox(container_id)
        return os.path.join(around, "pod-volumes", name)

    def previous_log(self, container_id: ContainerId) -> str:
        """Of a pod's container: containerizer.pods.logs."""
        assert container_id.parent is not None
        return os.path.join(self.sandbox(container_id.parent), "previous-logs", container_id.name)

    def network_files(self, container_id: ContainerId) -> str:
        """Of one in networks: isolators.network.files."""
        return os.path.join(self.sandbox(container_id), "network")

    def log(self, container_id: ContainerId) -> str:
        return f"{self.sandbox(container_id)}/log"
