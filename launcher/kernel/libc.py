"""The C library, and system calls that it does not wrap.

PyDLL, not CDLL: a clone(2) made while another thread may take the GIL leaves a child that waits
for a thread it does not have. The callers are single-threaded; this is the belt to their braces.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000


_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class SyscallError(OSError):
    """An OSError that also knows the name of the system call, as `operation`."""

    def __init__(self, operation: str, errno: int, obj: str) -> None:
        super().__init__(errno, os.strerror(errno), obj)
        self.operation = operation


def syscall(name: str, number: int, obj: str, *args: Any) -> int:
    """Make a raw system call; `obj` is what it acts on, for the error. Raises SyscallError."""
    result: int = _libc.syscall(ctypes.c_long(number), *args)
    if result < 0:
        raise SyscallError(name, ctypes.get_errno(), obj)
    return result


def function(name: str, *argtypes: Any) -> Callable[..., int]:
    """The C function `name` that returns an int and fails with -1; raises SyscallError.

    Its wrapper takes the object of the call, for the error, and then the arguments.
    """
    c_function = getattr(_libc, name)
    c_function.argtypes = argtypes
    c_function.restype = ctypes.c_int

    def call(obj: str, *args: Any) -> int:
        result: int = c_function(*args)
        if result < 0:
            raise SyscallError(name, ctypes.get_errno(), obj)
        return result

    return call
