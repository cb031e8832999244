"""FetchUri: one thing to fetch, as somebody asked for it; CommandInfo.URI of the Mesos API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from launcher.data import Data
from launcher.errors import InvalidRequest

SCHEMES = ("http", "https", "file")

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_SUFFIXES = (
    *(".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst"),
    *(".zip", ".gz", ".bz2", ".xz", ".zst"),
)
_WHITEOUT = ".wh."  # what the reader of archives takes for the mark of a file that is gone
_SWITCHES: Mapping[str, bool] = {"": True, "true": True, "false": False}


class FetchUri(Data, kw_only=True):
    """What to fetch, and what becomes of it. Raises InvalidRequest for what makes no sense."""

    value: str  # http(s)://…, file:///… or an absolute path of the host
    extract: bool = False  # unpack it; what is no archive is an error
    executable: bool = False  # let the task execute it
    cache: bool = False  # keep it for others; asks whether it has changed. Not for files of the host
    output_file: str | None = None  # below the sandbox: the file, or the directory to unpack into
    checksum: str | None = None  # "sha256:…" or "sha512:…" of what the URI gives, before it is unpacked

    def __post_init__(self) -> None:
        for check in (_check_scheme, _check_checksum, _check_use, _check_name):
            check(self)

    @property
    def path(self) -> str | None:
        """On this host; None for what comes over the network."""
        if self.value.startswith("/"):
            return self.value
        parts = urlsplit(self.value)
        return unquote(parts.path) if parts.scheme == "file" else None

    @property
    def name(self) -> str:
        """The last part of the URI's path, without what is encoded."""
        path = self.path or unquote(urlsplit(self.value).path)
        return path.rpartition("/")[2]

    @property
    def shown(self) -> str:
        """The URI for messages, without a password."""
        parts = urlsplit(self.value)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def parse(text: str) -> FetchUri:
    """`URI[,extract][,executable][,cache][,output=NAME][,checksum=ALGORITHM:HEX]`. Raises InvalidRequest.

    Options are taken from the end, so that commas may be in the URI.
    """
    words = text.split(",")
    options: dict[str, Any] = {}
    while len(words) > 1 and (option := _option(words[-1])):
        options.setdefault(*option)
        words.pop()
    return FetchUri(value=",".join(words), **options)


def of_api(value: Mapping[str, Any]) -> FetchUri:
    """CommandInfo.URI of the Mesos API, as JSON has it. Raises InvalidRequest.

    There `extract` is true unless it says otherwise, and means what looks like an archive by its name.
    """
    uri = str(value.get("value", ""))
    executable = bool(value.get("executable", False))
    extract = bool(value.get("extract", True)) and not executable and is_archive_name(uri)
    cache, output = bool(value.get("cache", False)), value.get("output_file")
    if extract:  # there it is the name that the archive is saved under
        output = None
    return FetchUri(
        value=uri, executable=executable, extract=extract, cache=cache, output_file=output or None
    )


def is_archive_name(value: str) -> bool:
    """Whether a URI looks like one of an archive: what Mesos unpacks, if it may, and by default it may."""
    return urlsplit(value).path.lower().endswith(_SUFFIXES)


def _option(word: str) -> tuple[str, bool | str] | None:
    name, equals, value = word.partition("=")
    if name in ("extract", "executable", "cache") and value in _SWITCHES:
        return name, _SWITCHES[value]
    if name in ("output", "output_file") and equals:
        return "output_file", value
    return (name, value) if name == "checksum" and equals else None


def _check_scheme(uri: FetchUri) -> None:
    try:
        parts = urlsplit(uri.value)
        port_is_fine = parts.port is None or bool(parts.port)
    except ValueError as error:
        raise InvalidRequest(f"invalid URI {uri.value!r}: {error}") from None
    local = uri.value.startswith("/") or (parts.scheme == "file" and parts.netloc in ("", "localhost"))
    remote = parts.scheme in ("http", "https") and parts.hostname and port_is_fine
    if not (local or remote) or any(ord(letter) <= 0x20 or letter == "\x7f" for letter in uri.value):
        hint = f"write {SCHEMES[0]}://HOST/PATH, {SCHEMES[1]}://HOST/PATH, file:///PATH or /PATH"
        raise InvalidRequest(f"cannot fetch {uri.value!r}", hint=hint)


def _check_checksum(uri: FetchUri) -> None:
    if uri.checksum is not None and not _CHECKSUM.fullmatch(uri.checksum):
        hint = "write sha256: or sha512:, and the digest in lower-case hexadecimal"
        raise InvalidRequest(f"invalid checksum {uri.checksum!r} of {uri.shown}", hint=hint)


def _check_use(uri: FetchUri) -> None:
    if uri.extract and uri.executable:
        hint = "the files of an archive have modes of their own"
        raise InvalidRequest(f"{uri.shown} cannot be both extracted and executable", hint=hint)


def _check_name(uri: FetchUri) -> None:
    name = uri.name if uri.output_file is None else uri.output_file
    if uri.extract and uri.output_file is None:
        return  # an archive has its own names
    parts = name.split("/")
    bad = any(part in ("", ".", "..") or part.startswith(_WHITEOUT) for part in parts)
    if bad or not name.isprintable() or any(len(part.encode()) > 255 for part in parts):
        hint = "name one with output=NAME: a path below the sandbox, without '..'"
        raise InvalidRequest(f"{uri.shown} has no usable file name: {name!r}", hint=hint)
