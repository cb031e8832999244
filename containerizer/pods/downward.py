"""What a pod's containers may learn of it: metadata, as variables or in files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from containerizer.pods.document import Node
from launcher.data import Data, field

_ENTRY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class Metadata(Data, kw_only=True):
    """A pod's, as its manifest has it."""

    name: str
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def value(source: Node, metadata: Metadata, *, whole: bool = False) -> str:
    """Of a fieldRef; `whole`: all labels or annotations too. What only a cluster knows is refused."""
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
