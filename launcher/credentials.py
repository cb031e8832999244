"""Give up the launcher's credentials for the task's. See capabilities(7) and credentials(7)."""

from __future__ import annotations

import os

from launcher.kernel import capabilities, prctl
from launcher.launch_info import Capabilities
from launcher.user import User


def apply_credentials(user: User, sets: Capabilities | None) -> None:
    """Groups, gid, uid, and the capability sets, in the one order that the kernel allows.

    The bounding set first, since dropping from it needs CAP_SETPCAP; the ids next, since they need
    CAP_SETUID and CAP_SETGID; the other sets last.
    """
    if sets is not None:
        capabilities.apply_bounding(sets.bounding)
        capabilities.clear_ambient()
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    if sets is not None and user.uid != 0:
        prctl.keep_capabilities()  # till the sets are made: what is inheritable must be permitted now
    os.setresuid(user.uid, user.uid, user.uid)
    if sets is None:
        return
    if user.uid == 0:
        capabilities.set_capabilities(sets.effective, sets.permitted, sets.inheritable)
    else:
        # execve(2) leaves another user only what is ambient; leave no more before it either.
        capabilities.set_capabilities(sets.ambient, sets.ambient, sets.inheritable)
    capabilities.raise_ambient(sets.ambient)
