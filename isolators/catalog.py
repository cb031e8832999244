"""The catalog: every isolator by its name, in the order in which they prepare.

A module is imported when its isolator is asked for. An isolator of another distribution is found by
its entry point in the group `containerizer.isolators`; its name there is the flag.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence

from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, IsolatorUnavailable, Need
from launcher.data import Data
from launcher.errors import InvalidRequest
from launcher.kernel import process

ENTRY_POINTS = "containerizer.isolators"

# Name → where. Preparation goes down this table, clean-up goes up.
TABLE: Mapping[str, str] = {
    # Before all others, so its clean-up, which runs hooks of containers that are gone, is the last.
    "hooks/oci": "isolators.hooks.oci:HooksOci",
    # Likewise: who is called before all others is called after them at the end.
    "hooks/python": "isolators.hooks.python:HooksPython",
    # First: what others mount, they mount in this root file system and after its /dev.
    "filesystem/linux": "isolators.filesystem.linux:FilesystemLinux",
    # After the standard mounts: an image's volume may lie below none of them.
    "docker/runtime": "isolators.docker.runtime:DockerRuntime",
    # In this order they take what they need; where they are mounted goes by the places alone.
    "volume/sandbox_path": "isolators.volume.sandbox_path:VolumeSandboxPath",
    "volume/named": "isolators.volume.named:VolumeNamed",
    "volume/host_path": "isolators.volume.host_path:VolumeHostPath",
    "volume/image": "isolators.volume.image:VolumeImage",
    # Mounts the driver over what the image's volumes have there.
    "docker/volume": "isolators.docker.volume:DockerVolume",
    "volume/csi": "isolators.volume.csi:VolumeCsi",
    "volume/secret": "isolators.volume.secret:VolumeSecret",
    "gpu/nvidia": "isolators.gpu.nvidia:GpuNvidia",
    "linux/devices": "isolators.linux.devices:LinuxDevices",
    "namespaces/pid": "isolators.namespaces.pid:PidNamespace",
    "namespaces/ipc": "isolators.namespaces.ipc:IpcNamespace",
    "namespaces/uts": "isolators.namespaces.uts:UtsNamespace",
    "namespaces/cgroup": "isolators.namespaces.cgroup:CgroupNamespace",
    "namespaces/user": "isolators.namespaces.user:UserNamespace",
    "namespaces/time": "isolators.namespaces.time:TimeNamespace",
    # Before the cgroups, whose numbers are better.
    "posix/cpu": "isolators.posix.cpu:PosixCpu",
    "posix/mem": "isolators.posix.mem:PosixMem",
    "cgroups/cpu": "isolators.cgroups.cpu:CgroupsCpu",
    "cgroups/mem": "isolators.cgroups.mem:CgroupsMem",
    "cgroups/pids": "isolators.cgroups.pids:CgroupsPids",
    "cgroups/cpuset": "isolators.cgroups.cpuset:CgroupsCpuset",
    "cgroups/hugetlb": "isolators.cgroups.hugetlb:CgroupsHugetlb",
    # After those that give devices.
    "cgroups/devices": "isolators.cgroups.devices:CgroupsDevices",
    "cgroups/net_cls": "isolators.cgroups.net_cls:CgroupsNetCls",
    "cgroups/net_prio": "isolators.cgroups.net_prio:CgroupsNetPrio",
    "cgroups/perf_event": "isolators.cgroups.perf_event:CgroupsPerfEvent",
    # The last of the cgroups, so the first to kill: what it has frozen does not fork meanwhile.
    "cgroups/freezer": "isolators.cgroups.freezer:CgroupsFreezer",
    # But after it: who waits for its turn at a disk neither freezes nor ends before it had it.
    "cgroups/blkio": "isolators.cgroups.blkio:CgroupsBlkio",
    "cgroups/pressure": "isolators.cgroups.pressure:CgroupsPressure",
    "disk/du": "isolators.disk.du:DiskDu",
    "disk/xfs": "isolators.disk.xfs:DiskXfs",
    "disk/ext4": "isolators.disk.ext4:DiskExt4",
    "linux/capabilities": "isolators.linux.capabilities:LinuxCapabilities",
    "linux/nnp": "isolators.linux.nnp:LinuxNnp",
    "linux/seccomp": "isolators.linux.seccomp:LinuxSeccomp",
    "linux/apparmor": "isolators.linux.apparmor:LinuxApparmor",
    "linux/selinux": "isolators.linux.selinux:LinuxSelinux",
    "linux/oom": "isolators.linux.oom:LinuxOom",
    "linux/sched": "isolators.linux.sched:LinuxSched",
    "linux/sysctls": "isolators.linux.sysctls:LinuxSysctls",
    "posix/rlimits": "isolators.posix.rlimits:PosixRlimits",
    "environment_secret": "isolators.environment_secret:EnvironmentSecret",
    "network/loopback": "isolators.network.loopback:NetworkLoopback",
    # Last, so the first to clean up, while what the plug-ins may ask for is still there.
    "network/cni": "isolators.network.cni:NetworkCni",
    "network/usermode": "isolators.network.usermode:NetworkUsermode",
    "network/ports": "isolators.network.ports:NetworkPorts",
}

# Name → what the names of those begin with that it stands for, as far as this host can do that.
ALIASES: Mapping[str, str] = {"cgroups/all": "cgroups/"}

LAUNCHERS = ("linux", "posix")

DEFAULT_POSIX = ("posix/cpu", "posix/mem", "posix/rlimits")  # what the posix launcher can do

DEFAULT = (
    "filesystem/linux",
    "docker/runtime",
    "namespaces/pid",
    "namespaces/ipc",
    "namespaces/uts",
    "namespaces/cgroup",
    "cgroups/cpu",
    "cgroups/mem",
    "cgroups/pids",
    "cgroups/freezer",
    "linux/capabilities",
    "linux/nnp",
    "linux/seccomp",
    "linux/oom",
    "linux/sched",
    "linux/sysctls",
    "posix/rlimits",
    "network/loopback",
)

# Besides, where the kernel shows its profiles: there other tools confine their containers, too.
DEFAULT_IF_THERE = "linux/apparmor"
_APPARMOR_PROFILES = "/sys/kernel/security/apparmor/profiles"

# What some requests ask for → who enforces it. Too rare to cost every container a launch step: loaded
# beside the default ones where it is asked for, and nobody has named isolators.
ON_DEMAND: Mapping[str, str] = {
    "cpuset_cpus": "cgroups/cpuset",
    "cpuset_mems": "cgroups/cpuset",
    "cpuset_count": "cgroups/cpuset",
    "cpuset_exclusive": "cgroups/cpuset",
    "device_read_bps": "cgroups/blkio",
    "device_write_bps": "cgroups/blkio",
    "device_read_iops": "cgroups/blkio",
    "device_write_iops": "cgroups/blkio",
    "blkio_weight": "cgroups/blkio",
    "hugetlb": "cgroups/hugetlb",
    "userns": "namespaces/user",
    "time_offsets": "namespaces/time",
    "apparmor": "linux/apparmor",
    "selinux": "linux/selinux",
    "gpus": "gpu/nvidia",
    "devices": "linux/devices",
    "cdi_devices": "linux/devices",
    "hooks_dirs": "hooks/oci",
    "net_priorities": "cgroups/net_prio",
    "device_rules": "cgroups/devices",
    "device_access": "cgroups/devices",
    "networks": "network/cni",
    "usermode_network": "network/usermode",
    "host_path_volumes": "volume/host_path",
    "named_volumes": "volume/named",
    "sandbox_volumes": "volume/sandbox_path",
    "image_volumes": "volume/image",
    "listen_ports": "network/ports",
    "disk": "disk/du",
    "pressure": "cgroups/pressure",
    "docker_volumes": "docker/volume",
    "csi_volumes": "volume/csi",
    "secret_volumes": "volume/secret",
    "environment_secrets": "environment_secret",
}

# What a program's containerizer loads besides, which does not know yet what it will be asked for.
VOLUMES = ("volume/sandbox_path", "volume/named", "volume/host_path", "volume/image")

# Who gives devices → who keeps the container from others; loaded with it on demand, if the host can do that.
COMPANIONS: Mapping[str, str] = {
    "gpu/nvidia": "cgroups/devices",
    "linux/devices": "cgroups/devices",
}

# The same for a namespace of this kind that a request names.
ON_DEMAND_KINDS: Mapping[str, str] = {"user": "namespaces/user", "time": "namespaces/time"}


class UnknownIsolator(InvalidRequest):
    """No isolator has this name."""


class NeedStatus(Data, kw_only=True):
    """A need, and whether this host meets it."""

    what: str
    present: bool
    mend: str
    optional: bool = False  # most hosts do without


class Description(Data, kw_only=True):
    """What people want to know of an isolator before they load it."""

    name: str
    summary: str
    needs: tuple[NeedStatus, ...]
    requires: tuple[str, ...]
    enforces: tuple[str, ...]

    @property
    def available(self) -> bool:
        return all(need.present for need in self.needs)


def load(
    names: Sequence[str], flags: IsolatorFlags, launcher: str = "linux", *, launched: bool = False
) -> list[Isolator]:
    """The isolators of these names, in the table's order; those of others last, in the order given.

    One of ALIASES stands for those of its names that are not named besides.

    `launched`: for a container that has been launched with them. What they need may have gone since, and what
    they gave has to be taken back all the same.
    Raises UnknownIsolator, IsolatorUnavailable, and InvalidRequest for a name that comes twice or
    without one that it requires, or that the launcher cannot serve.
    """
    _reject_repeated(names)
    names = _expanded(names)
    classes = _classes(names)
    for isolator_class in () if launched else classes:
        _check_launcher(isolator_class, launcher)
        _check_required(isolator_class, names)
        _check_needs(isolator_class)
    isolators = [isolator_class(flags) for isolator_class in classes]
    for isolator in isolators:
        isolator.meet(isolators)
    return isolators


def defaults() -> tuple[str, ...]:
    """The default isolators; of an ordinary user those that work without the host's root."""
    if process.is_rootless():
        return tuple(name for name in DEFAULT if _is_available(name))
    return (*DEFAULT, DEFAULT_IF_THERE) if _confines_by_default() else DEFAULT


def _confines_by_default() -> bool:
    if not os.path.exists(_APPARMOR_PROFILES):
        return False
    from isolators.linux import apparmor  # which most hosts have no use for

    return _is_available(DEFAULT_IF_THERE) and apparmor.confines_by_default()


def default_for(config: ContainerConfig, launcher: str = "linux") -> tuple[str, ...]:
    """The launcher's default isolators, and those that the request needs besides, if it can serve them."""
    own = defaults() if launcher == "linux" else DEFAULT_POSIX
    return tuple(dict.fromkeys((*own, *on_demand(config, launcher))))


def on_demand(config: ContainerConfig, launcher: str = "linux") -> list[str]:
    """Those that the request needs besides the default ones, if the launcher can serve them."""
    needed = [ON_DEMAND[asked] for asked in sorted(config.asked() & ON_DEMAND.keys())]
    if launcher != "linux":
        return [name for name in needed if launcher in _imported(TABLE[name]).launchers]
    needed += [ON_DEMAND_KINDS[kind] for kind in config.namespaces if kind in ON_DEMAND_KINDS]
    needed += [COMPANIONS[name] for name in needed if name in COMPANIONS and _is_available(COMPANIONS[name])]
    return needed


def _is_available(name: str) -> bool:
    return all(need.present() for need in _imported(TABLE[name]).needs)


def third_party() -> list[str]:
    """The names of those that other distributions have brought."""
    from importlib import metadata

    return sorted(point.name for point in metadata.entry_points(group=ENTRY_POINTS))


def describe(names: Iterable[str] = TABLE) -> list[Description]:
    """What the isolators are, and whether this host has what they need. Raises UnknownIsolator."""
    return [_describe(isolator_class) for isolator_class in _classes(list(names))]


def _expanded(names: Sequence[str]) -> Sequence[str]:
    for alias, beginning in ALIASES.items():
        if alias in names:
            family = [name for name in TABLE if name.startswith(beginning)]
            added = [name for name in family if name not in names and _is_available(name)]
            names = [*(name for name in names if name != alias), *added]
    return names


def _reject_repeated(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"isolator {name} is named twice", hint="name each isolator once")


def _classes(names: Sequence[str]) -> list[type[Isolator]]:
    built_in = [_imported(TABLE[name]) for name in TABLE if name in names]
    return built_in + [_third_party(name) for name in names if name not in TABLE]


def _imported(place: str) -> type[Isolator]:
    module, _, attribute = place.partition(":")
    isolator_class: type[Isolator] = getattr(importlib.import_module(module), attribute)
    return isolator_class


def _third_party(name: str) -> type[Isolator]:
    import difflib
    from importlib import metadata  # 15 ms, and most know only the built-in ones

    found = metadata.entry_points(group=ENTRY_POINTS)
    for entry_point in found:
        if entry_point.name == name:
            isolator_class: type[Isolator] = entry_point.load()
            return isolator_class
    near = difflib.get_close_matches(name, [*TABLE, *ALIASES, *found.names], n=2, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise UnknownIsolator(
        f"unknown isolator {name!r}", hint=f"{guess}`containerizer isolators` lists them all"
    )


def _check_launcher(isolator_class: type[Isolator], launcher: str) -> None:
    if launcher not in isolator_class.launchers:
        raise InvalidRequest(
            f"isolator {isolator_class.name} does not work with the {launcher} launcher",
            hint=f"leave it out, or use --launcher {' or '.join(isolator_class.launchers)}",
        )


def _check_required(isolator_class: type[Isolator], names: Sequence[str]) -> None:
    for required in isolator_class.requires:
        if required not in names:
            raise InvalidRequest(
                f"isolator {isolator_class.name} requires {required}, which is not loaded",
                hint=f"add {required} to --isolation",
            )


def _check_needs(isolator_class: type[Isolator]) -> None:
    for need in isolator_class.needs:
        if not need.present():
            raise IsolatorUnavailable(
                f"isolator {isolator_class.name} cannot work here: this host lacks {need.what}",
                hint=need.mend,
            )


def _describe(isolator_class: type[Isolator]) -> Description:
    return Description(
        name=isolator_class.name,
        summary=_summary(isolator_class),
        needs=tuple(_status(need) for need in isolator_class.needs),
        requires=isolator_class.requires,
        enforces=tuple(sorted(isolator_class.enforces)),
    )


def _status(need: Need) -> NeedStatus:
    return NeedStatus(what=need.what, present=need.present(), mend=need.mend, optional=need.optional)


def _summary(isolator_class: type[Isolator]) -> str:
    """The first line of the module's header, without the name that it starts with."""
    module = importlib.import_module(isolator_class.__module__)
    first = (module.__doc__ or isolator_class.__doc__ or "").strip().partition("\n")[0]
    return first.removeprefix(f"{isolator_class.name}: ")
