"""Debian's libseccomp, to compare with: what it makes of rules."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from typing import Any

from isolators.linux.seccomp_filter import Condition, Profile
from isolators.linux.syscalls import numbers

_OPERATORS = {"!=": 1, "<": 2, "<=": 3, "==": 4, ">=": 5, ">": 6}
_MASKED = 7  # SCMP_CMP_MASKED_EQ
_ALL_BITS = (1 << 64) - 1


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def is_there() -> bool:
    return ctypes.util.find_library("seccomp") is not None


def program(profile: Profile) -> bytes:
    """The filter of these rules, for this machine's own ABI."""
    library: Any = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(profile.default)))
    try:
        table = numbers(os.uname().machine)
        for rule in profile.rules:
            compared = (_Comparison * len(rule.conditions))(*map(_comparison, rule.conditions))
            for number in [table[name] for name in rule.names if name in table]:
                action = ctypes.c_uint32(rule.action)
                added = library.seccomp_rule_add_exact_array(
                    context, action, number, len(rule.conditions), compared
                )
                assert added == 0, (rule, os.strerror(-added))
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _comparison(condition: Condition) -> _Comparison:
    if condition.mask != _ALL_BITS:
        assert condition.operator == "=="
        return _Comparison(condition.index, _MASKED, condition.mask, condition.value)
    return _Comparison(condition.index, _OPERATORS[condition.operator], condition.value, 0)


def _exported(library: Any, context: ctypes.c_void_p) -> bytes:
    file = os.memfd_create("filter")
    try:
        assert library.seccomp_export_bpf(context, file) == 0
        return os.pread(file, 1 << 20, 0)
    finally:
        os.close(file)
