"""Signal dispositions by the system call itself: signal(7), rt_sigaction(2).

glibc hides the two signals that it uses itself (nptl(7)): a program that was started by its
posix_spawn(3), as make does, ignores signal 32, and so would everything that it starts. Python's
signal module wraps each number into an enum, which costs a fresh fork 200 page faults.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable

from launcher.kernel.libc import syscall

_RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134, "ppc64le": 173, "s390x": 174}
_RT_SIGPROCMASK = {"x86_64": 14, "aarch64": 135, "riscv64": 135, "ppc64le": 174, "s390x": 175}
_MACHINE = os.uname().machine

# What supervisors ignore: whoever ends them ends their containers, and a write that fails says so itself.
IGNORED = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGPIPE, signal.SIGXFSZ),
)

_SIG_SETMASK = 2
_SET_SIZE = ctypes.c_size_t(8)
_NO_SIGNALS = ctypes.c_uint64(0)

# struct sigaction of the kernel: a handler (SIG_DFL is 0, SIG_IGN 1), no flags, no mask.
_DEFAULT = (ctypes.c_uint64 * 4)(0, 0, 0, 0)
_IGNORE = (ctypes.c_uint64 * 4)(1, 0, 0, 0)


def reset_ignored() -> None:
    """Give every ignored signal its default disposition. execve(2) does so for the handled ones."""
    ignored = _ignored()
    _set((number for number in range(1, 65) if ignored >> (number - 1) & 1), _DEFAULT)


def ignore(numbers: Iterable[int]) -> None:
    """Ignore these, whatever handler Python has for them."""
    _set(numbers, _IGNORE)


def default(numbers: Iterable[int]) -> None:
    """Give these their default disposition, whatever handler Python has for them."""
    _set(numbers, _DEFAULT)


def unblock_all() -> None:
    """Block no signal any more."""
    number = _RT_SIGPROCMASK.get(_MACHINE)
    if number is None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return
    arguments = (_SIG_SETMASK, ctypes.byref(_NO_SIGNALS), None, _SET_SIZE)
    syscall("rt_sigprocmask", number, "all signals", *arguments)


def _set(numbers: Iterable[int], action: ctypes.Array[ctypes.c_uint64]) -> None:
    system_call = _RT_SIGACTION.get(_MACHINE)
    for number in numbers:
        if system_call is not None:
            syscall("rt_sigaction", system_call, f"signal {number}", number, action, None, _SET_SIZE)
        elif number in signal.valid_signals():  # a machine that is not in the table: what glibc allows
            signal.signal(number, signal.SIG_IGN if action is _IGNORE else signal.SIG_DFL)


def _ignored() -> int:
    """The set of ignored signals, signal 1 in bit 0: SigIgn of proc(5)."""
    with open("/proc/self/status", "rb") as file:
        line = next(line for line in file if line.startswith(b"SigIgn:"))
    return int(line.split()[1], 16)
