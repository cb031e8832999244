"""LaunchInfo: everything that the launcher does for one container, as plain data.

Each isolator returns a partial LaunchInfo; `launcher.merge` makes one of them by the rule that
each field carries. Only data crosses to the supervisor and the child: no code of an isolator runs
between clone and exec. Everything here turns into JSON and back unchanged.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any

from launcher.data import Data, Field, field, fields
from launcher.process_attributes import CpuAffinity, IoPriority, Nice, OomScoreAdj, Rlimit, Scheduler


class Merge(enum.Enum):
    """How the values of several isolators for one field become one."""

    OWNER = "one isolator sets it; a second one is a conflict unless the values are equal"
    APPEND = "sequences are joined in the isolators' order, equal items kept once"
    DISJOINT = "mappings are joined; one key with two different values is a conflict"
    BY_TARGET = "mounts are joined in order; two different mounts on one target are a conflict"


def _field(rule: Merge, decode: Callable[[Any], Any] | None = None, **default: Any) -> Any:
    return field(metadata={"merge": rule, "decode": decode}, **default)


def _owned(decode: Callable[[Any], Any] | None = None) -> Any:
    return _field(Merge.OWNER, decode, default=None)


def _appended(decode: Callable[[Any], Any] | None = None) -> Any:
    return _field(Merge.APPEND, decode or tuple, default=())


def _disjoint(decode: Callable[[Any], Any] | None = None) -> Any:
    return _field(Merge.DISJOINT, decode, default_factory=dict)


class MemoryFile(Data, kw_only=True):
    """A file in memory only, and never swapped: launcher/memory_files.py. No text shows its content."""

    content: str  # base64
    mode: int = 0o444
    uid: int = 0  # in the container
    gid: int = 0

    def __repr__(self) -> str:
        return f"MemoryFile(mode={self.mode:o}, uid={self.uid}, gid={self.gid})"


class IdMapping(Data):
    """A range of user or group ids: `count` of them, from `inside` the container and `outside` it."""

    inside: int
    outside: int
    count: int

    @classmethod
    def decode(cls, value: dict[str, int]) -> IdMapping:
        return cls(**value)


class Owners(Data, kw_only=True):
    """Whose the files of a mount are, by an idmapped mount: mount_setattr(2). On disk they are `inside`."""

    uids: tuple[IdMapping, ...] = ()  # (): as the container's user namespace maps them, if it has one
    gids: tuple[IdMapping, ...] = ()
    relative: bool = True  # `outside` are the container's ids, not the host's

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Owners:
        maps = {name: tuple(map(IdMapping.decode, value.get(name, ()))) for name in ("uids", "gids")}
        return cls(**{**value, **maps})


class Mount(Data, kw_only=True):
    """One mount, as data. The child makes it inside the container's own mount namespace."""

    target: str  # absolute; inside the root filesystem, where a missing target is created
    fstype: str  # "bind" (one mount), "rbind" (the tree under it), or a filesystem's name
    source: str = ""  # bind: a path of the host; otherwise what shows in /proc/mounts
    flags: tuple[str, ...] = ()  # "ro", "nosuid", "nodev", "noexec", "relatime" …: kernel.mounts
    options: tuple[tuple[str, str], ...] = ()  # the filesystem's own; a key may come repeatedly
    part: str = ""  # bind, overlay: what of it, a directory, with that as the / of every link on the way
    within: str = ""  # bind: the mount namespace that source is in, by its path; "": the host's
    top_flags: tuple[str, ...] = ()  # rbind: further ones, not of what is mounted below
    propagation: str = ""  # bind: "slave" or "shared", of mounts that come later; "": they do not follow
    owners: Owners | None = None  # bind, overlay: None: those on disk
    populate: bool = False  # bind of a fresh volume: first copy in what the image has at target
    once: str = ""  # populate, unless this file says that it was done; it is locked meanwhile
    chown: bool = False  # bind: first give all in it to the task's user
    file: MemoryFile | None = None  # what is mounted, in the place of `source`; fstype "ramfs"

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Mount:
        value = dict(value)
        value["flags"] = tuple(value.get("flags", ()))
        value["top_flags"] = tuple(value.get("top_flags", ()))
        value["options"] = tuple((key, text) for key, text in value.get("options", ()))
        if value.get("file") is not None:
            value["file"] = MemoryFile(**value["file"])
        if "owners" in value:
            value["owners"] = Owners.decode(value["owners"])
        return cls(**value)


class FileOperation(Data, kw_only=True):
    """One file or symbolic link made in the root filesystem after the mounts."""

    kind: str  # "symlink": path → content; "write": content becomes the file at path
    path: str  # absolute, inside the root filesystem; never followed out of it
    content: str
    mode: int = 0o644  # of a written file

    @classmethod
    def decode(cls, value: dict[str, Any]) -> FileOperation:
        return cls(**value)


class Hook(Data, kw_only=True):
    """A program to run at a point of the container's life: launcher/hooks.py."""

    point: str
    path: str  # absolute; of the host, but for "startContainer", of the container
    argv: tuple[str, ...] = ()  # with argv[0]; (): the path
    environment: tuple[str, ...] = ()  # "NAME=VALUE"
    timeout: float | None = None  # seconds; None: none

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Hook:
        lists = {name: tuple(value.get(name, ())) for name in ("argv", "environment")}
        return cls(**{**value, **lists})


class Capabilities(Data, kw_only=True):
    """The five sets of capabilities(7), by name (`CAP_CHOWN`), for a task that runs as root.

    For another user the child lowers effective and permitted to what execve(2) would leave.
    """

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Capabilities:
        return cls(**{name: tuple(names) for name, names in value.items()})


class SeccompListener(Data, kw_only=True):
    """Who answers what a filter asks about: launcher/seccomp_listener.py."""

    path: str  # of a Unix socket of the host, without symbolic links on the way
    metadata: str | None = None  # told to it

    @classmethod
    def decode(cls, value: dict[str, Any]) -> SeccompListener:
        return cls(**value)


def _each(decode: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda values: tuple(decode(value) for value in values)


def _each_value(decode: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda values: {key: decode(value) for key, value in values.items()}


class LaunchInfo(Data, kw_only=True):
    """What to do between clone and exec. A default means "nothing asked"."""

    # The task. `user` is "name|uid[:group|gid]", resolved by the child from the image's own files.
    argv: tuple[str, ...] | None = _owned(tuple)
    environment: Mapping[str, str] = _disjoint()
    environment_edits: Mapping[str, str] = _disjoint()  # variables that win over `environment`
    secret_environment: Mapping[str, str] = _disjoint()  # wins over it; in no checkpoint
    search_paths: Mapping[str, str] = _disjoint()  # variable → directories that come first in it
    working_directory: str | None = _owned()  # absolute, in the container; created when missing
    user: str | None = _owned()
    additional_gids: tuple[int, ...] = _appended()  # groups of the user's besides those of the image
    image_groups: bool | None = _owned()  # whether it has those; None: unless `user` names a group
    stop_signal: str | None = _owned()  # what asks the task to end, e.g. "SIGTERM"

    init: bool | None = _owned()  # PID 1 is launcher.init, and the task its child
    pause: bool | None = _owned()  # there is no other task: PID 1 collects what ends, until it is killed

    # Namespaces: kind as under /proc/self/ns → "new", or the path of the one to join; the forms are in
    # launcher/namespaces.py. A kind that is not named is the host's.
    namespaces: Mapping[str, str] = _disjoint()
    uid_map: tuple[IdMapping, ...] | None = _owned(_each(IdMapping.decode))  # of "user"; 0 is inside
    gid_map: tuple[IdMapping, ...] | None = _owned(_each(IdMapping.decode))
    idmapped_paths: tuple[str, ...] = _appended()  # host directories whose owners "user" maps
    time_offsets: Mapping[str, int] = _disjoint()  # of a new "time": clock → seconds; time_namespaces(7)
    hostname: str | None = _owned()  # needs a new "uts"

    interfaces_up: tuple[str, ...] = _appended()  # network devices to bring up in a new "net"

    # Cgroups: directories in cgroupfs that an isolator has made.
    cgroups_v1: tuple[str, ...] = _appended()  # the child joins each of them
    cgroup_v2: str | None = _owned()  # the child is cloned into it

    # Devices that the task may use, as in devices.list of cgroup v1, e.g. "c 10:229 rw". The launcher does
    # nothing with them: they are for the isolators that prepare later (ContainerConfig.granted_devices).
    devices: tuple[str, ...] = _appended()

    # The filesystem. Without `rootfs` the task sees the host's, in its own mount namespace.
    rootfs: str | None = _owned()  # host directory that becomes /
    rootfs_mounts: tuple[Mount, ...] = _appended(_each(Mount.decode))  # targets are host paths
    mounts: tuple[Mount, ...] = _field(Merge.BY_TARGET, _each(Mount.decode), default=())
    file_operations: tuple[FileOperation, ...] = _appended(_each(FileOperation.decode))
    masked_paths: tuple[str, ...] = _appended()  # hidden from the task; missing ones are skipped
    readonly_paths: tuple[str, ...] = _appended()  # made read-only; missing ones are skipped
    readonly_rootfs: bool | None = _owned()

    # Programs of others: launcher/hooks.py.
    hooks: tuple[Hook, ...] = _appended(_each(Hook.decode))
    bundle: str | None = _owned()  # the directory that hooks are told, with a config.json

    # Shields.
    capabilities: Capabilities | None = _owned(Capabilities.decode)  # None: keep the launcher's
    no_new_privileges: bool | None = _owned()
    seccomp: str | None = _owned()  # base64 of the program for launcher.kernel.seccomp; None: no filter
    apparmor: str | None = _owned()  # a profile
    selinux: str | None = _owned()  # a label
    seccomp_flags: int | None = _owned()  # of seccomp(2), with the filter
    seccomp_listener: SeccompListener | None = _owned(SeccompListener.decode)  # of one that asks

    # Process attributes: `launcher.process_attributes` has their units and ranges.
    rlimits: Mapping[str, Rlimit] = _disjoint(_each_value(Rlimit.decode))  # "nofile" …: setrlimit(2)
    oom_score_adj: OomScoreAdj | None = _owned(OomScoreAdj.decode)  # None: the launcher's, at least 0
    nice: Nice | None = _owned(Nice.decode)
    scheduler: Scheduler | None = _owned(Scheduler.decode)
    io_priority: IoPriority | None = _owned(IoPriority.decode)
    cpu_affinity: CpuAffinity | None = _owned(CpuAffinity.decode)
    umask: int | None = _owned()  # None: 0o022
    personality: str | None = _owned()  # words of PERSONALITIES, separated by commas
    sysctls: Mapping[str, str] = _disjoint()  # each needs its kind of namespace new: kernel.sysctl

    def asked(self) -> dict[str, Any]:
        """The fields that differ from their default, by name."""
        return _asked(self)

    def to_json(self, without: Collection[str] = ()) -> dict[str, Any]:
        """A value for json.dumps with only what was asked; `from_json` is its inverse.

        `without`: fields that are left out, as if nobody had asked for them.
        """
        return {name: _encode(item) for name, item in _asked(self).items() if name not in without}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LaunchInfo:
        """Raises TypeError for a field that this version does not know."""
        return cls(**{name: _decode(name, item) for name, item in value.items()})


FIELDS: Mapping[str, Field] = {f.name: f for f in fields(LaunchInfo)}


def _asked(item: Data) -> dict[str, Any]:
    defaults = item.__defaults__
    return {
        name: value
        for name, value in item.__dict__.items()
        if value is not defaults[name] and value != {} and value != defaults[name]
    }


def _encode(value: Any) -> Any:
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, Data):
        return {name: _encode(item) for name, item in _asked(value).items()}
    if isinstance(value, tuple):
        return [item if type(item) is str else _encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    return value


def _decode(name: str, item: Any) -> Any:
    decode = FIELDS[name].metadata["decode"] if name in FIELDS else None
    return decode(item) if decode and item is not None else item
