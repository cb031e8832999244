"""Volumes of a pod: what they are, and where containers have them."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Mapping

from containerizer.pods import file_volumes, quantities
from containerizer.pods.document import InvalidManifest, Node
from containerizer.pods.downward import Sources
from containerizer.pods.file_volumes import FileVolume
from isolators.flags import IsolatorFlags
from isolators.volume_store import check_name
from isolators.volumes import source_of
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import InvalidRequest
from launcher.kernel import safe_path

_RESERVED = ("/proc", "/sys", "/dev")  # mounts of our own are there

_HOST_KINDS: Mapping[str, Callable[[int], bool]] = {
    "": lambda mode: True,
    "DirectoryOrCreate": stat.S_ISDIR,
    "Directory": stat.S_ISDIR,
    "FileOrCreate": stat.S_ISREG,
    "File": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


class EmptyDir(Data, kw_only=True):
    """A directory that comes and goes with the pod."""

    name: str
    in_memory: bool = False
    size_limit: int | None = None  # bytes; in memory it can have no more, elsewhere a pod that has is ended


class HostPath(Data, kw_only=True):
    """A file or directory of the host."""

    name: str
    path: str
    kind: str = ""  # what has to be there, or is made: a key of _HOST_KINDS


class Claim(Data, kw_only=True):
    """A volume of this host's with a name, which outlives the pod, in the place of one that a cluster has."""

    name: str
    claim: str  # the volume's name
    readonly: bool = False


Volume = EmptyDir | HostPath | Claim | FileVolume


def is_in_memory(volume: Volume) -> bool:
    """Whether it is a file system of its own, in the mount namespace of the pod's container."""
    return isinstance(volume, FileVolume) or (isinstance(volume, EmptyDir) and volume.in_memory)


class Place(Data, kw_only=True):
    """Where a volume is."""

    path: str
    part: str = ""  # what of it, as of a Mount
    within: str = ""  # the mount namespace that it is in, by its path; "": the host's
    seen: str  # its path for this process


class VolumeMount(Data, kw_only=True):
    """A volume in a container."""

    volume: str  # its name
    target: str  # absolute
    readonly: bool = False
    sub_path: str = ""  # what of it, without '..'; "": all


def parse(nodes: Iterable[Node], sources: Sources) -> tuple[Volume, ...]:
    """Raises InvalidManifest."""
    volumes: dict[str, Volume] = {}
    for node in nodes:
        name = _name(node)
        if name in volumes:
            raise node.refusal("name", f"is {name!r}, as another volume's")
        kind = node.only((*_KINDS, *file_volumes.KINDS))
        within = node.object(kind)
        if kind in _KINDS:
            volumes[name] = _KINDS[kind](name, within)
        else:
            volumes[name] = file_volumes.parse(name, kind, within, sources)
        node.done()
    return tuple(volumes.values())


def parse_mounts(nodes: Iterable[Node], volumes: Iterable[Volume]) -> tuple[VolumeMount, ...]:
    """Raises InvalidManifest."""
    names = {volume.name for volume in volumes}
    mounts: dict[str, VolumeMount] = {}
    for node in nodes:
        name, target = node.text("name"), node.text("mountPath")
        if name not in names:
            raise node.refusal("name", f"is {name!r}, which is no volume of the pod")
        target = _target(node, target)
        if target in mounts:
            raise node.refusal("mountPath", f"is {target!r}, where another volume is")
        mounts[target] = VolumeMount(
            volume=name, target=target, readonly=bool(node.flag("readOnly")), sub_path=_sub_path(node)
        )
        node.done()
    return tuple(mounts[target] for target in sorted(mounts))  # what is around others comes first


def place_of(volume: HostPath, flags: IsolatorFlags) -> Place:
    """Where it is; what is to be made is made, and it is what it should be. Raises InvalidRequest.

    Where the operator says which directories may be had, the links in them count from there only.
    """
    found = source_of(volume.path, "", flags)
    base = found["source"] if found["part"] else "/"
    path = found["part"] or volume.path
    try:
        root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mode = _made(root, path, volume.kind)
        finally:
            os.close(root)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"volume {volume.name}: {volume.path}: {why}") from error
    if not _HOST_KINDS[volume.kind](mode):
        raise InvalidRequest(f"volume {volume.name}: {volume.path} is no {volume.kind}")
    return Place(path=found["source"], part=found["part"], seen=volume.path)


def _made(root: int, path: str, kind: str) -> int:
    """The mode of what is there, by now. Raises OSError."""
    opened = []
    try:
        if kind == "DirectoryOrCreate":
            opened.append(safe_path.make_directories(root, path, 0o755))
        elif kind == "FileOrCreate":
            flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK
            opened.append(safe_path.open_beneath(root, path, flags, 0o644))
        opened.append(safe_path.open_beneath(root, path, os.O_PATH))
        return os.fstat(opened[-1]).st_mode
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _empty_dir(name: str, node: Node) -> EmptyDir:
    medium = node.one_of("medium", ("", "Memory"), "")
    text = node.quantity("sizeLimit")
    try:
        limit = None if text is None else quantities.whole(text)
    except ValueError:
        raise node.refusal("sizeLimit", f"is {text!r}", hint="write a size such as 64Mi") from None
    node.done()
    return EmptyDir(name=name, in_memory=medium == "Memory", size_limit=limit)


def _host_path(name: str, node: Node) -> HostPath:
    path, kind = node.text("path"), node.one_of("type", tuple(_HOST_KINDS), "")
    if not path.startswith("/") or ".." in path.split("/"):
        raise node.refusal("path", f"is {path!r}", hint="write an absolute path without '..'")
    node.done()
    return HostPath(name=name, path=path, kind=kind)


def _claim(name: str, node: Node) -> Claim:
    claim, readonly = node.text("claimName"), bool(node.flag("readOnly"))
    try:
        check_name(claim)
    except InvalidRequest as error:
        raise node.refusal("claimName", f"is {claim!r}", hint=error.hint) from None
    node.done()
    return Claim(name=name, claim=claim, readonly=readonly)


_KINDS: Mapping[str, Callable[[str, Node], Volume]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "persistentVolumeClaim": _claim,
}


def _target(node: Node, text: str) -> str:
    target = "/" + posixpath.normpath(text).lstrip("/")
    taken = any(target == place or target.startswith(f"{place}/") for place in _RESERVED)
    if not text.startswith("/") or ".." in text.split("/") or target == "/" or taken:
        hint = f"write an absolute path without '..', outside {', '.join(_RESERVED)}"
        raise node.refusal("mountPath", f"is {text!r}", hint=hint)
    return target


def _sub_path(node: Node) -> str:
    text = node.text("subPath", "")
    if text.startswith("/") or ".." in text.split("/"):
        raise node.refusal("subPath", f"is {text!r}", hint="write a relative path without '..'")
    part = posixpath.normpath(text)
    return "" if part == "." else part


def _name(node: Node) -> str:
    name = node.text("name")
    try:
        return ContainerId(name).name  # it becomes a directory
    except InvalidRequest as error:
        raise InvalidManifest(f"{node.at('name')}: invalid name {name!r}", hint=error.hint) from None
