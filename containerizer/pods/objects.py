"""ConfigMaps and Secrets: documents beside the Pod's, whose entries containers have as variables or files.

What a Secret has is bytes that no message, record or status shows.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping

from containerizer.pods.document import Node
from launcher.data import Data

CONFIG_MAP, SECRET = "ConfigMap", "Secret"

_KEY = re.compile(r"(?!\.\.?\Z)[-._a-zA-Z0-9]{1,253}")  # "ConfigMap" in the Kubernetes API reference
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")  # RFC 1123, as of most objects
_BOOKKEEPING = (  # a cluster's own, in what `kubectl get -o yaml` prints
    *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
    *("deletionGracePeriodSeconds", "generateName", "ownerReferences", "finalizers", "managedFields"),
    "selfLink",
)


class Keyed(Data, kw_only=True):
    """One of them."""

    kind: str
    name: str
    entries: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


class Objects:
    """All of a manifest, by kind and name."""

    def __init__(self, found: Iterable[Keyed] = ()) -> None:
        self._found: dict[tuple[str, str], Keyed] = {(each.kind, each.name): each for each in found}

    def find(self, kind: str, node: Node, name_field: str = "name") -> Keyed | None:
        """The one that `node` names; None where it is optional and missing. Raises InvalidManifest."""
        name, optional = node.text(name_field), bool(node.flag("optional"))
        found = self._found.get((kind, name))
        if found is None and not optional:
            why = f"is {name!r}, and no such {kind} is in the manifest"
            raise node.refusal(name_field, why, hint="add it as a document of its own, after a line of ---")
        return found


def parse(documents: Iterable[tuple[str, Node]]) -> Objects:
    """Of these kinds and documents. Raises InvalidManifest."""
    found: dict[tuple[str, str], Keyed] = {}
    for kind, node in documents:
        name = _name(node.object("metadata"))
        if (kind, name) in found:
            raise node.refusal("metadata.name", f"is {name!r}, as another {kind}'s")
        entries = _secret(node) if kind == SECRET else _config_map(node)
        node.flag("immutable")
        node.done()
        found[kind, name] = Keyed(kind=kind, name=name, entries=entries)
    return Objects(found.values())


def take_bookkeeping(metadata: Node) -> None:
    """What only a cluster has use for."""
    for field in _BOOKKEEPING:
        metadata.ignore(field)


def _name(node: Node) -> str:
    name = node.text("name")
    if not _NAME.fullmatch(name):
        raise node.refusal("name", f"is {name!r}", hint="use lower-case letters, digits, '-' and '.'")
    for field in ("labels", "annotations"):
        node.mapping(field)
    node.text("namespace", "")
    take_bookkeeping(node)
    node.done()
    return name


def _config_map(node: Node) -> dict[str, bytes]:
    texts, binaries = node.mapping("data"), node.mapping("binaryData")
    both = texts.keys() & binaries.keys()
    if both:
        raise node.refusal("binaryData", f"has {min(both)!r}, as data has")
    return {
        **{_key(node, "data", key): _encoded(value) for key, value in texts.items()},
        **{_key(node, "binaryData", key): _decoded(node, "binaryData", key, binaries) for key in binaries},
    }


def _secret(node: Node) -> dict[str, bytes]:
    node.text("type", "")
    coded, texts = node.mapping("data"), node.mapping("stringData")
    return {
        **{_key(node, "data", key): _decoded(node, "data", key, coded) for key in coded},
        **{_key(node, "stringData", key): _encoded(value) for key, value in texts.items()},
    }


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _key(node: Node, field: str, key: str) -> str:
    if not _KEY.fullmatch(key):
        raise node.refusal(field, f"has the key {key[:80]!r}", hint="use letters, digits, '-', '_' and '.'")
    return key


def _decoded(node: Node, field: str, key: str, values: Mapping[str, str]) -> bytes:
    try:
        return base64.b64decode("".join(values[key].split()), validate=True)
    except (binascii.Error, ValueError):
        raise node.refusal(f"{field}.{key}", "is not base64") from None
