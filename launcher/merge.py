"""Merge the isolators' partial LaunchInfos into one, and remember who gave what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from launcher.errors import InvalidRequest
from launcher.launch_info import FIELDS, LaunchInfo, Merge


class MergeConflict(InvalidRequest):
    """Two isolators want different things of the same field; the message names both."""


class Merged:
    """The fields merged so far, and the contributor of each of their items.

    An owner's key is the field's name, or `field[item]` where several isolators may share a field.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.owners: dict[str, str] = {}

    @property
    def info(self) -> LaunchInfo:
        return LaunchInfo(**self.values)

    def add(self, contributor: str, part: LaunchInfo) -> None:
        """Merge one contribution. Raises MergeConflict."""
        for name, value in part.asked().items():
            rule: _Rule = _RULES[FIELDS[name].metadata["merge"]]
            rule(self, contributor, name, value)

    def fill(self, contributor: str, part: LaunchInfo) -> None:
        """Take from this contribution just what nobody has set."""
        for name, value in part.asked().items():
            if isinstance(value, Mapping):
                present = self.values.get(name, {})
                value = {key: item for key, item in value.items() if key not in present}
            elif name in self.values:
                continue
            self.add(contributor, LaunchInfo(**{name: value}))

    def _own(self, contributor: str, key: str, old: Any, new: Any) -> None:
        if key in self.owners and old != new:
            values = "" if key.startswith("secret_environment[") else f": {old!r} and {new!r}"
            raise MergeConflict(
                f"isolators {self.owners[key]} and {contributor} both set {key}{values}",
                hint="load only one of them (--isolation)",
            )
        self.owners.setdefault(key, contributor)

    def _owner(self, contributor: str, name: str, value: Any) -> None:
        self._own(contributor, name, self.values.get(name), value)
        self.values[name] = value

    def _append(self, contributor: str, name: str, items: tuple[Any, ...]) -> None:
        present = self.values.get(name, ())
        self.values[name] = present + tuple(item for item in items if item not in present)
        for item in items:
            self.owners.setdefault(self.key(name, item), contributor)

    @staticmethod
    def key(name: str, item: Any) -> str:
        """The owners' key of one item of a field: a mount by its target, a file by its path."""
        return f"{name}[{getattr(item, 'target', None) or getattr(item, 'path', None) or item}]"

    def _disjoint(self, contributor: str, name: str, mapping: dict[str, Any]) -> None:
        present = self.values.setdefault(name, {})
        for key, value in mapping.items():
            self._own(contributor, f"{name}[{key}]", present.get(key), value)
            present[key] = value

    def _by_target(self, contributor: str, name: str, mounts: tuple[Any, ...]) -> None:
        present = {mount.target: mount for mount in self.values.get(name, ())}
        for mount in mounts:
            self._own(contributor, self.key(name, mount), present.get(mount.target), mount)
            present[mount.target] = mount
        self.values[name] = tuple(present.values())


_Rule = Callable[[Merged, str, str, Any], None]
_RULES: Mapping[Merge, _Rule] = {
    Merge.OWNER: Merged._owner,
    Merge.APPEND: Merged._append,
    Merge.DISJOINT: Merged._disjoint,
    Merge.BY_TARGET: Merged._by_target,
}


def merge(contributions: Iterable[tuple[str, LaunchInfo]]) -> Merged:
    """Merge (contributor, LaunchInfo) pairs in their order. Raises MergeConflict."""
    merged = Merged()
    for contributor, part in contributions:
        merged.add(contributor, part)
    return merged
