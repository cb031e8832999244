"""What a pod has in memory: file systems in the mount namespace of its own container, and nowhere else.

They go with that container, whoever kills what, and nothing on the host shows them. Volumes with a medium
are tmpfs, as large as they may be; what we write (secrets, files of the manifest) is ramfs, which is never
swapped. The pod's containers have copies of these mounts (`Mount.within`); we look in by /proc.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from containerizer.paths import Paths
from containerizer.pods.file_volumes import FileVolume
from containerizer.pods.manifest import PodManifest
from containerizer.pods.volumes import EmptyDir, is_in_memory
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.io.loop import is_ready
from launcher.launch_info import Mount
from launcher.task import Task

_FLAGS = ("nosuid", "nodev")


def names(manifest: PodManifest) -> Iterator[str]:
    """Of all that it needs."""
    yield from (volume.name for volume in manifest.volumes if is_in_memory(volume))


def mounts(manifest: PodManifest, paths: Paths) -> tuple[Mount, ...]:
    """For the pod's container."""
    volumes = {volume.name: volume for volume in manifest.volumes}
    return tuple(_mount(volumes.get(name), _path(manifest, paths, name)) for name in names(manifest))


def make_directories(manifest: PodManifest, paths: Paths) -> None:
    """Where they are mounted. Raises OSError."""
    for name in names(manifest):
        os.makedirs(_path(manifest, paths, name), 0o700)


class Memory:
    """They, of a pod whose container runs. Close it in the end; they stay for as long as that runs."""

    def __init__(self, manifest: PodManifest, paths: Paths, task: Task) -> None:
        """Raises InvalidRequest if the container has ended, OSError."""
        self._manifest = manifest
        self._paths = paths
        self._root = os.open(f"/proc/{task.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._namespace = os.open(f"/proc/{task.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._root)
            raise
        if is_ready(task.fileno()):  # then these may be another process'
            self.close()
            raise InvalidRequest(f"the pod {manifest.name} was ended by somebody else")

    def close(self) -> None:
        os.close(self._root)
        os.close(self._namespace)

    @property
    def namespace(self) -> str:
        """By this path others may enter it, as long as this is open."""
        return f"/proc/{os.getpid()}/fd/{self._namespace}"

    def path(self, name: str) -> str:
        """Of a volume, in that namespace."""
        return _path(self._manifest, self._paths, name)

    def seen(self, name: str) -> str:
        """Of a volume, for this process."""
        return f"/proc/self/fd/{self._root}{self.path(name)}"

    def fill(self) -> None:
        """Write all that is known by now. Raises OSError."""
        for volume in self._manifest.volumes:
            if isinstance(volume, FileVolume):
                _write_all(volume, self.seen(volume.name))
            elif is_in_memory(volume):
                os.chmod(self.seen(volume.name), 0o777)  # noqa: S103 - as others, in containerizer.pods.requests


def _path(manifest: PodManifest, paths: Paths, name: str) -> str:
    """Without links: from another root directory an absolute one would lead to ours, and so to the host."""
    return os.path.realpath(paths.pod_volume(ContainerId(manifest.name), name, in_memory=True))


def _mount(volume: object, path: str) -> Mount:
    if isinstance(volume, EmptyDir):
        size = {} if volume.size_limit is None else {"size": str(max(1, volume.size_limit))}  # 0: no limit
        options = tuple(size.items())
        return Mount(target=path, fstype="tmpfs", source="tmpfs", flags=_FLAGS, options=options)
    return Mount(target=path, fstype="ramfs", source="ramfs", flags=_FLAGS, options=(("mode", "755"),))


def _write_all(volume: FileVolume, directory: str) -> None:
    for file in volume.files:
        path = f"{directory}/{file.path}"
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        _write(path, file.content, file.mode)


def _write(path: str, content: bytes, mode: int) -> None:
    place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(place, "wb") as file:
        file.write(content)
        os.fchmod(place, mode)
