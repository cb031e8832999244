"""Containers whose cgroups are below a parent that the request names, and not below the cgroups root.

Another program's (a kubelet's) limits of several containers together hold there. Which parent that is, is
noted in the state directory before the first cgroup is made, and until the last is gone:

    <state>/cgroup-parents/web -> kubepods/burstable/pod42

for the cgroups of `web`, and of all in it. Without the directory, which an agent makes that takes such
requests, there are none, and nobody looks for them.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from isolators.flags import IsolatorFlags
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups


def note(flags: IsolatorFlags, container_id: ContainerId, parent: str) -> None:
    """Have the cgroups of this container be there. Idempotent. Raises InvalidRequest, OSError."""
    if flags.cgroup_parents is None:
        hint = "use an agent that serves a kubelet: --cri"
        raise InvalidRequest(f"no cgroups are made in {parent!r} here", hint=hint)
    try:
        os.symlink(parent, _link(flags.cgroup_parents, container_id))
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def of(flags: IsolatorFlags, container_id: ContainerId) -> str | None:
    """The parent of its cgroups; None: it has them below the cgroups root."""
    if flags.cgroup_parents is None:
        return None
    try:
        return os.readlink(_link(flags.cgroup_parents, container_id))
    except FileNotFoundError:
        return None


def each(flags: IsolatorFlags) -> Iterator[tuple[ContainerId, str]]:
    """All that are noted: the containers that are in no other, and the parents of their cgroups."""
    for name in os.listdir(flags.cgroup_parents) if flags.cgroup_parents else ():
        parent = of(flags, container_id := ContainerId(name))
        if parent is not None:
            yield container_id, parent


def forget(flags: IsolatorFlags, container_id: ContainerId, path: str) -> None:
    """The note, once none of its cgroups is left; `path`: where they are in each hierarchy. Idempotent."""
    if flags.cgroup_parents is None or container_id.parent is not None:
        return
    if not any(os.path.isdir(os.path.join(h.mount_point, path)) for h in cgroups.hierarchies()):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_link(flags.cgroup_parents, container_id))


def _link(directory: str, container_id: ContainerId) -> str:
    return f"{directory}/{container_id.lineage[0]}"
