"""containerizer-default: the profile of AppArmor for containers that name none, and who loads it.

It says once more what the mounts of a container say, so that a task finds no more where one of those fails,
or where it has a capability with which it could undo them. See apparmor.d(5).
"""

from __future__ import annotations

import os

from isolators import program
from isolators.isolator import IsolatorUnavailable

NAME = "containerizer-default"
PARSER = "/sbin/apparmor_parser"

_TIMEOUT = 60.0  # seconds

# What no rule permits is denied: mounts and their removal, pivot_root, other profiles. Links like /proc/self
# are followed before a rule is looked for. Who sends a signal needs a rule as well, so all may be received.
_TEXT = f"""
profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  network,
  capability,
  file,
  signal (receive),
  signal (send) peer={NAME},
  ptrace (trace, read, tracedby, readby) peer={NAME},

  # In /proc what is no process', but shared memory's limits, which a namespace has.
  deny /proc/* wl,
  deny /proc/[^1-9s]*/** wl,
  deny /proc/s[^y]*/** wl,
  deny /proc/sys[^/]*/** wl,
  deny /proc/sys/[^k]** wl,
  deny /proc/sys/kernel/[^s]** wl,
  deny /proc/sys/kernel/s[^h]** wl,
  deny /proc/sys/kernel/sh[^m]** wl,
  deny /proc/{{kcore,sysrq-trigger}} rwkl,

  # In /sys all but the cgroups.
  deny /sys/[^f]** wkl,
  deny /sys/f[^s]** wkl,
  deny /sys/fs/[^c]** wkl,
  deny /sys/fs/c[^g]** wkl,
  deny /sys/{{firmware,kernel/security,kernel/debug,kernel/tracing,devices/virtual/powercap}}/** rwkl,
}}
"""


def can_be_loaded() -> bool:
    return os.access(PARSER, os.X_OK)


def load() -> None:
    """Replaces one of this name. Raises IsolatorUnavailable."""
    argv = (PARSER, "--skip-cache", "--replace")
    try:
        ran = program.run(PARSER, argv, program.environment(), _TEXT.encode(), _TIMEOUT)
    except OSError as error:
        raise _refusal(str(error)) from error
    if ran.status != 0:
        how = "takes too long" if ran.status is None else program.how_it_ended(ran.status)
        raise _refusal(f"{how}: {program.short(ran.told)}")


def _refusal(why: str) -> IsolatorUnavailable:
    hint = "see the kernel's log, or use `--security-opt apparmor=unconfined`"
    return IsolatorUnavailable(f"the AppArmor profile {NAME} cannot be loaded: {PARSER} {why}", hint=hint)
