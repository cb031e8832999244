"""Which backend makes the root filesystems: the one that was asked for, or the best that works here."""

from __future__ import annotations

import os

from launcher.data import Data
from launcher.errors import InvalidRequest
from provisioner.backends.backend import Backend
from provisioner.backends.overlay import Overlay

NAMES = ("overlay", "copy", "bind")

_OWN = {"copy": "copy", "bind": "etc"}  # what no other one makes: it is imported where that is found


class Choice(Data):
    """A backend's name, and why it is the one."""

    name: str
    reason: str


def best(root: str) -> Choice:
    """For containers below the directory, which need not be there yet."""
    if not _knows_overlay():
        return Choice("copy", "this kernel has no overlayfs")
    if _filesystem_of(root) == "overlay":
        return Choice("copy", f"{root} is on overlayfs, which takes no other one on top")
    return Choice("overlay", "the kernel has overlayfs: no file is copied")


def make(name: str | None, root: str) -> Backend:
    """None: the best. Raises InvalidRequest for a name that is not in NAMES."""
    name = name or best(root).name
    if name == "overlay":
        return Overlay()
    if name == "copy":
        from provisioner.backends.copy import Copy

        return Copy()
    if name == "bind":
        from provisioner.backends.bind import Bind

        return Bind()
    raise InvalidRequest(f"unknown image backend {name!r}", hint=f"known are {', '.join(NAMES)}")


def destroy(directory: str) -> None:
    """Remove what a container's backend has made in the directory, whichever it was. Idempotent."""
    Overlay().destroy(directory)  # and the mount point, which all of them make
    for name, own in _OWN.items():
        if os.path.lexists(f"{directory}/{own}"):
            make(name, directory).destroy(directory)


def _knows_overlay() -> bool:
    """Loaded, or a module that the kernel loads when it is first mounted."""
    with open("/proc/filesystems") as file:
        if any(line.split()[-1] == "overlay" for line in file):
            return True
    try:
        with open(f"/lib/modules/{os.uname().release}/modules.dep") as file:
            return any("/overlay.ko" in line.partition(":")[0] for line in file)
    except OSError:
        return False


def _filesystem_of(path: str) -> str:
    """The type that proc_pid_mountinfo(5) has for the device of the path, or of what will hold it."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "."
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo") as file:
        for line in file:
            mount, _, filesystem = line.partition(" - ")
            if mount.split()[2] == wanted:
                return filesystem.split()[0]
    return ""
