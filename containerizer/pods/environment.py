"""Environment variables of a pod's containers: given, or from ConfigMaps, Secrets and the pod's metadata.

`$(NAME)` is expanded as in Kubernetes: by the variables before, in values, and by all of them in commands.
A value that has a secret in it is one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from containerizer.pods import downward
from containerizer.pods.document import InvalidManifest, Node
from containerizer.pods.downward import Sources
from containerizer.pods.objects import CONFIG_MAP, SECRET, Keyed, Objects

_REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z0-9]+)\))")
_KEY_KINDS = {"configMapKeyRef": CONFIG_MAP, "secretKeyRef": SECRET}
_ALL_KINDS = {"configMapRef": CONFIG_MAP, "secretRef": SECRET}


class Environment:
    """The variables of one container, in two parts."""

    def __init__(self) -> None:
        self.plain: dict[str, str] = {}
        self.secret: dict[str, str] = {}

    @property
    def all(self) -> dict[str, str]:
        return {**self.plain, **self.secret}

    def set(self, name: str, value: str, *, secret: bool) -> None:
        for part in (self.plain, self.secret):
            part.pop(name, None)
        (self.secret if secret else self.plain)[name] = value

    def expand(self, text: str) -> str:
        return expand(text, self.all)

    def expanded(self, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if words is None else tuple(self.expand(word) for word in words)

    def has_secret(self, text: str) -> bool:
        """Whether expanding this text brings a secret into it."""
        return any(match[2] in self.secret for match in _REFERENCE.finditer(text))


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` by the variables; unknown ones stay as they are, and `$$` is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else environment.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def parse(container: Node, sources: Sources) -> Environment:
    """`envFrom`, and over it `env`. Raises InvalidManifest."""
    environment = Environment()
    for source in container.objects("envFrom"):
        _add_all(environment, source, sources.objects)
    for variable in container.objects("env"):
        _add(environment, variable, sources, container.peek("name"))
    return environment


def _add_all(environment: Environment, source: Node, objects: Objects) -> None:
    prefix = source.text("prefix", "")
    if "=" in prefix:
        raise source.refusal("prefix", f"is {prefix!r}")
    kind = source.only(tuple(_ALL_KINDS))
    reference = source.object(kind)
    found = objects.find(_ALL_KINDS[kind], reference)
    reference.done()
    source.done()
    for key in found.entries if found is not None else ():
        assert found is not None
        environment.set(prefix + key, _text(found, key, reference), secret=found.kind == SECRET)


def _add(environment: Environment, variable: Node, sources: Sources, container: str) -> None:
    name = variable.text("name")
    if not name or "=" in name:
        raise variable.refusal("name", f"is {name!r}")
    if variable.has("valueFrom"):
        if variable.has("value"):
            raise variable.refusal("valueFrom", "is there besides value")
        _add_from(environment, name, variable.object("valueFrom"), sources, container)
    else:
        text = variable.text("value", "")
        environment.set(name, environment.expand(text), secret=environment.has_secret(text))
    variable.done()


def _add_from(environment: Environment, name: str, source: Node, sources: Sources, container: str) -> None:
    kind = source.only((*downward.KINDS, *_KEY_KINDS))
    reference = source.object(kind)
    source.done()
    if kind in downward.KINDS:
        environment.set(name, downward.value(kind, reference, sources, container), secret=False)
        return
    key, optional = reference.text("key"), reference.peek("optional") is True
    found = sources.objects.find(_KEY_KINDS[kind], reference)
    reference.done()
    if found is not None and key in found.entries:
        environment.set(name, _text(found, key, reference), secret=found.kind == SECRET)
    elif not optional:
        raise reference.refusal("key", f"is {key!r}, which the {_KEY_KINDS[kind]} does not have")


def _text(found: Keyed, key: str, reference: Node) -> str:
    if b"\0" in found.entries[key]:
        raise InvalidManifest(f"{reference.path}: {found.kind} {found.name}: {key} has a null character")
    return os.fsdecode(found.entries[key])
