"""The cgroup that all containers of one state directory are in, and no others.

Two state directories may have containers of one name, and what no record tells of is removed when an agent
starts: so a root is one state directory's. That of the default state directory has the default name; each
other's has a name of its own, and an operator may choose one, which is noted in the state directory, where
every command finds it, and on the host, where no other state directory can then have it.
"""

from __future__ import annotations

import contextlib
import os

from containerizer.paths import DEFAULT_STATE, Paths
from isolators import ownership
from isolators.isolator import DEFAULT_CGROUPS_ROOT, IsolatorFlags
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups, delegation, files, process

_LARGEST = 4096  # bytes
_TAKEN = "cgroup-roots"  # in the directory of what is given out once on the host
_SLASH = "!"  # in a file's name; no cgroup of ours has it in its


def settled(flags: IsolatorFlags, paths: Paths) -> IsolatorFlags:
    """With what is of these two directories: their cgroups root, and where isolators keep things.

    Raises InvalidRequest.
    """
    root = flags.cgroups_root
    chosen = _noted(paths)
    if is_rootless := process.is_rootless():
        flags = replace(flags, state=paths.state)  # what is given out once is so among its own containers
    if root == DEFAULT_CGROUPS_ROOT and is_rootless:
        root = _of_ordinary_user(paths, chosen)
    elif root == DEFAULT_CGROUPS_ROOT:
        if chosen:
            _claim(flags, paths, chosen)  # again after a reboot: on the host it is forgotten then
        root = chosen or own(paths.state)
    elif root != chosen:
        _choose(flags, paths, root, chosen)
    return replace(
        flags,
        cgroups_root=root,
        cgroup_parents=paths.cgroup_parents if os.path.isdir(paths.cgroup_parents) else None,
        own_state=paths.state,
        networks=paths.networks,
        volumes=paths.volumes,
        networks_state=paths.networks_state,
    )


def own(state: str) -> str:
    """The root of a state directory for which nobody has chosen one."""
    if state == DEFAULT_STATE or (real := os.path.realpath(state)) == DEFAULT_STATE:
        return DEFAULT_CGROUPS_ROOT
    return f"{DEFAULT_CGROUPS_ROOT}-{_hash(real.encode(errors='surrogateescape')):016x}"


def _of_ordinary_user(paths: Paths, chosen: str | None) -> str:
    """In the cgroup that was delegated to who launched the first container, as long as it is there."""
    unified = cgroups.unified()
    if unified is None:
        return own(paths.state)
    if chosen and os.path.isdir(os.path.dirname(os.path.join(unified.mount_point, chosen))):
        return chosen
    around = delegation.delegated(unified.mount_point)
    if around is None:
        return own(paths.state)
    root = f"{around}/{own(paths.state)}"
    os.makedirs(paths.state, mode=0o700, exist_ok=True)
    _note(paths, root)
    return root


def make_way(root: str) -> None:
    """Leave the cgroup below which the root lies, if this process is in it, and whoever else is.

    So it is where systemd delegates to a service the cgroup that the service is in: on v2 no cgroup has both
    processes and children with controllers. Raises CgroupError.
    """
    own = delegation.own_v2()
    hierarchy = cgroups.unified()
    if own and hierarchy and root.strip("/").startswith(f"{own}/"):
        cgroups.vacate(os.path.join(hierarchy.mount_point, own))


def _choose(flags: IsolatorFlags, paths: Paths, root: str, chosen: str | None) -> None:
    if _SLASH in root:
        raise InvalidRequest(f"invalid cgroups root {root!r}", hint=f"leave out {_SLASH}")
    if os.path.isdir(paths.nested(None)) and os.listdir(paths.nested(None)):
        hint = "remove them first, or go on with that cgroups root"
        raise InvalidRequest(
            f"the containers of {paths.state} are in the cgroups root {chosen or own(paths.state)}", hint=hint
        )
    os.makedirs(paths.state, mode=0o700, exist_ok=True)
    name = _claim(flags, paths, root)
    _note(paths, root)
    taken = os.path.join(flags.state, _TAKEN)  # only now: what is noted has to be ours at every moment
    ownership.drop(taken, [each for each in ownership.held(taken, paths.state) if each != name])


def _claim(flags: IsolatorFlags, paths: Paths, root: str) -> str:
    """Its name among those that are taken. Raises InvalidRequest where another state directory has it."""
    taken, name = os.path.join(flags.state, _TAKEN), root.strip("/").replace("/", _SLASH)
    if ownership.holder_of(taken, name) == paths.state:
        return name
    ownership.sweep(taken)
    if ownership.take(taken, paths.state, [name], 1) is None:
        owner = ownership.holder_of(taken, name)
        raise InvalidRequest(f"the cgroups root {root} is that of {owner}", hint="choose another one")
    return name


def _note(paths: Paths, root: str) -> None:
    with open(f"{paths.cgroups_root}.new", "w") as file:
        file.write(root)
    os.rename(f"{paths.cgroups_root}.new", paths.cgroups_root)


def _noted(paths: Paths) -> str | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return files.read(paths.cgroups_root, _LARGEST).decode() or None
    return None


def _hash(text: bytes) -> int:
    """FNV-1a of 64 bits: hashlib takes a millisecond to import."""
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value
