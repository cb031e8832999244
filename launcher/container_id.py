"""ContainerId: a container's place in the tree of nested containers."""

from __future__ import annotations

import functools
import os
import re

from launcher.data import Data
from launcher.errors import InvalidRequest

MAX_DEPTH = 32  # levels, the root container included; the kernel nests PID namespaces no deeper
MAX_NAME = 64  # bytes; leaves room for every level of a tree in PATH_MAX

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_COMMAND = r"exec-[0-9a-f]{12}"


class ContainerId(Data):
    """A name, and the container it is nested in if any; written `web.nginx.debug`.

    A name becomes a directory and a cgroup, so only letters, digits, `_` and `-` are taken.
    A further command in a container (`exec`) has an id in it too, but is no level of its own.
    Raises InvalidRequest for any other name, and for a level deeper than MAX_DEPTH.
    """

    name: str
    parent: ContainerId | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > MAX_NAME:
            raise InvalidRequest(
                f"invalid container name {self.name!r}",
                hint=f"use at most {MAX_NAME} letters, digits, '_' or '-', a letter or digit first",
            )
        if self.depth > MAX_DEPTH:
            hint = "the kernel nests no deeper; run it beside its parent instead"
            raise InvalidRequest(f"container {self} is nested deeper than {MAX_DEPTH} levels", hint=hint)

    @property
    def lineage(self) -> tuple[str, ...]:
        """The names from the root container down to this one."""
        return (*self.parent.lineage, self.name) if self.parent else (self.name,)

    def below(self, base: str) -> str:
        """The container's directory in a tree of directories that begins there."""
        if self.parent is None:  # as most are, and it is asked for twenty times a launch
            return f"{base}/containers/{self.name}"
        return "/".join([base, *[f"containers/{name}" for name in self.lineage]])

    @property
    def depth(self) -> int:
        """How many levels of containers there are, from the root container down to this one."""
        return (self.parent.depth if self.parent else 0) + (not self.is_command)

    @property
    def is_command(self) -> bool:
        """Whether it is of a further command in its parent."""
        return self.parent is not None and re.fullmatch(_COMMAND, self.name) is not None

    @classmethod
    def of_command(cls, container: ContainerId) -> ContainerId:
        """A new id for a further command in a container."""
        return cls(f"exec-{cls.generate().name}", container)

    @classmethod
    @functools.lru_cache(maxsize=256)  # a record's is asked for at each turn
    def parse(cls, text: str) -> ContainerId:
        """Read the dotted form."""
        container_id: ContainerId | None = None
        for name in text.split("."):
            container_id = cls(name, container_id)
        assert container_id is not None  # "".split(".") yields one, invalid, name
        return container_id

    @classmethod
    def generate(cls) -> ContainerId:
        """A random id of 12 hexadecimal digits: 48 bits, as many as people compare by eye."""
        return cls(os.urandom(6).hex())

    def __str__(self) -> str:
        return ".".join(self.lineage)
