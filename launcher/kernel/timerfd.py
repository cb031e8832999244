"""timerfd_create(2): a descriptor that polls readable when its time has come; Python has it since 3.13."""

from __future__ import annotations

import ctypes
import time

from launcher.kernel.libc import function

_TFD_CLOEXEC = 0o2000000
_TFD_NONBLOCK = 0o4000

_create = function("timerfd_create", ctypes.c_int, ctypes.c_int)


class _Spec(ctypes.Structure):
    """struct itimerspec, as (interval, first expiration), each in seconds and nanoseconds."""

    _fields_ = [(name, ctypes.c_long) for name in ("period", "period_ns", "first", "first_ns")]


_settime = function("timerfd_settime", ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Spec), ctypes.c_void_p)


def create() -> int:
    """A timer that is not set; close-on-exec. Raises OSError."""
    return _create("a timer", time.CLOCK_MONOTONIC, _TFD_CLOEXEC | _TFD_NONBLOCK)


def set_once(timer: int, seconds: float) -> None:
    """Have it tell once, after that time from now; what it has told before is forgotten. Raises OSError."""
    whole = int(seconds)
    spec = _Spec(first=whole, first_ns=int((seconds - whole) * 1e9))
    _settime("a timer", timer, 0, ctypes.byref(spec), None)
