"""registries.conf: where a repository's content really is; containers-registries.conf(5), version 2.

    unqualified-search-registries = ["docker.io"]
    credential-helpers = ["containers-auth.json"]   or names of programs, in their order
    [aliases]
    "busybox" = "docker.io/library/busybox"         see short_names
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

A prefix may be a HOST[:PORT], with a path or not, *.DOMAIN, or one image: HOST/NAME:TAG, HOST/NAME@DIGEST;
then its locations may name a tag, too.
"""

from __future__ import annotations

from launcher.data import Data
from provisioner.errors import ImageBlocked
from provisioner.reference import ImageReference, split_name
from provisioner.registry import conf_files
from provisioner.registry.short_names import ShortNames
from provisioner.registry.toml import Table

AUTH_FILES = "containers-auth.json"  # the credential helper that is none, but the files that have them
_PULLS = ("all", "digest-only", "tag-only")


class Location(Data, kw_only=True):
    """A registry and the name of the repository there."""

    registry: str
    repository: str
    tag: str | None = None  # that stands there for the image's own
    insecure: bool = False


class RegistriesConf:
    """The tables of one file and its drop-ins, by prefix."""

    def __init__(self, files: list[Table]) -> None:
        """Raises RegistryConfigurationError."""
        self._registries: dict[str, Table] = {}
        self.credential_helpers: tuple[str, ...] = (AUTH_FILES,)
        self.short_names = ShortNames(files)
        for file in files:
            if "registries" in file.value:
                raise file.wrong("registries", "is of version 1, which has been replaced by [[registry]]")
            for registry in file.tables("registry"):
                self._registries[_prefix(registry)] = registry
            self.credential_helpers = file.texts("credential-helpers") or self.credential_helpers

    @classmethod
    def load(cls, explicit: str | None) -> RegistriesConf:
        """Raises RegistryConfigurationError, also for an explicit file that is not there."""
        named = conf_files.named(explicit)
        if named:
            file = Table.read(named)
            if file is None:
                raise Table(named, {}).wrong("it", "does not exist")
            return cls([file])
        return cls([table for path in conf_files.usual() if (table := Table.read(path))])

    def locations(self, reference: ImageReference) -> tuple[Location, ...]:
        """Mirrors first, itself last. Raises ImageBlocked, RegistryConfigurationError."""
        prefixes = [prefix for prefix in self._registries if _matches(prefix, reference)]
        if not prefixes:
            return (Location(registry=reference.registry, repository=reference.repository),)
        prefix = max(prefixes, key=len)
        registry = self._registries[prefix]
        if registry.flag("blocked"):
            raise ImageBlocked(
                f"image {reference} is blocked", hint=f"by the registry {prefix!r} of {registry.path}"
            )
        mirrors = [m for m in registry.tables("mirror") if _serves(registry, m, reference)]
        return tuple(_located(table, prefix, reference) for table in (*mirrors, registry))


def _prefix(registry: Table) -> str:
    prefix = registry.text("prefix") or registry.text("location")
    if not prefix:
        raise registry.wrong("prefix", "is missing")
    if "*" in prefix and (not prefix.startswith("*.") or {"*", "/", ":", "@"} & set(prefix[1:])):
        raise registry.wrong("prefix", f"may have a wildcard as *.DOMAIN only: {prefix!r}")
    return prefix


def _matches(prefix: str, reference: ImageReference) -> bool:
    name = f"{reference.registry}/{reference.repository}"
    if prefix.startswith("*."):
        return reference.registry.partition(":")[0].endswith(prefix[1:])
    return prefix in _names(reference) or name.startswith(f"{prefix}/")


def _names(reference: ImageReference) -> list[str]:
    """What a prefix may be that names the image and no other."""
    name = f"{reference.registry}/{reference.repository}"
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{reference.digest}" if reference.digest else ""
    return [name, name + tag, name + digest, name + tag + digest]


def _serves(registry: Table, mirror: Table, reference: ImageReference) -> bool:
    wanted = mirror.text("pull-from-mirror") or "all"
    if wanted not in _PULLS:
        raise mirror.wrong("pull-from-mirror", f"has to be one of {', '.join(_PULLS)}")
    if registry.flag("mirror-by-digest-only"):
        if mirror.text("pull-from-mirror"):
            raise mirror.wrong("pull-from-mirror", "contradicts the registry's mirror-by-digest-only")
        wanted = "digest-only"
    return wanted == "all" or (wanted == "digest-only") == (reference.digest is not None)


def _located(table: Table, prefix: str, reference: ImageReference) -> Location:
    name, suffix = f"{reference.registry}/{reference.repository}", ""
    location = table.text("location")
    if location:
        whole, of_prefix = split_name(prefix) if "/" in prefix else (prefix, "")
        if of_prefix:
            location, suffix = split_name(location)
        # A wildcard stands for the host, whatever it is.
        rest = f"/{reference.repository}" if prefix.startswith("*.") else name[len(whole) :]
        name = location + rest
    registry, _, repository = name.partition("/")
    tag, _, digest = suffix.removeprefix(":").partition("@")
    if not registry or not repository or {":", "@"} & set(repository):
        raise table.wrong("location", f"leads to {name!r}, which is no image")
    if digest and digest != reference.digest:
        raise table.wrong("location", f"has another digest than the image: {digest}")
    return Location(
        registry=registry, repository=repository, tag=tag or None, insecure=table.flag("insecure")
    )
