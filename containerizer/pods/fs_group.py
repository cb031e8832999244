"""fsGroup: a pod's volumes belong to a group that all its containers are in, whoever they run as.

As a kubelet has it, for volumes that are the pod's own and those that outlive it (claims), never for paths of
the host: each file gets the group, which may read and write it, or only read what nobody may write; what is
made in a directory later has the group too (the set-group-ID bit, inode(7)). Symbolic links are left alone.

https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from containerizer.pods.file_volumes import FileVolume
from containerizer.pods.manifest import PodManifest
from containerizer.pods.volumes import Claim, HostPath, Place
from launcher.errors import InvalidRequest

_READ, _WRITE, _SEARCH = 0o440, 0o660, 0o110


def give(manifest: PodManifest, places: Mapping[str, Place]) -> None:
    """`places`: of each volume. Raises InvalidRequest for a group that its files cannot be given to."""
    group = manifest.fs_group
    if group is None:
        return
    for volume in manifest.volumes:
        if isinstance(volume, HostPath) or (isinstance(volume, Claim) and volume.readonly):
            continue
        top = places[volume.name].seen
        mask = _READ if isinstance(volume, FileVolume) else _WRITE
        # A claim may be large, and has been given to the group by the pod before.
        if group.once and isinstance(volume, Claim) and _is_given(os.stat(top), group.number, mask):
            continue
        try:
            _give_tree(top, group.number, mask)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InvalidRequest(
                f"{group.path} is {group.number}, for volume {volume.name}: {why}"
            ) from error


def _give_tree(top: str, group: int, mask: int) -> None:
    """Containers of others may be at work in it: nothing is reached by a path that they could swap."""
    for _, _, names, descriptor in os.fwalk(top):
        _give(os.dup(descriptor), group, mask)
        for name in names:
            try:
                file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            except FileNotFoundError:
                continue
            _give(file, group, mask)


def _give(file: int, group: int, mask: int) -> None:
    """`file` is closed."""
    try:
        status = os.fstat(file)
        if stat.S_ISLNK(status.st_mode) or _is_given(status, group, mask):
            return
        path = f"/proc/self/fd/{file}"  # a descriptor that only names a file takes no fchown(2)
        os.chown(path, -1, group)
        os.chmod(path, stat.S_IMODE(status.st_mode) | _bits(status, mask))
    finally:
        os.close(file)


def _is_given(status: os.stat_result, group: int, mask: int) -> bool:
    bits = _bits(status, mask)
    return status.st_gid == group and status.st_mode & bits == bits


def _bits(status: os.stat_result, mask: int) -> int:
    return mask | (stat.S_ISGID | _SEARCH if stat.S_ISDIR(status.st_mode) else 0)
