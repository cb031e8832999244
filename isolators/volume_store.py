"""Volumes that have a name: kept until they are removed, and not removed as long as a container has them.

<volumes>/<name>/
    volume.json    who keeps it, how, and what its users say of it: VolumeRecord
    _data/         what is in it, if its driver is ours
    populated      says that what the image had was copied in: launcher.volume_content
    users/         a link a container, to the directory of its state

A container's link is there from before its mounts are made. It need not be taken away: where it leads is
gone when the container is removed, at a reboot or by whoever cleans up, and then it counts for nothing. So
nobody who is killed leaves a volume that counts as used. Names are taken by rename(2); flock(2) on the
volume's directory is between who begins to use it and who removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isolators import ownership
from isolators.volumes import LOCAL
from launcher.data import Data, asdict, field
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.remove_tree import remove_tree

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)  # as Docker has it
_LONGEST = 200  # bytes
_LARGEST = 1 << 20  # bytes of a record
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW, _REMOVED = ".new-", ".removed-"


class NoSuchVolume(InvalidRequest):
    """There is none of this name."""


class VolumeInUse(ContainerizerError):
    """Containers have it; the message names them."""


class VolumeRecord(Data, kw_only=True):
    """What is known of a volume."""

    name: str
    driver: str = LOCAL
    options: Mapping[str, str] = field(default_factory=dict)  # the driver's
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0  # seconds since 1970
    anonymous: bool = False  # made for one container


class VolumeStore:
    """Those of one directory. Safe to use by many processes at once."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def data(self, name: str) -> str:
        """Where its files are."""
        return f"{self.directory}/{name}/_data"

    def populated(self, name: str) -> str:
        return f"{self.directory}/{name}/populated"

    def find(self, name: str) -> VolumeRecord:
        """Raises NoSuchVolume."""
        try:
            with open(f"{self.directory}/{check_name(name)}/volume.json", "rb") as file:
                return VolumeRecord(**json.loads(file.read(_LARGEST)))
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchVolume(f"no volume {name!r}", hint="`containerizer volume ls` lists them") from None
        except (ValueError, TypeError) as error:
            raise ContainerizerError(f"volume {name}: its record is damaged: {error}") from error

    def all(self) -> list[VolumeRecord]:
        """By their names."""
        found = []
        for name in self._names():
            with contextlib.suppress(NoSuchVolume):  # removed just now
                found.append(self.find(name))
        return found

    def check(self, record: VolumeRecord) -> None:
        """Whether it may be created. Raises InvalidRequest if the name is another volume's."""
        with contextlib.suppress(NoSuchVolume):
            _check_same(self.find(record.name), record)

    def create(self, record: VolumeRecord) -> VolumeRecord:
        """Have it be there; the one that is. Raises InvalidRequest if that is another's."""
        check_name(record.name)
        while True:
            with contextlib.suppress(NoSuchVolume):
                found = self.find(record.name)
                _check_same(found, record)
                return found
            if (made := self._make(record)) is not None:
                return made

    def use(self, record: VolumeRecord, holder: str) -> VolumeRecord:
        """Have the holder, a container by its directory of state, keep it; it is made if it is not there."""
        while True:
            found = self.create(record)
            with contextlib.suppress(NoSuchVolume), self._locked(record.name, fcntl.LOCK_SH) as directory:
                users = f"{directory}/users"
                os.makedirs(users, mode=0o700, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.symlink(holder, f"{users}/{link_name(holder)}")
                return found

    def release(self, name: str, holder: str) -> None:
        """Idempotent; unknown volumes are fine."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(f"{self.directory}/{name}/users/{link_name(holder)}")

    def users(self, name: str) -> list[str]:
        """The containers that have it, by their names."""
        directory = f"{self.directory}/{name}/users"
        holders = (ownership.holder_of(directory, link) for link in ownership.names(directory))
        return sorted(ownership.shown(holder) for holder in holders if holder and os.path.isdir(holder))

    def remove(self, name: str, before: Callable[[str], object] | None = None) -> None:
        """`before`: called when nobody can begin to use it any more. Raises NoSuchVolume, VolumeInUse."""
        self.find(name)
        with self._locked(name, fcntl.LOCK_EX) as directory:
            if users := self.users(name):
                raise VolumeInUse(
                    f"volume {name} is in use by {', '.join(users)}", hint="remove these containers first"
                )
            if before is not None:
                before(name)
            gone = f"{self.directory}/{_REMOVED}{os.urandom(8).hex()}"
            os.rename(directory, gone)
        remove_tree(gone)

    def sweep(self) -> list[str]:
        """Remove what killed processes have left half made or half removed."""
        swept = []
        for name in self._entries():
            path = f"{self.directory}/{name}"
            if name.startswith(_REMOVED) or (name.startswith(_NEW) and _is_abandoned(path)):
                remove_tree(path)
                swept.append(name)
        return swept

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[str]:
        """Its directory, for this process alone. Raises NoSuchVolume."""
        with self._locked(name, fcntl.LOCK_EX) as directory:
            yield directory

    def _names(self) -> list[str]:
        return sorted(name for name in self._entries() if not name.startswith("."))

    def _entries(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return []

    def _make(self, record: VolumeRecord) -> VolumeRecord | None:
        """None if somebody else was faster."""
        new = f"{self.directory}/{_NEW}{os.urandom(8).hex()}"
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.mkdir(new, 0o700)
        with _held(new, fcntl.LOCK_EX):  # so that nobody takes it for abandoned
            try:
                made = _filled(new, record)
                os.rename(new, f"{self.directory}/{record.name}")
                return made
            except OSError as error:
                remove_tree(new)
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # and may have been removed by now
                    return None
                raise ContainerizerError(
                    f"cannot make volume {record.name}: {(error.strerror or str(error)).lower()}",
                    hint=f"look at the space and permissions of {self.directory}",
                ) from error

    @contextlib.contextmanager
    def _locked(self, name: str, operation: int) -> Iterator[str]:
        """The volume's directory, locked, and still the volume's. Raises NoSuchVolume."""
        path = f"{self.directory}/{name}"
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(_held(path, operation))
                is_same = os.path.samestat(os.fstat(descriptor), os.stat(path))
            except FileNotFoundError:
                is_same = False
            if not is_same:
                raise NoSuchVolume(f"volume {name!r} was removed just now")
            yield path


def is_name(name: str) -> bool:
    """Whether a volume here can be called so."""
    return bool(_NAME.fullmatch(name)) and len(name) <= _LONGEST


def check_name(name: str) -> str:
    """Raises InvalidRequest."""
    if not is_name(name):
        hint = f"use at most {_LONGEST} letters, digits, '_', '.' or '-', a letter or digit first"
        raise InvalidRequest(f"invalid name of a volume {name!r:.100}", hint=hint)
    return name


def _check_same(found: VolumeRecord, asked: VolumeRecord) -> None:
    """What does not say how is content with what is there."""
    if found.driver != asked.driver or (asked.options and dict(found.options) != dict(asked.options)):
        hint = "choose another name, or remove the old one with `volume rm`"
        raise InvalidRequest(
            f"volume {found.name} is there already, of driver {found.driver} with other options", hint=hint
        )


def _filled(directory: str, record: VolumeRecord) -> VolumeRecord:
    made = VolumeRecord(**{**asdict(record), "created_at": time.time()})
    os.mkdir(f"{directory}/_data", 0o755)
    os.chmod(f"{directory}/_data", 0o755)  # noqa: S103 - whatever the umask; a mount point for any user
    os.mkdir(f"{directory}/users", 0o700)
    with open(f"{directory}/volume.json", "w", encoding="utf-8") as file:
        json.dump(_plain(made), file)
        file.flush()
        os.fsync(file.fileno())
    return made


def _plain(record: VolumeRecord) -> dict[str, Any]:
    return {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(record).items()
    }


@contextlib.contextmanager
def _held(directory: str, operation: int) -> Iterator[int]:
    descriptor = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(descriptor, operation)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_abandoned(directory: str) -> bool:
    try:
        with _held(directory, fcntl.LOCK_EX | fcntl.LOCK_NB) as descriptor:
            return os.path.samestat(os.fstat(descriptor), os.stat(directory))
    except (BlockingIOError, FileNotFoundError):
        return False


def link_name(holder: str) -> str:
    """Of a holder's links: FNV-1a of 64 bits, for hashlib takes a millisecond to import."""
    value = 0xCBF29CE484222325
    for byte in os.fsencode(holder):
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"
