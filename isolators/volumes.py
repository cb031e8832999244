"""Volumes: directories and files that a container has beside its image, each kind by an isolator of its own.

A request names them in the words of this module, whatever edge it came through; who serves a kind makes
mounts of those, and of no others.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from launcher.data import Data
from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from isolators.csi import CsiVolume
    from isolators.isolator import ContainerConfig, IsolatorFlags
    from isolators.secrets import Secret

# The kinds.
BIND = "bind"  # what is at a path of the host
NAMED = "volume"  # by its name, kept until it is removed
SANDBOX = "sandbox"  # a directory of the container's sandbox, or of its parent's
IMAGE = "image"  # the files of an image
SECRET = "secret"  # noqa: S105 - a kind
CSI = "csi"

LOCAL = "local"  # the driver of named volumes that we keep ourselves

# Kind → what a request for one asks for, in ContainerConfig.asked; an isolator enforces it.
_WORDS: Mapping[str, str] = {
    BIND: "host_path_volumes",
    NAMED: "named_volumes",
    SANDBOX: "sandbox_volumes",
    IMAGE: "image_volumes",
    SECRET: "secret_volumes",
    CSI: "csi_volumes",
}
_OF_PLUGIN = "docker_volumes"  # named ones of any other driver

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
RECURSIVE = ("enabled", "disabled", "writable", "readonly")
FLAGS = ("dev", "nosuid", "noexec")  # further ones; "dev": device nodes in it open what they name

# What is bound over single files of /proc shows a container its own figures (LXCFS); others are refused.
_IN_PROC = frozenset(
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo")
)
# Below /dev there are links that we make, in what is mounted there.
_OURS = frozenset(
    ("/", "/dev", "/dev/pts", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/ptmx", "/proc")
)
_LONGEST = 4096  # bytes of a path, PATH_MAX


class Volume(Data, kw_only=True):
    """One of them in a container. A default means "nothing asked"."""

    kind: str
    target: str  # absolute, in the container
    source: str = ""  # BIND: an absolute path; NAMED: its name; IMAGE: a reference; SANDBOX: its name
    driver: str = ""  # NAMED: whose it is; "": as it was created, or else LOCAL
    options: tuple[tuple[str, str], ...] = ()  # the driver's, if the volume is to be created; or the kind's
    labels: tuple[tuple[str, str], ...] = ()  # NAMED: likewise
    readonly: bool = False
    recursive: str = "enabled"  # BIND: what is mounted below it: one of RECURSIVE, as Docker has them
    propagation: str = ""  # of later mounts, one of PROPAGATIONS; "": they stay where they are
    flags: tuple[str, ...] = ()  # of FLAGS
    subpath: str = ""  # what of it, without '..', and never outside of it; "": all
    nocopy: bool = False  # NAMED: a new one does not begin with what the image has there
    chown: bool = False  # all in it is given to the task's user first
    idmap: str | None = None  # its owners are others in the container: isolators.volume_owners
    create: bool = False  # BIND: make a directory of a source that is missing
    anonymous: bool = False  # NAMED: made for this container; goes with it
    of_parent: bool = False  # SANDBOX: of the container around this one
    pull: str = "missing"  # IMAGE: "always", "missing", "never"
    secret: Secret | None = None  # SECRET: what it is
    csi: CsiVolume | None = None  # CSI: what is asked of it; its id is the source, its plug-in the driver

    def __post_init__(self) -> None:
        """Raises InvalidRequest."""
        check_target(self.target)
        for what, value, known in (
            ("kind", self.kind, tuple(_WORDS)),
            ("propagation", self.propagation or PROPAGATIONS[0], PROPAGATIONS),
            ("bind-recursive", self.recursive, RECURSIVE),
            *(("flag", flag, FLAGS) for flag in self.flags),
        ):
            if value not in known:
                raise InvalidRequest(
                    f"the volume at {self.target} has an unknown {what} {value!r}",
                    hint=f"use one of {', '.join(known)}",
                )
        _check_source(self)
        _check_subpath(self)

    @property
    def word(self) -> str:
        """What asks for its isolator."""
        return _OF_PLUGIN if self.kind == NAMED and self.driver not in ("", LOCAL) else _WORDS[self.kind]

    @property
    def mount_flags(self) -> tuple[str, ...]:
        """Of the Mount: a node that a task makes in it opens nothing, unless that was asked for."""
        own = tuple(flag for flag in self.flags if flag != "dev")
        shut = () if "dev" in self.flags else ("nodev",)
        return (*(("ro",) if self.readonly else ()), *shut, *own)


def word_of(kind: str) -> str:
    """What asks for the isolator of a kind."""
    return _WORDS[kind]


def of(config: ContainerConfig, word: str) -> list[Volume]:
    """Those that one isolator serves, what is around others first."""
    return sorted((each for each in config.volumes if each.word == word), key=lambda each: each.target)


def source_of(path: str, part: str, flags: IsolatorFlags) -> dict[str, Any]:
    """The `source` and `part` of a Mount for what is at a path of the host. Raises InvalidRequest.

    Where the operator says which directories volumes may be of, others may write to these: then each link
    on the way counts from there only.
    """
    within = allowed(path, flags)
    if within is None:
        return {"source": path, "part": part}
    part = posixpath.normpath(posixpath.join(posixpath.relpath(path, within), part))
    return {"source": within, "part": "" if part == "." else part}


def allowed(path: str, flags: IsolatorFlags) -> str | None:
    """The directory of the operator's that it is in; None: all are allowed. Raises InvalidRequest."""
    directories = flags.host_path_volume_allowed
    if directories is None:
        return None
    for directory in directories:
        if is_below(path, directory):
            return directory
    hint = f"the operator allows what is in {', '.join(directories) or 'no directory'}"
    raise InvalidRequest(f"volumes from {path} are not allowed", hint=hint)


def is_below(path: str, directory: str) -> bool:
    """Whether it is there or further down, by the names alone."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def check_place(volume: Volume, config: ContainerConfig) -> None:
    """Whether it can be there in this container. Raises InvalidRequest.

    On the host's own files nothing is made: the place has to be there.
    """
    if config.rootfs is None and not os.path.exists(volume.target):
        hint = "make it, or run on an image"
        raise InvalidRequest(f"{volume.target} is not there on the host's filesystem", hint=hint)


def check_target(target: str) -> None:
    """Whether a volume may be there. Raises InvalidRequest."""
    hint = "write an absolute path without '..'"
    if not target.startswith("/") or ".." in target.split("/") or "\0" in target or len(target) > _LONGEST:
        raise InvalidRequest(f"the place {target!r:.100} of a volume is no absolute path", hint=hint)
    if target != normalised(target):
        raise InvalidRequest(f"the place {target!r} of a volume is not in its shortest form", hint=hint)
    if target in _OURS or (target.startswith("/proc/") and target not in _IN_PROC):
        raise InvalidRequest(f"a volume cannot be at {target}: mounts of our own are there")


def normalised(path: str) -> str:
    """normpath keeps two leading slashes, which POSIX leaves to the system; Linux gives them no meaning."""
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") else path


def _check_source(volume: Volume) -> None:
    if "\0" in volume.source or len(volume.source) > _LONGEST:
        raise InvalidRequest(f"the source {volume.source!r:.100} of the volume at {volume.target} is none")


def _check_subpath(volume: Volume) -> None:
    path = volume.subpath
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        hint = "write a relative path without '..'"
        raise InvalidRequest(f"the subpath {path!r:.100} of the volume at {volume.target}", hint=hint)
