"""DriverVolumes: what isolators have in common whose volumes drivers mount, once for all containers.

An isolator of them says how a driver is asked; when one is asked no more is the same for all: which
containers have a volume is in isolators/mounted_volumes.py, and whoever ends the last of them, or recovers,
has it taken back.
"""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from isolators import ownership
from isolators.flags import IsolatorFlags
from isolators.isolator import Isolator
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError
from launcher.kernel import process

if TYPE_CHECKING:
    from isolators.mounted_volumes import MountedVolume, MountedVolumes

BRIEF = 5.0  # seconds to take back what may not have come about


class VolumeFailed(ContainerizerError):
    """A volume could not be given to a container, or not be taken back."""


class DriverVolumes(Isolator):
    requires = ("filesystem/linux",)
    prepares_what_is_asked = True

    directory: ClassVar[str]  # where it is noted what is mounted
    told_as: ClassVar[str]  # the key of `status`
    tells: ClassVar[tuple[str, ...]]  # and which fields of a record that has

    @property
    @abstractmethod
    def patience(self) -> float:
        """Seconds that the end of a container waits for one that is at work with the same volume."""

    @abstractmethod
    def called(self, record: Mapping[str, Any]) -> str:
        """The volume, for people."""

    @abstractmethod
    def left(self, volume: MountedVolume, holder: str | None) -> bool:
        """Have it taken back if nobody but the holder has it; whether it was. Raises ContainerizerError."""

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        known = self.known()
        records = map(known.peek, known.keys_of(ownership.holder(self.flags, container_id)))
        told = [{key: each[key] for key in self.tells} for each in records if each]
        return {self.told_as: told} if told else {}

    def cleanup(self, container_id: ContainerId) -> None:
        """One that its driver does not take back is told once, and tried again by whoever comes next."""
        if not os.path.isdir(place(self.flags, self.directory)):
            return
        known, holder = self.known(), ownership.holder(self.flags, container_id)
        failures = []
        for key in known.keys_of(holder):
            try:
                with known.locked(key, self.patience, "a volume") as volume:
                    try:
                        self.left(volume, holder)
                    finally:
                        volume.drop(holder)
            except ContainerizerError as error:
                failures.append(str(error))
        if failures:
            raise VolumeFailed("; ".join(failures))

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        known, told = self.known(), []
        for key in known.all():
            with contextlib.suppress(ContainerizerError), known.locked(key, 0, "a volume") as volume:
                record = volume.record
                if self.left(volume, None) and record:
                    told.append(f"volume {self.called(record)}")
        return told

    def known(self) -> MountedVolumes:
        from isolators.mounted_volumes import MountedVolumes  # for those who have some

        return MountedVolumes(place(self.flags, self.directory))


def place(flags: IsolatorFlags, name: str) -> str:
    """A directory of the whole host's, or of an ordinary user's own."""
    return os.path.join(flags.own_state if process.is_rootless() else flags.state, name)
