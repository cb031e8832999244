"""Volumes of files that the manifest has the content of: configMap, secret, downwardAPI, and projected.

Containers have them read-only. They are written once: a manifest does not change, as objects of a cluster do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from containerizer.pods import downward
from containerizer.pods.document import Node
from containerizer.pods.downward import Sources
from containerizer.pods.objects import CONFIG_MAP, SECRET, Keyed
from launcher.data import Data

_MODE = 0o644  # Kubernetes' default, of secrets too: who else than the containers could read them
_MAX_NAME = 255  # bytes of one name: NAME_MAX


class File(Data, kw_only=True):
    """One of them."""

    path: str  # relative, without '..'
    content: bytes
    mode: int

    def __repr__(self) -> str:
        return f"<file {self.path}>"


class FileVolume(Data, kw_only=True):
    """Files that lie in memory."""

    name: str
    files: tuple[File, ...] = ()


def parse(name: str, kind: str, node: Node, sources: Sources) -> FileVolume:
    """A volume of one of KINDS. Raises InvalidManifest."""
    mode = _mode(node, "defaultMode", _MODE)
    files = tuple(
        _projected(node, sources, mode) if kind == "projected" else _READERS[kind](node, sources, mode)
    )
    node.done()
    _check(files, node)
    return FileVolume(name=name, files=files)


def _projected(node: Node, sources: Sources, mode: int) -> Iterator[File]:
    for source in node.objects("sources"):
        kind = source.only(tuple(_READERS))
        of = source.object(kind)
        name_field = {"name_field": "name"} if kind == "secret" else {}
        yield from _READERS[kind](of, sources, mode, **name_field)
        of.done()
        source.done()


def _config_map(node: Node, sources: Sources, mode: int) -> Iterator[File]:
    return _entries(node, CONFIG_MAP, "name", sources, mode)


def _secret(node: Node, sources: Sources, mode: int, name_field: str = "secretName") -> Iterator[File]:
    return _entries(node, SECRET, name_field, sources, mode)


def _entries(node: Node, kind: str, name_field: str, sources: Sources, mode: int) -> Iterator[File]:
    optional = node.peek("optional") is True
    found = sources.objects.find(kind, node, name_field) or Keyed(kind=kind, name="", entries={})
    if not node.has("items"):
        for key, content in found.entries.items():
            yield File(path=key, content=content, mode=mode)
    for item in node.objects("items"):
        key, path, own = item.text("key"), _path(item), _mode(item, "mode", mode)
        item.done()
        if key in found.entries:
            yield File(path=path, content=found.entries[key], mode=own)
        elif not optional:
            raise item.refusal("key", f"is {key!r}, which the {kind} does not have")


def _downward(node: Node, sources: Sources, mode: int) -> Iterator[File]:
    for item in node.objects("items"):
        path, own = _path(item), _mode(item, "mode", mode)
        kind = item.only(downward.KINDS)
        text = downward.value(kind, item.object(kind), sources)
        item.done()
        yield File(path=path, content=text.encode(errors="surrogatepass"), mode=own)


_READERS: Mapping[str, Callable[..., Iterator[File]]] = {
    "configMap": _config_map,
    "secret": _secret,
    "downwardAPI": _downward,
}
KINDS = (*_READERS, "projected")


def _mode(node: Node, name: str, default: int) -> int:
    mode = node.number(name, default)
    if mode > 0o777:
        raise node.refusal(name, f"is {mode:#o}", hint="write one from 0 to 0777")
    return mode


def _path(item: Node) -> str:
    path = item.text("path")
    names = path.split("/")
    if any(name in ("", ".", "..") or len(os.fsencode(name)) > _MAX_NAME for name in names):
        raise item.refusal("path", f"is {path[:80]!r}", hint="write a relative path without '..'")
    return path


def _check(files: tuple[File, ...], node: Node) -> None:
    paths: set[str] = set()
    for file in files:
        if file.path in paths:
            raise node.refusal("items", f"puts two files at {file.path!r}")
        paths.add(file.path)
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above in paths:
                raise node.refusal("items", f"puts a file at {above!r}, and one below it")
