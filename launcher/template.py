"""Launch programs by template: what a launch does that is like an earlier one has been written already.

Launches of one kind differ in the container's name, which is in many paths, and in what is executed.
So the program up to the last step is kept, by all that it was made of but the name; the next such
launch gets a copy with its own name in the place of the other, and has that step written after it.
It is a quarter of what a launch takes in the launcher.

What was found out on the host while a program was written is part of what it was made of. Asked
for again it must be the same, or the program is written anew.

Only names that nobody has chosen are put in another's place (`ContainerId.random`): twelve hexadecimal
digits are nowhere in a program but where the name is, and all are of one length.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from launcher.data import Data
from launcher.kernel import process
from launcher.program.assembler import Program
from launcher.stdio import Inherit

if TYPE_CHECKING:
    from launcher.base import LaunchRequest
    from launcher.child import Child
    from launcher.task_ends import Ends

_NAME = re.compile("[0-9a-f]{12}")
_MOST = 16  # templates of 60 KiB each
_LATE = ("argv", "environment")  # what the last step is written of
_OPAQUE = ("seccomp",)  # no name is in it; to have it whole saves looking for one

# Found out by steps that ask the host more than `key` does; and what is copied while they are written.
_ASKING = ("rlimits", "nice", "scheduler", "io_priority", "cpu_affinity", "oom_score_adj")


class Template(Data):
    """A program up to its last step."""

    program: Program
    name: str  # of the container that it was written for
    found: Mapping[str, bool]  # what the image had: RootView.has


class Templates:
    """Those of one launcher. Threads may share them: each dictionary operation is whole."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Template] = {}

    def find(self, key: Hashable, written: Child) -> Template | None:
        template = self._kept.get(key)
        if template is None:
            return None
        same = all(written.view.has(path) is there for path, there in template.found.items())
        return template if same else None

    def keep(self, key: Hashable, template: Template) -> None:
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = template


def key(written: Child, request: LaunchRequest, ends: Ends) -> Hashable:
    """All that the program up to its last step is made of, but the name; None for one of its own."""
    info, name = request.info, request.container_id
    asks = any(getattr(info, field) for field in _ASKING) or any(mount.populate for mount in info.mounts)
    if asks or not isinstance(request.stdio, Inherit) or not _NAME.fullmatch(name):
        return None
    plain = info.to_json(without=(*_LATE, *_OPAQUE))
    named = [plain, request.exit_status_path, list(request.reaper), request.caretaker]
    return (
        json.dumps(named).replace(name, "\0"),  # which JSON has nowhere else
        info.seccomp,
        (written.user.uid, written.user.gid, written.user.groups),
        len(ends.kept),
        len(written.view.trees),
        tuple(os.path.isdir(mount.source) for mount in info.mounts if mount.fstype.endswith("bind")),
        process.oom_score_adj(),
        tuple(os.environ.items()),
    )
