"""Cgroups by their files: find a controller's hierarchy; make, fill, limit and remove a cgroup.

A host mounts cgroup v2, several hierarchies of v1, or both ("hybrid"); either way a controller is
in exactly one hierarchy, so everything here is asked per controller. No function looks at a cgroup
that it was not given: what it costs does not grow with the number of cgroups on the host.
See cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import time

from launcher.data import Data
from launcher.errors import ContainerizerError
from launcher.kernel import delegation, files

MOUNTINFO = "/proc/self/mountinfo"
LEAF = "leaf"  # v2: where a cgroup's own processes live once it has children with controllers

REMOVE_TIMEOUT = 5.0  # seconds; a killed process leaves its cgroup when its memory is given back
_RETRY_PAUSE = 0.002  # seconds between two looks at what cannot be polled
_POLL_MILLISECONDS = 100  # then look again, whatever poll(2) says
_READ_LIMIT = 1 << 20  # bytes; 100,000 pids
_MOUNTINFO_LIMIT = 1 << 26  # bytes; 100,000 mounts have some 16 MiB
_CPUSET = ("cpuset.cpus", "cpuset.mems")
_MAKE_ATTEMPTS = 100  # each is lost only to another container that ends just then


class CgroupError(ContainerizerError):
    """The kernel refused an operation on a cgroup; the message names the file and the value."""

    def __init__(self, what: str, error: OSError, *, hint: str | None = None) -> None:
        super().__init__(f"{what}: {os.strerror(error.errno or 0).lower()}", hint=hint)
        self.errno = error.errno


class Hierarchy(Data, kw_only=True):
    """A mounted cgroup hierarchy."""

    version: int  # 1 or 2
    mount_point: str
    controllers: tuple[str, ...]  # v1 also lists a named hierarchy, "name=systemd"

    @property
    def identity(self) -> tuple[str, ...]:
        """The same for two mounts of one hierarchy: there is one v2, and a controller is in one v1."""
        return ("v2",) if self.version == 2 else self.controllers


def hierarchies(mountinfo: str = MOUNTINFO) -> tuple[Hierarchy, ...]:
    """Every mounted hierarchy, whole ones before mounts of a part (a container's own view)."""
    text = os.fsdecode(files.read(mountinfo, _MOUNTINFO_LIMIT))
    lines = [line for line in text.splitlines() if " - cgroup" in line]
    return tuple(_hierarchy(line) for line in sorted(lines, key=lambda line: line.split()[3] != "/"))


def unified(mountinfo: str = MOUNTINFO) -> Hierarchy | None:
    """That of v2, with whichever controllers."""
    return next((each for each in hierarchies(mountinfo) if each.version == 2), None)


def find(controller: str, mountinfo: str = MOUNTINFO) -> Hierarchy | None:
    """The hierarchy that has the controller; None when none has it. Call it once, keep the result."""
    found = [h for h in hierarchies(mountinfo) if controller in h.controllers]
    return min(found, key=lambda h: h.version, default=None)


def is_ours(hierarchy: Hierarchy) -> bool:
    """Whether this process may make cgroups in it: an ordinary user may in one that is delegated to it."""
    return _is_whole(hierarchy.mount_point) or (
        hierarchy.version == 2 and delegation.delegated(hierarchy.mount_point) is not None
    )


def _is_whole(mount_point: str) -> bool:
    return os.access(mount_point, os.W_OK)


def create(hierarchy: Hierarchy, path: str, controller: str) -> str:
    """Make the cgroup `path`, relative to the mount point, with the controller in it. Idempotent.

    On v2 cgroup.subtree_control of ancestors is the only thing written above `path`, and not above the
    nearest one that has the controller: what systemd or an operator delegates is touched no higher up.
    Returns the cgroup's directory. Raises CgroupError.
    """
    cgroup = f"{hierarchy.mount_point}/{path}"
    _make(cgroup)  # from here on no ancestor can vanish: it has a child
    if hierarchy.version == 2 and controller in hierarchy.controllers:  # not freezing: every cgroup of v2 can
        _enable_above(hierarchy.mount_point, path.split("/")[:-1], controller)
    return cgroup


def inherit_cpuset(hierarchy: Hierarchy, path: str) -> None:
    """Give a v1 cpuset and its ancestors what their parents have: in an empty one nobody may run.

    Each then hands them on by itself to what is made in it. See cpusets(7). Raises CgroupError.
    """
    directory = hierarchy.mount_point
    if read(f"{directory}/{path}", _CPUSET[-1]):
        return  # handed on by a parent, with the others
    for name in path.split("/"):
        parent, directory = directory, os.path.join(directory, name)
        for file in _CPUSET:
            if not read(directory, file):
                write(directory, file, read(parent, file))
        write(directory, "cgroup.clone_children", "1")


def attach(cgroup: str, pid: int) -> None:
    """Move the process, all threads of it, into the cgroup. Raises CgroupError."""
    write(home(cgroup), "cgroup.procs", str(pid))


def home(cgroup: str) -> str:
    """Where in a v2 cgroup its own processes live."""
    leaf = f"{cgroup}/{LEAF}"
    return leaf if os.path.isdir(leaf) else cgroup


def vacate(cgroup: str) -> None:
    """Move the processes of a v2 cgroup into its leaf, so that it can have children with controllers.

    The kernel allows processes in the leaves of the tree only ("no internal processes").
    """
    leaf = f"{cgroup}/{LEAF}"
    _make(leaf)
    while present := pids(cgroup):  # a process that forks meanwhile is found in the next round
        for pid in present:
            try:
                write(leaf, "cgroup.procs", str(pid))
            except CgroupError as error:
                if error.errno != errno.ESRCH:
                    raise


def pids(cgroup: str) -> list[int]:
    """The processes in the cgroup itself, not in its children. Raises CgroupError."""
    return [int(pid) for pid in read(cgroup, "cgroup.procs").split()]


def has(cgroup: str, file: str) -> bool:
    """Whether this kernel gives the cgroup such an interface file."""
    return os.path.exists(f"{cgroup}/{file}")


def read(cgroup: str, file: str) -> str:
    """The content of an interface file, stripped. Raises CgroupError."""
    path = f"{cgroup}/{file}"
    try:
        return files.read_short(path, _READ_LIMIT).decode().strip()
    except OSError as error:
        raise CgroupError(f"cannot read {path}", error) from error


def read_flat(cgroup: str, file: str) -> dict[str, int]:
    """A "flat keyed" file: `name number` lines, such as memory.events. Raises CgroupError."""
    pairs = (line.split() for line in read(cgroup, file).splitlines())
    return {name: int(number) for name, number in pairs}


def write(cgroup: str, file: str, value: str) -> None:
    """Write an interface file in one write(2), as the kernel wants it. Raises CgroupError."""
    path = f"{cgroup}/{file}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise CgroupError(f"cannot write {value!r} to {path}", error) from error


def set_to(cgroup: str, file: str, value: str) -> None:
    """As `write`, but only if it differs: for what is dear to change. Raises CgroupError."""
    if read(cgroup, file) != value:
        write(cgroup, file, value)


def remove(cgroup: str, timeout: float = REMOVE_TIMEOUT) -> None:
    """Remove the cgroup and those below it; one that is gone already is fine.

    Waits up to `timeout` seconds for processes that were killed and are still leaving.
    Raises CgroupError.
    """
    if _rmdir(cgroup):  # as most can be, at once
        return
    deadline = time.monotonic() + timeout
    for directory, _, _ in os.walk(cgroup, topdown=False):
        while not _rmdir(directory):
            if time.monotonic() >= deadline:
                raise CgroupError(
                    f"cannot remove cgroup {directory}",
                    OSError(errno.EBUSY, ""),
                    hint=f"processes {pids(directory)} are still in it: kill them first",
                )
            await_change(directory)


def remove_if_empty(cgroup: str) -> None:
    """Remove the cgroup unless something is in it. Raises CgroupError."""
    _rmdir(cgroup)


def _hierarchy(line: str) -> Hierarchy:
    """Read a line of proc_pid_mountinfo(5)."""
    mount, _, filesystem = line.partition(" - ")
    fstype, _, options = filesystem.split(maxsplit=2)
    mount_point = _unescape(mount.split()[4])
    if fstype == "cgroup2":
        visible = has(mount_point, "cgroup.controllers")  # not where another mount covers this one
        available = _controllers(mount_point).split() if visible else ()
        return Hierarchy(version=2, mount_point=mount_point, controllers=tuple(available))
    mount_options = {"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"}
    v1 = tuple(option for option in options.strip().split(",") if option not in mount_options)
    return Hierarchy(version=1, mount_point=mount_point, controllers=v1)


def _controllers(mount_point: str) -> str:
    """Those of all, or of what is delegated to an ordinary user."""
    own = None if _is_whole(mount_point) else delegation.delegated(mount_point)
    return read(f"{mount_point}/{own}" if own else mount_point, "cgroup.controllers")


def _unescape(text: str) -> str:
    r"""Mountinfo writes space, tab, newline and backslash as \ooo."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _make(cgroup: str) -> None:
    """Make the directory and its parents, though an ending container may remove a parent meanwhile."""
    for attempt in range(_MAKE_ATTEMPTS):
        try:
            os.mkdir(cgroup, 0o755)
            return
        except FileExistsError:
            return
        except FileNotFoundError:
            pass  # a parent, for the first container
        except OSError as error:
            raise CgroupError(f"cannot create cgroup {cgroup}", error) from error
        try:
            os.makedirs(cgroup, mode=0o755, exist_ok=True)
            return
        except OSError as error:
            if error.errno != errno.ENOENT or attempt == _MAKE_ATTEMPTS - 1:
                raise CgroupError(f"cannot create cgroup {cgroup}", error) from error


def _enable_above(top: str, names: list[str], controller: str) -> None:
    """Enable the controller in each cgroup of the path from the nearest one that has it.

    That one is written even where its children have it already: the kernel lists it a moment before they
    have its files, and the write waits for another one in progress.
    """
    path = [top]
    for name in names:
        path.append(f"{path[-1]}/{name}")
    first = next((n for n in range(len(names), 0, -1) if _has_controller(path[n], controller)), 0)
    for delegated in path[first + 1 :]:
        if _is_delegated(delegated):
            denied = OSError(errno.EACCES, "")
            hint = f"enable it in {os.path.dirname(delegated)}, by Delegate= of systemd's unit"
            raise CgroupError(f"controller {controller} is not delegated to {delegated}", denied, hint=hint)
    is_users = not _is_whole(top)
    for cgroup in path[first:]:
        if is_users and pids(cgroup):
            # What is delegated to a user is where the user's processes are; with them in it the kernel might
            # take it for a threaded one, whose children can have no memory controller.
            vacate(cgroup)
        _enable(cgroup, controller)


def _has_controller(cgroup: str, controller: str) -> bool:
    return controller in read(cgroup, "cgroup.controllers").split()


def _is_delegated(cgroup: str) -> bool:
    """Whether systemd says so; see its CGROUP_DELEGATION.md."""
    for name in ("trusted.delegate", "user.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(cgroup, name) == b"1":
                return True
    return False


def _enable(cgroup: str, controller: str) -> None:
    """Enable the controller for the cgroup's children."""
    try:
        write(cgroup, "cgroup.subtree_control", f"+{controller}")
    except CgroupError as error:
        if error.errno in (errno.EBUSY, errno.EOPNOTSUPP):
            error.hint = f"processes are in {cgroup} itself: choose a cgroups root that has none"
        raise


def _rmdir(cgroup: str) -> bool:
    """Whether the cgroup is gone now. It is not while it has processes or children."""
    try:
        os.rmdir(cgroup)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise CgroupError(f"cannot remove cgroup {cgroup}", error) from error
    return True


def await_change(cgroup: str) -> None:
    """Wait until the last process may have left, or all may be frozen.

    v2 tells by cgroup.events, v1 has to be asked again.
    """
    try:
        fd = os.open(os.path.join(cgroup, "cgroup.events"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        time.sleep(_RETRY_PAUSE)
        return
    try:
        populated = b"populated 1" in os.read(fd, _READ_LIMIT)  # reading arms the poll
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        poll.poll(_POLL_MILLISECONDS if populated else _RETRY_PAUSE * 1000)
    finally:
        os.close(fd)
