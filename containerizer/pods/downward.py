"""What a pod's containers may learn of it: metadata and resources, as variables or in files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from containerizer.pods import amounts
from containerizer.pods.amounts import Amounts
from containerizer.pods.document import Node
from containerizer.pods.objects import Objects
from launcher.data import Data, field

KINDS = ("fieldRef", "resourceFieldRef")

_ENTRY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class Metadata(Data, kw_only=True):
    """A pod's, as its manifest has it."""

    name: str
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


class Sources(Data, kw_only=True):
    """Where content comes from."""

    metadata: Metadata
    objects: Objects
    amounts: Mapping[str, Amounts] = field(default_factory=dict)  # of the containers, by their names


def value(kind: str, reference: Node, sources: Sources, container: str | None = None) -> str:
    """Of one of KINDS: for a variable of this container, or for a file, which can have all labels too."""
    if kind == "resourceFieldRef":
        return amounts.value(reference, sources.amounts, container)
    return _field(reference, sources.metadata, whole=container is None)


def _field(source: Node, metadata: Metadata, *, whole: bool) -> str:
    """What only a cluster knows is refused."""
    source.one_of("apiVersion", ("v1",), "v1")
    path = source.text("fieldPath")
    source.done()
    mappings = {"labels": metadata.labels, "annotations": metadata.annotations}
    if match := _ENTRY.fullmatch(path):
        return mappings[match[1]].get(match[2], "")
    plain = {"metadata.name": metadata.name, "metadata.namespace": metadata.namespace}
    if whole:
        plain |= {f"metadata.{name}": _lines(mapping) for name, mapping in mappings.items()}
    if path not in plain:
        choices = ", ".join((*plain, "metadata.labels['KEY']", "metadata.annotations['KEY']"))
        raise source.refusal("fieldPath", f"is {path!r}; it can be {choices}")
    return plain[path]


def _lines(mapping: Mapping[str, str]) -> str:
    """As Kubernetes writes them: `key="value"`, escaped, by their keys."""
    return "\n".join(f"{key}={json.dumps(mapping[key], ensure_ascii=False)}" for key in sorted(mapping))
