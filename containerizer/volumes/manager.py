"""Named volumes as people and programs manage them: made, listed, told, removed and pruned."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from containerizer.paths import Paths
from containerizer.volumes import drivers
from containerizer.volumes.words import anonymous_name
from isolators import volume_mounts
from isolators.flags import IsolatorFlags
from isolators.volume_store import NoSuchVolume, VolumeInUse, VolumeRecord, VolumeStore
from isolators.volumes import LOCAL
from launcher.data import Data
from launcher.errors import InvalidRequest

Filter = Callable[["VolumeInfo"], bool]

_FILTERS = "name=PART, driver=NAME, label=KEY[=VALUE], dangling=true|false or anonymous=true|false"


class VolumeInfo(Data, kw_only=True):
    """A volume, where it is, and who has it."""

    record: VolumeRecord
    mountpoint: str  # on the host; "" while it is mounted nowhere
    containers: tuple[str, ...]  # by their names

    def to_json(self) -> dict[str, object]:
        record = self.record
        return {
            "name": record.name,
            "driver": record.driver,
            "mountpoint": self.mountpoint,
            "options": dict(record.options),
            "labels": dict(record.labels),
            "created_at": record.created_at,
            "anonymous": record.anonymous,
            "containers": list(self.containers),
        }


class Volumes:
    """Those of one root directory. Each method raises ContainerizerError."""

    def __init__(self, paths: Paths, flags: IsolatorFlags | None = None) -> None:
        """`flags`: where plug-ins are."""
        self._store = VolumeStore(paths.volumes)
        self._flags = flags or IsolatorFlags()

    def create(
        self,
        name: str = "",
        *,
        driver: str = LOCAL,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> VolumeInfo:
        """Have it be there. Without a name it gets one that nobody has, and is anonymous, as in Docker."""
        options = options or {}
        if driver == LOCAL:
            volume_mounts.check(options)
        record = VolumeRecord(
            name=name or anonymous_name(),
            driver=driver,
            options=options,
            labels=labels or {},
            anonymous=not name,
        )
        if (other := drivers.of(driver, self._flags)) is not None:
            self._store.check(record)
            other.create(record.name, options)
        return self._info(self._store.create(record))

    def all(self, filters: Iterable[str] = ()) -> list[VolumeInfo]:
        """By their names. Raises InvalidRequest for a filter that there is not."""
        wanted = [_filter(text) for text in filters]
        infos = map(self._info, self._store.all())
        return [info for info in infos if all(fits(info) for fits in wanted)]

    def inspect(self, name: str) -> VolumeInfo:
        """Raises NoSuchVolume."""
        return self._info(self._store.find(name))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Raises VolumeInUse, and without `force` NoSuchVolume."""
        try:
            record = self._store.find(name)
            driver = drivers.of(record.driver, self._flags)
            unmount = partial(volume_mounts.unmount_removed, self._store)
            self._store.remove(name, unmount if driver is None else driver.remove)
        except NoSuchVolume:
            if not force:
                raise

    def release(self, name: str, holder: str) -> None:
        """The container of this state directory has it no more. Idempotent."""
        self._store.release(name, holder)

    def prune(self, filters: Sequence[str] = (), *, everything: bool = False) -> list[VolumeInfo]:
        """Remove those that no container has: the anonymous ones, or `everything`; returns them."""
        self._store.sweep()
        gone = []
        for info in self.all(filters):
            if not info.containers and (everything or info.record.anonymous):
                with contextlib.suppress(NoSuchVolume, VolumeInUse):  # since just now
                    self.remove(info.record.name)
                    gone.append(info)
        return gone

    def _info(self, record: VolumeRecord) -> VolumeInfo:
        driver = drivers.of(record.driver, self._flags)
        mountpoint = self._store.data(record.name) if driver is None else driver.mountpoint(record.name)
        return VolumeInfo(
            record=record, mountpoint=mountpoint, containers=tuple(self._store.users(record.name))
        )


def _filter(text: str) -> Filter:
    key, equals, value = text.partition("=")
    if key == "name" and equals:
        return lambda info: value in info.record.name
    if key == "driver" and equals:
        return lambda info: info.record.driver == value
    if key == "label" and value:
        name, has_value, wanted = value.partition("=")
        return lambda info: (
            name in info.record.labels and (not has_value or info.record.labels[name] == wanted)
        )
    if key in ("dangling", "anonymous") and value in ("true", "false", "1", "0"):
        yes = value in ("true", "1")
        if key == "dangling":
            return lambda info: (not info.containers) is yes
        return lambda info: info.record.anonymous is yes
    raise InvalidRequest(f"invalid filter {text!r}", hint=f"use {_FILTERS}")
