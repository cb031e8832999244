"""registries.conf: where a repository's content really is; containers-registries.conf(5), version 2.

    unqualified-search-registries = ["docker.io"]
    [[registry]]
    prefix = "example.com/team"          what images' names begin with; the longest one counts
    location = "registry.local/team"     what stands in its place
    insecure = false                     may do without TLS, or a trusted certificate
    blocked = false
    mirror-by-digest-only = false
    [[registry.mirror]]                  tried before, in this order
    location = "mirror.local/team"
    insecure = false
    pull-from-mirror = "all"             or digest-only, tag-only

The file is the one that was named, or $CONTAINERS_REGISTRIES_CONF, or the user's, or the host's; to
the latter two belong drop-ins in registries.conf.d, whose tables replace those of the same prefix.
Short names are Docker's (`busybox` is docker.io/library/busybox): where the file would have other
registries searched, they are refused, since whoever comes first could answer. Aliases and
credential-helpers are not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from launcher.data import Data
from provisioner.errors import ImageBlocked, InvalidReference
from provisioner.reference import ImageReference
from provisioner.registry.endpoint import HUB
from provisioner.registry.toml import Table

ENVIRONMENT = "CONTAINERS_REGISTRIES_CONF"
_HOST_FILE = "/etc/containers/registries.conf"
_PULLS = ("all", "digest-only", "tag-only")


class Location(Data, kw_only=True):
    """A registry and the name of the repository there."""

    registry: str
    repository: str
    insecure: bool = False


class RegistriesConf:
    """The tables of one file and its drop-ins, by prefix."""

    def __init__(self, files: list[Table]) -> None:
        self._registries: dict[str, Table] = {}
        self._searched: tuple[str, ...] = ()
        self._searched_by = ""
        for file in files:
            for registry in file.tables("registry"):
                self._registries[_prefix(registry)] = registry
            if "unqualified-search-registries" in file.value:
                self._searched, self._searched_by = file.texts("unqualified-search-registries"), file.path

    @classmethod
    def load(cls, explicit: str | None) -> RegistriesConf:
        """Raises RegistryConfigurationError, also for an explicit file that is not there."""
        named = explicit or os.environ.get(ENVIRONMENT)
        if named:
            file = Table.read(named)
            if file is None:
                raise Table(named, {}).wrong("it", "does not exist")
            return cls([file])
        own = os.path.expanduser("~/.config/containers/registries.conf")
        path = own if os.path.exists(own) else _HOST_FILE
        return cls([table for name in (path, *_drop_ins(f"{path}.d")) if (table := Table.read(name))])

    def check_short_name(self, text: str) -> None:
        """Raises InvalidReference for a name without a registry that the file would have searched for."""
        first = text.removeprefix("docker://").partition("/")
        qualified = first[1] and ({".", ":"} & set(first[0]) or first[0] == "localhost")
        if not qualified and set(self._searched) - {HUB}:
            raise InvalidReference(
                f"{text!r} names no registry, and {self._searched_by} has several searched",
                hint=f"write {self._searched[0]}/{text} or {HUB}/{text}: which one is meant is no guess",
            )

    def locations(self, reference: ImageReference) -> tuple[Location, ...]:
        """Mirrors first, itself last. Raises ImageBlocked, RegistryConfigurationError."""
        name = f"{reference.registry}/{reference.repository}"
        prefixes = [prefix for prefix in self._registries if _matches(prefix, name)]
        if not prefixes:
            return (Location(registry=reference.registry, repository=reference.repository),)
        prefix = max(prefixes, key=len)
        registry = self._registries[prefix]
        if registry.flag("blocked"):
            raise ImageBlocked(
                f"image {reference} is blocked", hint=f"by the registry {prefix!r} of {registry.path}"
            )
        mirrors = [
            _located(m, prefix, name) for m in registry.tables("mirror") if _serves(registry, m, reference)
        ]
        return (*mirrors, _located(registry, prefix, name))


def _drop_ins(directory: str) -> Iterator[str]:
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        if name.endswith(".conf"):
            yield f"{directory}/{name}"


def _prefix(registry: Table) -> str:
    prefix = registry.text("prefix") or registry.text("location")
    if not prefix:
        raise registry.wrong("prefix", "is missing")
    last = prefix.rpartition("/")[2]
    if "@" in prefix or ("/" in prefix and ":" in last):
        raise registry.wrong("prefix", f"names one image only, which is not supported: {prefix!r}")
    return prefix


def _matches(prefix: str, name: str) -> bool:
    if prefix.startswith("*."):
        return name.partition("/")[0].partition(":")[0].endswith(prefix[1:])
    return name == prefix or name.startswith(f"{prefix}/")


def _serves(registry: Table, mirror: Table, reference: ImageReference) -> bool:
    wanted = mirror.text("pull-from-mirror", "all")
    if wanted not in _PULLS:
        raise mirror.wrong("pull-from-mirror", f"has to be one of {', '.join(_PULLS)}")
    if registry.flag("mirror-by-digest-only"):
        wanted = "digest-only"
    return wanted == "all" or (wanted == "digest-only") == (reference.digest is not None)


def _located(table: Table, prefix: str, name: str) -> Location:
    location = table.text("location")
    if location:
        # A wildcard stands for the host, whatever it is.
        rest = name[len(name.partition("/")[0]) :] if prefix.startswith("*.") else name[len(prefix) :]
        name = location + rest
    registry, _, repository = name.partition("/")
    if not registry or not repository:
        raise table.wrong("location", f"leads to {name!r}, which is no image")
    return Location(registry=registry, repository=repository, insecure=table.flag("insecure"))
