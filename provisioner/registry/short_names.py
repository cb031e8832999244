"""Short names, such as `busybox`: which images they mean, by the aliases and searches of registries.conf.

Without any, a short name is Docker's (`docker.io/library/busybox`). With one registry to search it is
that one's. With several it is refused, since whoever comes first could answer: of short-name-mode's three
ways that is what "enforcing" does where there is no terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.errors import InvalidReference
from provisioner.reference import DEFAULT_REGISTRY, is_short, split_name
from provisioner.registry.toml import Table


class ShortNames:
    """What a configuration's files say of them, the last one first."""

    def __init__(self, files: Sequence[Table]) -> None:
        """Raises RegistryConfigurationError."""
        self._aliases: dict[str, str] = {}
        self._searched: tuple[str, ...] = ()
        self._searched_by = ""
        for file in files:
            aliases = file.table("aliases")
            self._aliases |= {name: _checked(aliases, name) for name in aliases.value}
            if "unqualified-search-registries" in file.value:
                self._searched, self._searched_by = file.texts("unqualified-search-registries"), file.path

    def complete(self, text: str) -> str:
        """The name with its registry; the text itself where it has one, or nothing is configured."""
        name, suffix = split_name(text)
        if not is_short(text):
            return text
        alias = self._aliases.get(name)  # an empty one takes back what another file said
        if alias:
            return alias + suffix
        return f"{self._searched[0]}/{name}{suffix}" if len(self._searched) == 1 else text

    def check(self, text: str) -> None:
        """Raises InvalidReference for a name that several registries would have to be searched for."""
        others = set(self._searched) - {DEFAULT_REGISTRY}
        if others and len(self._searched) > 1 and is_short(text) and self.complete(text) == text:
            first, bare = self._searched[0], "".join(split_name(text))
            raise InvalidReference(
                f"{text!r} names no registry, and {self._searched_by} has several searched",
                hint=f"write {first}/{bare} or {DEFAULT_REGISTRY}/{bare}: which one is meant is no guess",
            )


def _checked(aliases: Table, name: str) -> str:
    value = aliases.text(name)
    if value and (is_short(value) or split_name(value)[1] or split_name(name)[1] or not is_short(name)):
        raise aliases.wrong(name, f"has to lead from a short name to HOST/NAME, without tags: {value!r}")
    return value
