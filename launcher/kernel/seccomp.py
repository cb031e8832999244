"""seccomp(2): whether this kernel filters system calls, and what a filter is made of.

It is a program of classic BPF, ready as bytes: struct sock_filter of linux/filter.h in the byte order
of this machine.
"""

from __future__ import annotations

ACTIONS = "/proc/sys/kernel/seccomp/actions_avail"  # Linux 4.14, with CONFIG_SECCOMP_FILTER

INSTRUCTION = 8  # bytes, of struct sock_filter
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS


def is_supported() -> bool:
    """Whether the kernel filters system calls, and knows every answer that our filters give."""
    try:
        with open(ACTIONS) as file:
            return {"allow", "errno", "kill_process"} <= set(file.read().split())
    except OSError:
        return False
