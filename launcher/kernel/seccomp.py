"""seccomp(2): whether this kernel filters system calls, and what a filter is made of.

It is a program of classic BPF, ready as bytes: struct sock_filter of linux/filter.h in the byte order
of this machine.
"""

from __future__ import annotations

import functools

ACTIONS = "/proc/sys/kernel/seccomp/actions_avail"  # Linux 4.14, with CONFIG_SECCOMP_FILTER

SET_MODE_FILTER = 1  # of seccomp(2)

INSTRUCTION = 8  # bytes, of struct sock_filter
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS


# Flags of seccomp(2) that a profile may ask for.
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,  # Linux 5.19
}
TSYNC = FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]
WAIT_KILLABLE_RECV = FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
NEW_LISTENER = 8
TSYNC_ESRCH = 16  # Linux 5.7; without it a new listener and TSYNC would both be the call's result


def is_supported() -> bool:
    """Whether the kernel filters system calls, and knows every answer that our filters give."""
    return {"allow", "errno", "kill_process"} <= actions()


@functools.cache
def actions() -> frozenset[str]:
    """What a filter may answer here, by the kernel's names; nothing where it has no filters."""
    try:
        with open(ACTIONS) as file:
            return frozenset(file.read().split())
    except OSError:
        return frozenset()
