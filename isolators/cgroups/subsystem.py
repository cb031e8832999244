"""What the cgroup isolators share: where a container's cgroup is, its life, and v1's typed files.

    <mount point>/<cgroups root>/ct-web/ct-nginx        the cgroup of container `web.nginx`

The prefix keeps a container apart from the kernel's files: one may be named `tasks`. On v2 all
isolators share one hierarchy, on v1 those of co-mounted controllers do. So each of them creates and
removes the cgroup as if it were alone, and every one of these steps may be repeated. The child joins
by itself, before its first step: moving it from outside would take the kernel 5 to 25 ms.

With a root file system, the container's cgroup is bound read-only below /sys/fs/cgroup, where the
host has its hierarchy. That is what a mount of the hierarchy shows in a cgroup namespace, too; but
such a mount is a filesystem of its own, which the kernel looks for among those of all containers,
and whose caches each container's end has to pass by.

On v2 a cgroup that has children with controllers has no processes of its own: as soon as a nested
container is prepared, its parent's processes move into the parent's `leaf`. The limits stay above.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from isolators.cgroups import parents
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, IsolatorUnavailable, Need
from isolators.resources import Limitation, Resources
from launcher.container_id import ContainerId
from launcher.data import Data, replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups, freezer
from launcher.kernel.cgroups import CgroupError, Hierarchy
from launcher.launch_info import LaunchInfo, Mount

_PREFIX = "ct-"
_READ_ONLY = ("ro", "nosuid", "nodev", "noexec")


def controller_need(controller: str) -> Need:
    """The need for a hierarchy, of either version, that has the controller."""
    return Need(
        f"cgroup controller {controller}",
        lambda: cgroups.find(controller) is not None,
        f"mount -t cgroup -o {controller} cgroup /sys/fs/cgroup/{controller}, or boot with cgroup v2",
    )


def v1_need(controller: str) -> Need:
    """The need for a controller that v2 does not have, and many hosts do without."""
    return Need(
        f"cgroup controller {controller} (v1)",
        lambda: cgroups.find(controller) is not None,
        f"mount -t cgroup -o {controller} cgroup /sys/fs/cgroup/{controller}",
        optional=True,
    )


def permission_need(find: Callable[[], Iterable[Hierarchy]]) -> Need:
    """The need to be allowed to make cgroups in these hierarchies."""
    return Need(
        "permission to make cgroups",
        lambda: all(map(cgroups.is_ours, find())),
        "run it with sudo, or in a cgroup of your own: systemd-run --user --scope -p Delegate=yes …",
        optional=True,  # an ordinary user does without
    )


class CgroupIsolator(Isolator):
    """The base of the isolators in this directory; not an isolator itself."""

    controller: str  # as the hierarchy that `find` has found calls it
    companions: ClassVar[tuple[str, ...]] = ()  # v1 controllers to join as well, where they exist
    keeps_cgroups = True

    def __init_subclass__(cls) -> None:
        """All of them need what an ordinary user lacks."""

        def own() -> Iterable[Hierarchy]:
            found = cls.find(cgroups.MOUNTINFO)
            return () if found is None else (found,)

        cls.needs = (*cls.needs, permission_need(own))

    def __init__(self, flags: IsolatorFlags, mountinfo: str = cgroups.MOUNTINFO) -> None:
        super().__init__(flags)
        hierarchy = self.find(mountinfo)
        if hierarchy is None:
            need = self.needs[0]
            raise IsolatorUnavailable(f"isolator {self.name} lacks {need.what}", hint=need.mend)
        self.hierarchy = hierarchy
        self.others = {name: h for name in self.companions if (h := cgroups.find(name, mountinfo))}
        self.root = checked_root(flags.cgroups_root)
        self._hybrid = any(h.version == 1 for h in cgroups.hierarchies(mountinfo))
        self._are_made = False  # by another isolator, before

    # What an isolator of this family adds.

    @classmethod
    def find(cls, mountinfo: str) -> Hierarchy | None:
        """The hierarchy that can do what the isolator does."""
        return cgroups.find(cls.controller, mountinfo)

    def limit(self, cgroup: str, resources: Resources) -> None:
        """Make the cgroup's limits those of `resources`, higher or lower. Raises CgroupError."""
        raise NotImplementedError

    def fill(self, cgroup: str, config: ContainerConfig) -> None:
        """Make the new cgroup what the request asks for. Raises CgroupError."""
        self.limit(cgroup, config.resources)

    def passed(self, cgroup: str) -> Iterable[Limitation]:
        """What `reached` tells, by the files of the cgroup. Raises CgroupError."""
        return ()

    # The contract.

    def meet(self, isolators: Sequence[Isolator]) -> None:
        before = isolators[: isolators.index(self)]
        self._are_made = any(isolator.makes_every_cgroup for isolator in before)

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        return [each for _, h in self._hierarchies() for each in sweep(h, self.root, is_there, self.flags)]

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        path = path_of(self._root_of(container_id, config), container_id)
        directories = {os.path.join(h.mount_point, path): h.version for _, h in self._hierarchies()}
        return LaunchInfo(
            mounts=() if config.rootfs is None else self._mounts(path, writable=config.writable_sysfs),
            cgroups_v1=tuple(directory for directory, version in directories.items() if version == 1),
            cgroup_v2=next((directory for directory, version in directories.items() if version == 2), None),
        )

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        if config.cgroup_parent is not None:
            parents.note(self.flags, container_id, config.cgroup_parent)
        root = self._root_of(container_id)
        for controller, hierarchy in self._hierarchies():
            if hierarchy.version == 1 and self._are_made:
                continue
            if hierarchy.version == 2 and container_id.parent:
                _vacate(hierarchy, root, container_id.parent)
            cgroups.create(hierarchy, path_of(root, container_id), controller)
        self.fill(self.cgroup(container_id), config)

    def update(self, container_id: ContainerId, resources: Resources) -> None:
        self.limit(self.cgroup(container_id), resources)

    def reached(self, container_id: ContainerId) -> Sequence[Limitation]:
        try:
            return tuple(self.passed(self.cgroup(container_id)))
        except CgroupError as error:
            if not is_gone(error):
                raise
            return ()

    def processes(self, container_id: ContainerId) -> list[int] | None:
        return freezer.processes(self.cgroup(container_id))

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        return {f"{self.controller}_cgroup": self.cgroup(container_id)}

    def kill(self, container_id: ContainerId, timeout: float) -> None:
        path = self._path(container_id)
        for _, hierarchy in self._hierarchies():
            freezer.kill(f"{hierarchy.mount_point}/{path}", timeout)

    def cleanup(self, container_id: ContainerId) -> None:
        path = self._path(container_id)
        for _, hierarchy in self._hierarchies():
            _remove(f"{hierarchy.mount_point}/{path}")
        parents.forget(self.flags, container_id, path)
        if not self.stays:
            self.close()

    def close(self) -> None:
        for _, hierarchy in self._hierarchies():
            cgroups.remove_if_empty(os.path.join(hierarchy.mount_point, self.root))

    def cgroup(self, container_id: ContainerId, companion: str | None = None) -> str:
        """The directory of the container's cgroup, in the own hierarchy or in a companion's."""
        hierarchy = self.others[companion] if companion else self.hierarchy
        return f"{hierarchy.mount_point}/{self._path(container_id)}"

    def kept_in(self) -> list[Hierarchy]:
        """The hierarchies in which it makes and removes cgroups."""
        return [hierarchy for _, hierarchy in self._hierarchies()]

    def _path(self, container_id: ContainerId) -> str:
        return path_of(self._root_of(container_id), container_id)

    def _root_of(self, container_id: ContainerId, config: ContainerConfig | None = None) -> str:
        """`config`: of one for which nothing is there yet."""
        asked = None if config is None else config.cgroup_parent
        return asked or parents.of(self.flags, container_id) or self.root

    def _mounts(self, path: str, *, writable: bool) -> tuple[Mount, ...]:
        """What shows the container its cgroup in each hierarchy; co-mounted controllers share one."""
        mounts = dict.fromkeys(_mount(h, path, hybrid=self._hybrid) for h in self.kept_in())
        return tuple(replace(mount, flags=_READ_ONLY[1:]) if writable else mount for mount in mounts)

    def _hierarchies(self) -> list[tuple[str, Hierarchy]]:
        return [(self.controller, self.hierarchy), *self.others.items()]


def is_gone(error: CgroupError) -> bool:
    """Whether the cgroup is: given back by somebody else, or never made."""
    return error.errno in (errno.ENOENT, errno.ENODEV)


def nested_in(cgroup: str) -> list[str]:
    """The cgroups in it; nothing where it is gone."""
    try:
        return [entry.path for entry in os.scandir(cgroup) if entry.is_dir()]
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def gone_is_fine() -> Iterator[None]:
    """For cgroups of nested containers, which may end meanwhile."""
    try:
        yield
    except CgroupError as error:
        if not is_gone(error):
            raise


class _Node(Data):
    """What a controller of cgroupspy knows of its cgroup; its own nodes walk the whole tree."""

    full_path: bytes


class TypedFiles:
    """The interface files of one v1 cgroup by cgroupspy's types; a failure names the file and the value."""

    def __init__(self, controller: str, cgroup: str) -> None:
        from cgroupspy import controllers  # what asks for no figures does without it

        self._cgroup = cgroup
        self._files = getattr(controllers, controller)(_Node(os.fsencode(cgroup)))

    def get(self, name: str) -> Any:
        try:
            return getattr(self._files, name)
        except OSError as error:
            raise CgroupError(f"cannot read {self._file(name)}", error) from error

    def set(self, name: str, value: Any) -> None:
        """None means "no limit" where the file has such a value."""
        try:
            setattr(self._files, name, value)
        except OSError as error:
            raise CgroupError(f"cannot write {value!r} to {self._file(name)}", error) from error

    def _file(self, name: str) -> str:
        return os.path.join(self._cgroup, os.fsdecode(self._files.get_interface(name).filename))


def sweep(
    hierarchy: Hierarchy, root: str, is_there: Callable[[ContainerId], bool], flags: IsolatorFlags
) -> list[str]:
    """Remove the cgroups below the root that are of no container, and kill who is in them.

    All in a root is of one state directory: containerizer.cgroups_root. In the cgroup parents of requests
    it is those that are noted here. Raises CgroupError.
    """
    found = list(_cgroups(os.path.join(hierarchy.mount_point, root), None))
    elsewhere = dict(parents.each(flags))
    for container_id, parent in elsewhere.items():
        directory = os.path.join(hierarchy.mount_point, parent)
        if os.path.isdir(cgroup := os.path.join(directory, f"{_PREFIX}{container_id.name}")):
            found += [(container_id, cgroup), *_cgroups(cgroup, container_id)]
    gone = _remove_orphans(found, is_there)
    for container_id, parent in elsewhere.items():
        if not is_there(container_id):
            parents.forget(flags, container_id, path_of(parent, container_id))
    return gone


def _remove_orphans(
    found: Sequence[tuple[ContainerId, str]], is_there: Callable[[ContainerId], bool]
) -> list[str]:
    gone = []
    for container_id, cgroup in reversed(found):
        if not is_there(container_id):  # asked at the last moment: the name may be a new container's by now
            _remove(cgroup)
            gone.append(cgroup)
    return gone


def _cgroups(directory: str, parent: ContainerId | None) -> Iterator[tuple[ContainerId, str]]:
    """Those of containers, each before those in it."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(_PREFIX):
            container_id = ContainerId(name.removeprefix(_PREFIX), parent)
            yield container_id, os.path.join(directory, name)
            yield from _cgroups(os.path.join(directory, name), container_id)


def _remove(cgroup: str) -> None:
    """Usually nobody is in it any more, or nearly so; else kill who is: its supervisor was killed."""
    try:
        cgroups.remove(cgroup, timeout=0)
    except CgroupError:
        freezer.kill(cgroup, cgroups.REMOVE_TIMEOUT)
        cgroups.remove(cgroup)


def _mount(hierarchy: Hierarchy, path: str, *, hybrid: bool) -> Mount:
    name = ("unified" if hybrid else "") if hierarchy.version == 2 else ",".join(hierarchy.controllers)
    return Mount(
        target=f"/sys/fs/cgroup/{name}".rstrip("/"),
        fstype="bind",
        source=os.path.join(hierarchy.mount_point, path),
        flags=_READ_ONLY,
    )


def shown(directories: Iterable[str], mountinfo: str = cgroups.MOUNTINFO) -> tuple[Mount, ...]:
    """What shows a container these cgroups, which are not its own, as `contribute` shows it its own.

    Of several in one hierarchy the last one, which is where those in them have ended.
    """
    known = cgroups.hierarchies(mountinfo)
    hybrid = any(hierarchy.version == 1 for hierarchy in known)
    found: dict[str, Mount] = {}
    for directory in directories:
        for hierarchy in known:
            if directory.startswith(f"{hierarchy.mount_point}/"):
                path = directory.removeprefix(f"{hierarchy.mount_point}/")
                mount = _mount(hierarchy, path, hybrid=hybrid)
                found[mount.target] = mount
    return tuple(mount for mount in found.values() if mount.target.startswith("/sys/fs/cgroup"))


def _vacate(hierarchy: Hierarchy, root: str, container_id: ContainerId) -> None:
    """The cgroups of the container and of those around it: one that shares has none, and is further up."""
    around: ContainerId | None = container_id
    while around is not None:
        cgroup = os.path.join(hierarchy.mount_point, path_of(root, around))
        if os.path.isdir(cgroup):
            cgroups.vacate(cgroup)
        around = around.parent


def path_of(root: str, container_id: ContainerId) -> str:
    """Where a container's cgroup is in each hierarchy, below its mount point."""
    if container_id.parent is None:  # as most are, and it is asked for twenty times a launch
        return f"{root}/{_PREFIX}{container_id.name}"
    return "/".join([root, *[f"{_PREFIX}{name}" for name in container_id.lineage]])


def checked_root(root: str) -> str:
    """The operator's cgroups root, without slashes around it. Raises InvalidRequest."""
    names = root.strip("/").split("/")
    if not all(names) or {".", ".."} & set(names) or any(name.startswith(_PREFIX) for name in names):
        raise InvalidRequest(
            f"invalid cgroups root {root!r}",
            hint="name a cgroup below the mount point, such as containerizer",
        )
    return "/".join(names)
