"""Signal dispositions, of all signals: glibc hides the two that it uses itself (nptl(7)).

A program that was started by glibc's posix_spawn(3), as make does, ignores signal 32, and so would
everything that it starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal

from launcher.kernel.libc import SyscallError, syscall

_RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134, "ppc64le": 173, "s390x": 174}
_NUMBER = _RT_SIGACTION.get(os.uname().machine)
_DEFAULT = ctypes.create_string_buffer(32)  # struct sigaction of the kernel: SIG_DFL, no flags, no mask
_UNCHANGEABLE = (signal.SIGKILL, signal.SIGSTOP)
_LAST = 64


def reset_all() -> None:
    """Give every signal its default disposition, and unblock all."""
    for number in range(1, _LAST + 1):
        if number not in _UNCHANGEABLE:
            _reset(number)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _reset(number: int) -> None:
    if _NUMBER is None:  # an architecture whose system calls are not in the table: what glibc allows
        if number in signal.valid_signals():
            signal.signal(number, signal.SIG_DFL)
        return
    try:
        syscall("rt_sigaction", _NUMBER, f"signal {number}", number, _DEFAULT, None, ctypes.c_size_t(8))
    except SyscallError as error:
        if error.errno != errno.EINVAL:  # fewer signals than elsewhere
            raise
