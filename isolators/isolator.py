"""The contract between the containerizer and its isolators, and the data that crosses it.

An isolator limits or shields one thing. The containerizer calls it with plain synchronous
functions, in the catalog's order (clean-up in reverse), never two at once for one container:

    recover   when an agent starts: remove what is of no container any more
    check     before anything is touched: refuse limits that make no sense here
    prepare   before the clone: `create` what it needs on the host, and say by `contribute`, as data,
              what the launcher has to do
    isolate   the child exists and is blocked: act on its pid from outside (attach networks …)
    watch     while it runs: what to poll to learn of a limit that was reached
              (`limitation` is asked after the end, where nobody has watched)
    reached   while it runs and after its end: the limits that it ran into and goes on within
    update    change the limits of a running container
    usage     what the container consumes now
    processes which processes are the container's
    status    facts about it that others ask for (its cgroups, its addresses)
    pause     stop every process, until `resume`; at most one loaded isolator can
    kill      end every process of the container that can be found
    cleanup   after the task's end; idempotent, and unknown ids are fine
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from isolators.flags import DEFAULT_CGROUPS_ROOT as DEFAULT_CGROUPS_ROOT
from isolators.flags import IsolatorFlags as IsolatorFlags
from isolators.networks import NetworkRequest
from isolators.resources import Limitation, ProcessAttributes, Resources, Usage
from launcher.container_id import ContainerId
from launcher.data import Data, field
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.launch_info import IdMapping, LaunchInfo, Mount
from launcher.namespaces import NEW

if TYPE_CHECKING:
    from isolators.devices import Device
    from isolators.secrets import SecretReference
    from isolators.volumes import Volume

# A procfs shows the PID namespace of whoever mounts it, so the child mounts its own: pid_namespaces(7).
# Shared, since both filesystem/linux and namespaces/pid need it: two equal mounts are no conflict.
PROC_MOUNT = Mount(target="/proc", fstype="proc", source="proc", flags=("nosuid", "nodev", "noexec"))

# Profiles of seccomp, in Docker's words; the latter of AppArmor, too.
BUILTIN_SECCOMP = "builtin"
UNCONFINED = "unconfined"

OF_HOST = "host"  # a namespace: the host's own

MAX_HOSTNAME = 64  # bytes: HOST_NAME_MAX of sethostname(2)

# Fields of ContainerConfig that some isolator has to enforce.
_ASKED = (
    "apparmor",
    "selinux",
    "userns",
    "time_offsets",
    "devices",
    "cdi_devices",
    "hooks_dirs",
    "environment_secrets",
)

_HOSTNAME = r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?"


class IsolatorUnavailable(ContainerizerError):
    """This host lacks what the isolator needs; the message names both."""


class Parent(Data, kw_only=True):
    """The container around a nested one: what is the nested one's too, where no isolator says otherwise."""

    namespaces: Mapping[str, str] = field(default_factory=dict)  # kind → path; those of the host are left out
    uid_map: tuple[IdMapping, ...] | None = None
    gid_map: tuple[IdMapping, ...] | None = None
    hostname: str | None = None
    first: int = 1  # its first process, as its own PID namespace counts
    cgroups_v1: tuple[str, ...] = ()  # that it is in, its own or those of one around it
    cgroup_v2: str | None = None


class ContainerConfig(Data, kw_only=True):
    """One container as requested, in the words of this project: the input to `prepare`.

    The edge that took the request fills it; the provisioner's results are added before `prepare`.
    """

    command: tuple[str, ...] = ()  # replaces the image's Cmd
    entrypoint: tuple[str, ...] | None = None  # replaces the image's Entrypoint; () removes it
    environment: Mapping[str, str] = field(default_factory=dict)  # wins over the image's
    secret_environment: Mapping[str, str] = field(default_factory=dict)  # wins over both
    environment_secrets: Mapping[str, SecretReference] = field(default_factory=dict)  # likewise, by reference
    user: str | None = None  # "name|uid[:group|gid]"; wins over the image's
    additional_gids: tuple[int, ...] = ()  # groups of the user's besides those of the image
    image_groups: bool | None = None  # whether the user has those; None: unless `user` names a group
    working_directory: str | None = None  # wins over the image's
    hostname: str | None = None  # None: the container's id
    hosts: tuple[tuple[str, str], ...] = ()  # address and name, further lines of /etc/hosts
    stop_signal: str | None = None  # wins over the image's
    idmapped: tuple[str, ...] = ()  # directories of the host whose owners its user namespace maps, too
    userns: str | None = None  # "auto", "subuid:NAME", "START[:COUNT]"; None: no user namespace
    time_offsets: Mapping[str, int] = field(default_factory=dict)  # "monotonic", "boottime" → seconds
    # Kind as below /proc/<pid>/ns → "new", "host", "container:NAME" (a path by the time of `prepare`), or the
    # path of one that is there. A kind that is not named is as the isolators make it.
    namespaces: Mapping[str, str] = field(default_factory=dict)
    init: bool = False  # PID 1 is ours: it collects orphans and hands signals on to the task
    pause: bool = False  # PID 1 is ours, and all there is: it holds namespaces for others; no command
    readonly_rootfs: bool = False
    resources: Resources = Resources()
    capabilities_add: tuple[str, ...] = ()  # names with or without "CAP_", or "ALL"
    capabilities_drop: tuple[str, ...] = ()
    capabilities_ambient: tuple[str, ...] = ()  # of those granted, what other users than root keep
    no_new_privileges: bool = True
    # Or UNCONFINED: every system call; or a profile's JSON, its absolute path, or its name below the
    # operator's root, "localhost/NAME": by the time of `prepare` all of these are JSON.
    seccomp: str = BUILTIN_SECCOMP
    apparmor: str | None = None  # a profile that is loaded, or UNCONFINED; None: ours, where it can be had
    selinux: str | None = None  # a label, "user:role:type:level"
    masked_paths: tuple[str, ...] | None = None  # None: filesystem/linux's, as for the next
    readonly_paths: tuple[str, ...] | None = None
    writable_sysfs: bool = False  # whether /sys, and its cgroups there, may be written to
    cgroup_parent: str | None = None  # of its cgroups, below each mount point; None: the cgroups root
    attributes: ProcessAttributes = ProcessAttributes()
    devices: tuple[Device, ...] = ()  # of the host's, by their paths
    cdi_devices: tuple[str, ...] = ()  # by names of CDI, "vendor.com/class=device"
    hooks_dirs: tuple[str, ...] = ()  # directories of hooks, after those of the operator
    umask: int | None = None  # None: 0o022
    personality: str | None = None  # words of launcher.process_attributes.PERSONALITIES, with commas
    networks: NetworkRequest = NetworkRequest()
    listen_ports: str | None = None  # TCP ports that it may listen on, "8000-8010,9000"; None: all
    volumes: tuple[Volume, ...] = ()  # each kind is served by an isolator of its own: isolators.volumes
    share_cgroups: bool = False  # a nested one: it is in its parent's cgroups, and none are its own

    # Added by the containerizer.
    parent: Parent | None = None  # of a nested container
    network_files: str | None = None  # directory with hosts and resolv.conf of the network that it shares
    sandbox: str = ""  # the container's own directory on the host, removed with it
    rootfs: str | None = None  # where the root filesystem will be mounted; None: the host's own
    rootfs_mounts: tuple[Mount, ...] = ()  # what makes it, from the provisioner
    rootfs_inside: tuple[Mount, ...] = ()  # what belongs to it besides; mounted in it before all others
    image_layers: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # of image volumes, bottom first
    mounted: tuple[str, ...] = ()  # where the request mounts something itself, so that nobody else does
    image_config: Mapping[str, Any] | None = None  # "config" of the OCI image configuration
    granted_devices: tuple[str, ...] = ()  # LaunchInfo.devices of the isolators that have prepared already

    def asked(self) -> set[str]:
        """What of this some isolator has to enforce."""
        own = {name for name in _ASKED if getattr(self, name)}
        own -= {"apparmor"} if self.apparmor == UNCONFINED else set()
        if any(device.is_restricted for device in self.devices):
            own.add("device_access")
        if self.networks.names:
            own.add("usermode_network" if self.networks.usermode else "networks")
        own |= {"listen_ports"} if self.listen_ports is not None else set()
        own |= {volume.word for volume in self.volumes}
        return self.resources.asked() | self.attributes.asked() | own


def concerned(isolators: Sequence[Isolator], method: str) -> list[Isolator]:
    """Those of the isolators that have something to do there: the base's method does nothing."""
    return [each for each in isolators if getattr(type(each), method) is not getattr(Isolator, method)]


def shares(kind: str, config: ContainerConfig) -> bool:
    """Whether the request has its namespace of this kind from the host or from somebody else."""
    return config.namespaces.get(kind, NEW) != NEW


def joins(kind: str, config: ContainerConfig) -> bool:
    """Whether the request has its namespace of this kind from somebody else."""
    return shares(kind, config) and config.namespaces[kind] != OF_HOST


def has_own(kind: str, config: ContainerConfig) -> bool:
    """Whether it gets a namespace of this kind of its own; a nested container does if it asks for that."""
    return config.namespaces.get(kind) == NEW or (config.parent is None and not shares(kind, config))


def has_own_network(config: ContainerConfig) -> bool:
    """Whether it gets a network namespace of its own; a nested container does if it joins networks."""
    return bool(config.networks.names) or has_own("net", config)


def idmapped_paths(config: ContainerConfig) -> tuple[str, ...]:
    """The host's directories whose owners a user namespace maps: the container's own, and the image's."""
    options = (option for mount in config.rootfs_mounts for option in mount.options)
    return (config.sandbox, *(value for key, value in options if key == "lowerdir+"), *config.idmapped)


def hostname_of(container_id: ContainerId, config: ContainerConfig) -> str | None:
    """The container's host name: as requested, or else its own name; the host's with its UTS namespace.

    None if it is in somebody else's, whose name only the task will see. Raises InvalidRequest.
    """
    if config.parent is not None and not has_own("uts", config):
        if config.hostname is not None:
            hint = "leave out --hostname: it has its parent's; or give it a UTS namespace of its own"
            raise InvalidRequest("a nested container cannot have a host name of its own", hint=hint)
        return config.parent.hostname or container_id.lineage[0]
    if shares("uts", config):
        if config.hostname is not None:
            hint = "leave out --hostname, or give it a UTS namespace of its own"
            raise InvalidRequest("a container in another UTS namespace cannot have a host name", hint=hint)
        return None if joins("uts", config) else os.uname().nodename
    hostname = container_id.name if config.hostname is None else config.hostname
    if config.hostname is not None and (
        not re.fullmatch(_HOSTNAME, hostname) or len(hostname) > MAX_HOSTNAME
    ):
        raise InvalidRequest(
            f"invalid host name {hostname!r}",
            hint=f"use at most {MAX_HOSTNAME} letters, digits, '_', '-' or '.'",
        )
    return hostname


class Watch:
    """Tells when a limit was reached. The containerizer polls `fileno()` and then asks `check()`.

    `check` never blocks, may be called at any time before `cleanup`, and is called once more after
    the task has ended: the kernel kills faster than anyone polls. It returns a limit that ends the
    container each time, and one that does not (`fatal`) only once: it is called again until there is
    no further one. What has nothing left to tell must not poll ready again and again.
    """

    # Fields of Resources: of their limits `check` has told, when it has no more to tell, all that is counted.
    tells: frozenset[str] = frozenset()

    def fileno(self) -> int | None:
        """A descriptor that polls readable or exceptional; None where there is nothing to wait for."""
        return None

    def due(self) -> float | None:
        """For who can wait for a time, too: when to ask, by time.monotonic(); nothing to poll until then."""
        return None

    def check(self) -> Limitation | None:
        raise NotImplementedError

    def close(self) -> None:
        """Give back the descriptor. Idempotent."""


class Need(Data):
    """Something the host must have for an isolator to work."""

    what: str  # "cgroup controller memory"
    present: Callable[[], bool]  # cheap, touches nothing
    mend: str  # how the operator provides it
    optional: bool = False  # hardware that most hosts do without: no defect of theirs


class Isolator:
    """The base of every isolator; each method's default does nothing.

    Created once a containerizer, after its needs were found present. Keeps no state that it could
    derive from the container's id: the agent may die at any moment.
    """

    name: ClassVar[str]  # the flag, and the path of its file
    needs: ClassVar[Sequence[Need]] = ()
    requires: ClassVar[tuple[str, ...]] = ()  # other isolators without which it makes no sense
    launchers: ClassVar[tuple[str, ...]] = ("linux",)  # those that can do what it asks
    enforces: ClassVar[frozenset[str]] = frozenset()  # fields of Resources and ProcessAttributes
    # No `watch` for a launch that asks for none of `enforces`, nor before it has run for a second: what it
    # would tell ends nothing, and `reached` tells it in the end.
    watches_what_is_asked: ClassVar[bool] = False
    # It overrides `prepare`, but only for launches that ask for some of `enforces`: others may be alike.
    prepares_what_is_asked: ClassVar[bool] = False
    makes_every_cgroup: ClassVar[bool] = False  # whether `create` makes the container's in each hierarchy
    stays = False  # whether `close` will be called in the end
    pauses: ClassVar[bool] = False  # whether it has pause, resume and paused
    keeps_cgroups: ClassVar[bool] = False  # of no use for a container that shares its parent's

    def __init__(self, flags: IsolatorFlags) -> None:
        self.flags = flags

    def meet(self, isolators: Sequence[Isolator]) -> None:
        """Called once, with all that were loaded together, itself among them: they serve the same containers.

        What another one does anyway need not be done twice.
        """

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        """Remove what containers have left that are gone; what was, for people.

        Called when an agent starts, while other processes may launch: so look first at what there is,
        and then ask of each container; its name is taken before anything is made for it. What may be of
        another state directory's containers is not to be touched. Containers that are there need nothing:
        an isolator has no state, and limits are watched again by `watch`. Raises ContainerizerError.
        """
        return ()

    def check(self, resources: Resources) -> None:
        """Refuse limits that make no sense or that this host does not have; of a launch and of an update.

        Touches nothing. Raises InvalidRequest.
        """

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """Called once, and never for a dry run. Raises ContainerizerError.

        To be overridden where what the launcher has to do is not known before it was made, such as
        which of several free things the container got. Then every launch asks.
        """
        self.create(container_id, config)
        return self.contribute(container_id, config)

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        """Make what the container needs on the host, for `cleanup` to remove. Raises ContainerizerError."""

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """What the launcher has to do, without touching the host: also what `plan` prints.

        The same for equal arguments, as long as the isolator lives: launches that are alike but for
        their names are asked for once (containerizer/kinds.py). Raises ContainerizerError.
        """
        return LaunchInfo()

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        """Act on the blocked child from outside. `pid` is the host's."""

    def watch(self, container_id: ContainerId) -> Watch | None:
        """What to poll for limits, once the task runs; None when nothing can be reported."""
        return None

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        """The limit that the container ran into, by what is left of it between its end and `cleanup`.

        For who was not there to `watch`. Unknown ids are fine.
        """
        return None

    def reached(self, container_id: ContainerId) -> Sequence[Limitation]:
        """The limits, each once, that it ran into so far and goes on within, by what is counted of them.

        Asked between the launch and `cleanup`, where something that it `enforces` is limited. None is fatal.
        Unknown ids are fine.
        """
        return ()

    def update(self, container_id: ContainerId, resources: Resources) -> None:
        """Apply new limits to a running container; they have been checked."""

    def usage(self, container_id: ContainerId) -> Usage:
        """What the container consumes now; only the fields that this isolator measures are set."""
        return Usage()

    def processes(self, container_id: ContainerId) -> list[int] | None:
        """The pids, on the host, of all its processes; None where the isolator does not know them."""
        return None

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        """Facts by name, ready for JSON."""
        return {}

    def pause(self, container_id: ContainerId) -> None:
        """Stop every process; returns when all stand still. Idempotent."""
        raise NotImplementedError

    def resume(self, container_id: ContainerId) -> None:
        """Let them go on. Idempotent."""
        raise NotImplementedError

    def paused(self, container_id: ContainerId) -> bool:
        """Whether `pause` was the last of the two."""
        raise NotImplementedError

    def kill(self, container_id: ContainerId, timeout: float) -> None:
        """End every process of the container that this isolator can find, paused ones and such as fork too.

        Returns when they have ended; unknown ids are fine. Raises ContainerizerError naming those that
        have not after `timeout` seconds.
        """

    def cleanup(self, container_id: ContainerId) -> None:
        """Remove everything that `prepare` and `isolate` made.

        Called after the task has ended; what it has left where nobody else could end it is killed.
        """

    def close(self) -> None:
        """Remove what containers have shared, unless some still do. Part of each `cleanup`, or if it
        `stays` called in the end.
        """
