"""volume/secret: secrets as files, in memory that is never swapped, and nowhere on the host.

The launcher makes each file in a ramfs that is attached nowhere, and the child puts a mount of it at its
place (launcher/memory_files.py): none is left, however a container ends, and nobody else has a path to it.
"""

from __future__ import annotations

from isolators import secrets, volumes
from isolators.isolator import ContainerConfig, Isolator
from isolators.volumes import Volume
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, MemoryFile, Mount

_FLAGS = ("ro", "nosuid", "nodev", "noexec")


class VolumeSecret(Isolator):
    name = "volume/secret"
    enforces = frozenset({"secret_volumes"})
    requires = ("filesystem/linux",)
    prepares_what_is_asked = True

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        asked = _checked(config)
        return LaunchInfo(mounts=tuple(_mount(volume, self._value(volume)) for volume in asked))

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """Without the values: nobody is to be asked for them in a dry run."""
        return LaunchInfo(mounts=tuple(_mount(volume, "") for volume in _checked(config)))

    def _value(self, volume: Volume) -> str:
        assert volume.secret is not None
        if volume.secret.reference is None:
            return volume.secret.content or ""
        from isolators import secret_resolvers  # for those who refer to some

        return secrets.encoded(secret_resolvers.resolve(volume.secret.reference, self.flags))


def _checked(config: ContainerConfig) -> list[Volume]:
    asked = volumes.of(config, volumes.word_of(volumes.SECRET))
    for volume in asked:
        if volume.secret is None:
            raise InvalidRequest(f"the secret at {volume.target} has neither a value nor a reference")
        volumes.check_place(volume, config)
    return asked


def _mount(volume: Volume, content: str) -> Mount:
    secret = volume.secret
    assert secret is not None
    file = MemoryFile(content=content, mode=secret.mode, uid=secret.uid, gid=secret.gid)
    return Mount(target=volume.target, fstype="ramfs", source="secret", flags=_FLAGS, file=file)
