"""ImageReference: the name of an image, by Docker's rules.

    [docker://][HOST[:PORT]/]NAME[:TAG][@DIGEST]        an image in a registry
    oci:DIR[:TAG]                                       an OCI image layout on this host
    oci-archive:FILE[:TAG]                              such a layout in a tar archive
    docker-archive:FILE[:NAME[:TAG]]                    what `docker save` writes
    appc:NAME[:VERSION], appc:FILE                      an application container image (ACI)

The grammar is that of distribution/reference. What is left out is filled in as Docker does:
`busybox` is `docker.io/library/busybox:latest`. The first component is a host when it has a dot,
a colon or an upper-case letter, or is `localhost`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from launcher.data import Data
from provisioner.errors import InvalidReference

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"

_OFFICIAL = "library/"  # where Docker Hub keeps the images without a user
_MAX_NAME = 255  # characters of HOST/NAME, as in distribution/reference

# As texts: `re` compiles, and keeps, those that a reference comes by; all of them take it 1 ms.
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_IPV6 = r"\[(?:[a-fA-F0-9:]+)\]"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|{_IPV6})(?::[0-9]{{1,5}})?"
_PORT = r":[0-9]+\Z"
_MAX_PORT = 65535
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
_AC_NAME = r"[a-z0-9]+(?:[-._~/][a-z0-9]+)*"  # appc spec/types.md, "AC Identifier Type"
_BARE_ID = r"[0-9a-f]{64}"


class ImageReference(Data, kw_only=True):
    """A complete name: `parse` has filled in what the writer left out."""

    transport: str  # "docker" (a registry), or what is before the colon: "oci", "oci-archive" …
    registry: str  # host with port as written; "" for all but registries
    repository: str  # "library/busybox"; for files and directories their absolute path
    tag: str | None  # None: the digest decides; in layouts and archives: the only image, or "latest"
    digest: str | None  # "sha256:…" of the manifest or index; wins over the tag

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read any of the forms above. Raises InvalidReference."""
        transport, colon, rest = text.partition(":")
        if colon and transport in _LOCAL:
            return _LOCAL[transport](text, rest)
        if text.startswith("docker://"):
            return _parse_docker(text, text.removeprefix("docker://"))
        return _parse_docker(text, text)

    @property
    def familiar(self) -> str:
        """The short form that Docker shows: `busybox:latest`."""
        if self.registry != DEFAULT_REGISTRY:
            return str(self)
        official = self.repository.removeprefix(_OFFICIAL)
        name = self.repository if "/" in official else official
        return name + self._suffix

    @property
    def _name(self) -> str:
        if self.transport == "docker":
            return f"{self.registry}/{self.repository}"
        return f"{self.transport}:{self.repository}"

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        """The canonical form; `parse` reads it back unchanged."""
        return self._name + self._suffix


def is_short(text: str) -> bool:
    """Whether it names an image in a registry, but not the registry. Raises InvalidReference."""
    bare = text.removeprefix("docker://")
    first, slash, _ = bare.partition("/")
    if slash:
        return not ({".", ":"} & set(first)) and first != "localhost" and first == first.lower()
    return ":" not in bare or ImageReference.parse(text).transport == "docker"


def split_name(text: str) -> tuple[str, str]:
    """[HOST/]NAME, and the :TAG and @DIGEST after it."""
    text = text.removeprefix("docker://")
    name = text.partition("@")[0]
    start = name.rfind("/") + 1
    name = name[:start] + name[start:].partition(":")[0]
    return name, text[len(name) :]


def is_digest(text: str) -> bool:
    """Whether `text` is a complete digest of an algorithm that is verified here."""
    return re.fullmatch(_DIGEST, text) is not None


def is_bare_digest(text: str) -> bool:
    """Whether it is a whole digest without a name, which is no reference."""
    if len(text) not in (64, 71):  # of sha256, without and with its name
        return False
    return is_digest(text) or re.fullmatch(_BARE_ID, text) is not None


def _parse_docker(text: str, unprefixed: str) -> ImageReference:
    name, at, digest = unprefixed.partition("@")
    name, tag = _split_tag(name)
    registry, repository = _split_registry(name)
    _check(text, registry, repository)
    if tag is not None and not re.fullmatch(_TAG, tag):
        raise _invalid(text, f"{tag!r} is not a tag", "a tag is at most 128 letters, digits, '_', '.' or '-'")
    if at and not is_digest(digest):
        raise _invalid(text, f"{digest!r} is not a digest", "write sha256: and 64 hexadecimal digits")
    if tag is None and not at:
        tag = DEFAULT_TAG
    return ImageReference(
        transport="docker", registry=registry, repository=repository, tag=tag, digest=digest or None
    )


def _split_tag(name: str) -> tuple[str, str | None]:
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, None)


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not ({".", ":"} & set(first) or first == "localhost" or first != first.lower()):
        registry, repository = DEFAULT_REGISTRY, name
    else:
        registry, repository = first, rest
    if registry == "index.docker.io":  # the Hub's old name
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL + repository
    return registry, repository


def _check(text: str, registry: str, repository: str) -> None:
    if not text or not repository.removeprefix(_OFFICIAL):
        raise _invalid(text, "it names no image")
    if is_digest(text):
        raise _invalid(text, "a digest alone names no registry", "write NAME@sha256:DIGEST")
    if re.fullmatch(_BARE_ID, repository.removeprefix(_OFFICIAL)):
        raise _invalid(text, "64 hexadecimal digits are a digest", "write NAME@sha256:DIGEST")
    if not re.fullmatch(_HOST, registry):
        raise _invalid(text, f"{registry!r} is not a registry's HOST[:PORT]")
    if re.search(_PORT, registry) and int(registry.rpartition(":")[2]) > _MAX_PORT:
        raise _invalid(text, f"the port of {registry!r} is above {_MAX_PORT}")
    if repository != repository.lower():
        raise _invalid(text, "a repository's name is lower case")
    if not re.fullmatch(_REPOSITORY, repository):
        raise _invalid(text, f"{repository!r} is not a repository's name")
    if len(registry) + 1 + len(repository) > _MAX_NAME:
        raise _invalid(text[:64] + "…", f"the name is longer than {_MAX_NAME} characters")


def _parse_oci(text: str, rest: str) -> ImageReference:
    directory, tag = _split_tag(rest)
    if not directory or "\0" in directory:
        raise _invalid(text, "it names no directory", "write oci:DIR[:TAG]")
    if tag is not None and not re.fullmatch(_TAG, tag):
        raise _invalid(text, f"{tag!r} is not a tag")
    return _local("oci", directory, tag)


def _parse_oci_archive(text: str, rest: str) -> ImageReference:
    file, colon, tag = rest.partition(":")
    if not file or "\0" in file:
        raise _invalid(text, "it names no file", "write oci-archive:FILE[:TAG]")
    if colon and not re.fullmatch(_TAG, tag):
        tag = str(_parse_docker(text, tag))  # as podman names what it saves
    return _local("oci-archive", file, tag or None)


def _parse_docker_archive(text: str, rest: str) -> ImageReference:
    file, colon, name = rest.partition(":")
    if not file or "\0" in file:
        raise _invalid(text, "it names no file", "write docker-archive:FILE[:NAME[:TAG]]")
    return _local("docker-archive", file, str(_parse_docker(text, name)) if colon else None)


def _parse_appc(text: str, rest: str) -> ImageReference:
    if rest.startswith((".", "/")):
        if "\0" in rest:
            raise _invalid(text, "it names no file")
        return _local("appc", rest, None)
    name, version = _split_tag(rest)
    if not re.fullmatch(_AC_NAME, name) or len(name) > _MAX_NAME:
        raise _invalid(text, f"{name!r} is not an image's name", "write appc:NAME[:VERSION] or appc:./FILE")
    if version is not None and not re.fullmatch(_TAG, version):
        raise _invalid(text, f"{version!r} is not a version")
    return ImageReference(transport="appc", registry="", repository=name, tag=version, digest=None)


def _local(transport: str, path: str, tag: str | None) -> ImageReference:
    # Absolute, because the store remembers the image by this name.
    return ImageReference(
        transport=transport, registry="", repository=os.path.abspath(path), tag=tag, digest=None
    )


_LOCAL: Mapping[str, Callable[[str, str], ImageReference]] = {
    "oci": _parse_oci,
    "oci-archive": _parse_oci_archive,
    "docker-archive": _parse_docker_archive,
    "appc": _parse_appc,
}


def _invalid(
    text: str, why: str, hint: str = "write [HOST[:PORT]/]NAME[:TAG|@DIGEST] or oci:DIR[:TAG]"
) -> InvalidReference:
    return InvalidReference(f"invalid image reference {text!r}: {why}", hint=hint)
