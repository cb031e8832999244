"""The checkpoint of one container: what another process needs to show it and to clean up after it."""

from __future__ import annotations

import errno
import functools
import json
import os
from collections.abc import Mapping
from typing import Any

from containerizer import checkpoint
from containerizer.lifecycle import State
from containerizer.paths import ENDING, RECORD, Paths
from containerizer.termination import Termination
from launcher.container_id import MAX_DEPTH, ContainerId
from launcher.data import Data, field, replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel.boot import boot_id
from launcher.remove_tree import remove_tree

_VERSION = 1
_encode = json.JSONEncoder(check_circular=False).encode
_NAMED = 5  # containers that a message names


class NoSuchContainer(ContainerizerError):
    """Nothing is known of a container of this name."""


class NameTaken(InvalidRequest):
    """There is a container of this name."""


class ContainerRecord(Data, kw_only=True):
    """What is stored. A field that an older version did not write has its default."""

    container_id: str
    image: str
    command: tuple[str, ...] = ()  # as executed, once that is known
    isolation: tuple[str, ...] = ()  # what has to clean up
    keep: bool = False
    shares_cgroups: bool = False  # with its parent: then those isolators that keep cgroups only clean up
    limits: Mapping[str, Any] = field(default_factory=dict)  # of the launch, by the names of Resources
    state: str = State.STARTING.value
    owner: int = 0  # pid of the process that launches it
    owner_started: int | None = None  # see containerizer.liveness
    pid: int | None = None  # of the task's first process, on the host
    pid_started: int | None = None
    supervisor: int | None = None  # pid of the task's parent
    supervisor_started: int | None = None
    stop_signal: str | None = None  # of the request or the image; None: SIGTERM
    stdio: str = "inherit"  # the mode: launcher.stdio
    created_at: float = 0.0  # seconds since the epoch, as the next two
    started_at: float | None = None
    finished_at: float | None = None
    termination: Mapping[str, Any] | None = None

    @property
    def id(self) -> ContainerId:
        return ContainerId.parse(self.container_id)

    @property
    def ended(self) -> Termination | None:
        """How it ended, if it has."""
        return Termination.from_json(self.termination) if self.termination else None

    def save(self, paths: Paths) -> str:
        """Returns what is stored."""
        text = self.text()
        checkpoint.write_text(paths.record(self.id), text)
        return text

    def text(self) -> str:
        """As it is stored. The values are plain: JSON has them as they are."""
        changing = {"version": _VERSION, "boot": boot_id(), **self.__dict__}
        del changing["isolation"]
        return f'{_encode(changing)[:-1]}, "isolation": {_isolation_text(self.isolation)}}}'

    def is_of_same_container(self, other: ContainerRecord) -> bool:
        """Or else of another one, launched later, that got the name of one that is gone."""
        mine = (self.container_id, self.owner, self.owner_started, self.created_at)
        return mine == (other.container_id, other.owner, other.owner_started, other.created_at)


_STATES = frozenset(state.value for state in State)
_FIELDS = frozenset(ContainerRecord.__fields__)
_PROCESSES = ("owner", "pid", "pid_started", "supervisor", "supervisor_started")


@functools.lru_cache(maxsize=16)  # it is half of the text, and the same for most containers
def _isolation_text(isolation: tuple[str, ...]) -> str:
    return _encode(isolation)


def reserve(paths: Paths, record: ContainerRecord) -> str:
    """Take the container's name and store its first record. Returns that as it is stored.

    Raises InvalidRequest if the name is taken.
    """
    directory = paths.container_state(record.id)
    # Made under another name, one that no container can have, and moved: a name is never taken by
    # a directory without a record, whenever we are killed. rename(2) replaces an empty directory.
    making = f"{directory}.{os.getpid()}.new"
    _make_directory(making)
    try:
        os.close(os.open(os.path.join(making, ENDING), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        text = record.text()
        checkpoint.write_new(os.path.join(making, RECORD), text)
        os.rename(making, directory)
    except OSError as error:
        remove_tree(making)
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        hint = "choose another --name, or remove the old container with `containerizer rm`"
        raise NameTaken(f"the container name {record.container_id!r} is taken", hint=hint) from None
    return text


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileNotFoundError:  # the first container's
        os.makedirs(path, mode=0o700)


def load(paths: Paths, container_id: ContainerId) -> ContainerRecord:
    """Raises NoSuchContainer, also where what is written makes no sense."""
    value = checkpoint.read(paths.record(container_id))
    record = None if value is None else _sensible(value)
    if record is None or record.container_id != str(container_id):
        raise unknown(container_id)
    return record


def is_there(paths: Paths, record: ContainerRecord, saved: str) -> bool:
    """Whether the container is the one of this record; `saved`: as this process has stored it last.

    Raises NoSuchContainer.
    """
    unchanged = checkpoint.holds(paths.record(record.id), saved)
    return unchanged or record.is_of_same_container(load(paths, record.id))


def _sensible(value: Mapping[str, Any]) -> ContainerRecord | None:
    """The record; None for one that no version has written."""
    arguments = {name: item for name, item in value.items() if name in _FIELDS}
    try:
        for name in ("command", "isolation"):
            arguments[name] = tuple(map(str, arguments.get(name, ())))
        record = ContainerRecord(**arguments)
        whole = record.state in _STATES and (record.termination is None or record.ended is not None)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    own = record.__dict__
    whole = whole and all(own[name] is None or isinstance(own[name], int) for name in _PROCESSES)
    if not whole or not isinstance(record.created_at, (int, float)):
        return None
    return record if value.get("boot") in (None, boot_id()) else _of_another_boot(record)


def _of_another_boot(record: ContainerRecord) -> ContainerRecord:
    """Its pids are others' now."""
    none = dict.fromkeys(("pid", "pid_started", "supervisor", "supervisor_started"))
    return replace(record, **none, owner=0, owner_started=-1)  # no process has these


def unknown(name: object) -> NoSuchContainer:
    """The error that there is no container of this name."""
    return NoSuchContainer(f"no container {name}", hint="`containerizer ps -a` lists them")


def find(paths: Paths, text: str) -> ContainerId:
    """The container of this name, or the only one whose name begins so; each level of a nested one.

    Raises NoSuchContainer, and InvalidRequest for a beginning that several have.
    """
    found: ContainerId | None = None
    for name in text.split("."):
        found = _find(paths, name, found, text)
    assert found is not None  # "".split(".") yields one, invalid, name
    return found


def nested(paths: Paths, parent: ContainerId | None) -> list[ContainerId]:
    """The containers directly in this one; None: those that are in no other."""
    directory = paths.nested(parent)
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    return [container_id for name in names if (container_id := _id_of(name, parent)) is not None]


def _id_of(name: str, parent: ContainerId | None) -> ContainerId | None:
    """None for what is no container's: one that is being made, or something of somebody else."""
    try:
        return None if "." in name else ContainerId(name, parent)
    except InvalidRequest:
        return None


def _find(paths: Paths, name: str, parent: ContainerId | None, text: str) -> ContainerId:
    if parent is None or parent.depth < MAX_DEPTH:  # below that only commands are, and their ids are long
        exact = ContainerId(name, parent)
        if os.path.isdir(paths.container_state(exact)):
            return exact
    matching = [each for each in nested(paths, parent) if each.name.startswith(name)]
    if len(matching) > 1:
        names = ", ".join(map(str, matching[:_NAMED])) + (" …" if len(matching) > _NAMED else "")
        hint = f"{len(matching)} begin so: {names}"
        raise InvalidRequest(f"the container name {text!r} is ambiguous", hint=hint)
    if not matching:
        raise unknown(text)
    return matching[0]


def load_all(paths: Paths, parent: ContainerId | None = None) -> list[ContainerRecord]:
    """Every container, the oldest first, and those in it right after it.

    One that is being made or removed just now is left out, with those in it.
    """
    records = []
    for container_id in nested(paths, parent):
        try:
            records.append(load(paths, container_id))
        except (NoSuchContainer, InvalidRequest):
            continue
    records.sort(key=lambda record: record.created_at)
    return [each for record in records for each in (record, *load_all(paths, record.id))]
