"""Launch programs by template: what a launch does that is like an earlier one has been written already.

Launches of one kind differ in the container's name, which is in many paths. So the program is kept as it
is for a placeholder (`LaunchRequest.like`), and each launch gets its own name in the placeholder's place.

What was found out on the host while a program was written is part of what it was made of. Asked
for again it must be the same, or the program is written anew. An image's layers are not asked again:
they may not change as long as containers use them.

The placeholder's name is random and long: it is nowhere in a program but where the name is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from launcher import intermediate, supervisor
from launcher.data import Data
from launcher.kernel import process
from launcher.launch_info import LaunchInfo
from launcher.program.assembler import Program
from launcher.stdio import Inherit
from launcher.user import User

if TYPE_CHECKING:
    from launcher.base import LaunchRequest
    from launcher.child import Child
    from launcher.task_ends import Ends

_MOST = 16  # templates of 60 KiB each

# Found out by steps that ask the host more than `key` does; and what is copied while they are written.
_ASKING = ("rlimits", "nice", "scheduler", "io_priority", "cpu_affinity", "oom_score_adj")


class Template(Data):
    """A program that has been assembled."""

    program: Program
    like: LaunchRequest  # what it was written for
    user: User
    found: Mapping[str, bool]  # what the image had: RootView.has
    makes_root: bool  # the child: as it was made by the launcher, its upper directory is in no other overlay


class Templates:
    """Those of one launcher. Threads may share them: each dictionary operation is whole."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Template] = {}
        self._plain: LaunchRequest | None = None  # the last one of which it was found out

    def is_plain(self, like: LaunchRequest | None) -> bool:
        """Whether it is known that launches like this one ask the host for nothing more than `key` does."""
        return like is not None and like is self._plain

    def key(self, written: Child, request: LaunchRequest, ends: Ends) -> Hashable:
        """All that the program is made of, but the name; None for one of its own."""
        like = request.like
        if like is None or len(like.container_id) != len(request.container_id):
            return None
        if like is not self._plain:
            if _asks(request.info) or written.detached or intermediate.is_needed(request.info):
                return None
            self._plain = like
        return (
            id(like),  # which its template keeps alive
            None if isinstance(request.stdio, Inherit) else repr(request.stdio),
            (ends.link >= 0, len(ends.kept)),
            written.directories,
            process.oom_score_adj(),
            supervisor.inherited(),
        )

    def find(self, key: Hashable, written: Child, opened: contextlib.ExitStack) -> Template | None:
        """Raises OSError."""
        template = self._kept.get(key)
        if template is None or template.makes_root:
            return template
        written.look_into_root(opened)
        written.resolve_user()
        same = all(written.view.has(path) is there for path, there in template.found.items())
        return template if same and written.user == template.user else None

    def keep(self, key: Hashable, template: Template) -> None:
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = template


def is_settled(info: LaunchInfo) -> bool:
    """Whether the root filesystem has what the template's had: layers that nobody writes to, and no more.

    What is mounted may not be changed below an overlay: Documentation/filesystems/overlayfs.rst.
    """
    return any(mount.target == info.rootfs and mount.fstype == "overlay" for mount in info.rootfs_mounts)


def _asks(info: LaunchInfo) -> bool:
    return any(getattr(info, field) for field in _ASKING) or any(m.populate or m.chown for m in info.mounts)
