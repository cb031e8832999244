"""The child's steps that wait while the launcher runs hooks: launcher/hooks.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher import hooks
from launcher.program.messages import HOOKS, await_release, tell

if TYPE_CHECKING:
    from launcher.child import Child


def await_hooks(child: Child, point: str) -> None:
    """Those of this point, and of the others that come with it."""
    number = hooks.POINTS.index(point)
    if any(hook.point in hooks.waited_for(number) for hook in child.info.hooks):
        tell(child.program, HOOKS, number)
        await_release(child.program)
