"""Profiles of seccomp from files, as Docker and the OCI runtime specification (config-linux.md) write them.

    {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", …], "action": "SCMP_ACT_ALLOW"}]}

Docker's conditions on a rule (`includes`, `excludes`) are decided here, by the machine, its kernel and what
the task may do. The file is the operator's; what in it makes no sense is an error, not a rule less.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from isolators.linux.seccomp_filter import ALLOW, KILL_PROCESS, Condition, Profile, Rule, errno_action
from launcher.errors import InvalidRequest
from launcher.kernel import files

_LARGEST = 1 << 20  # bytes of a file
_KILL_THREAD, _TRAP, _LOG = 0x00000000, 0x00030000, 0x7FFC0000  # SECCOMP_RET_* of linux/seccomp.h
_ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_KILL": _KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": _KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": _TRAP,
    "SCMP_ACT_LOG": _LOG,
}
_ERRNO = "SCMP_ACT_ERRNO"
_OPERATORS = {
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_GT": ">",
}
_MASKED = "SCMP_CMP_MASKED_EQ"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Docker's conditions name them


def read(path: str, capabilities: Collection[str]) -> Profile:
    """The profile for a task with these capabilities. Raises InvalidRequest, naming the file."""
    try:
        value = json.loads(files.read(path, _LARGEST))
        default = _action(value["defaultAction"], value.get("defaultErrnoRet"))
        rules = tuple(rule for each in value.get("syscalls") or () for rule in _rules(each, capabilities))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InvalidRequest(f"cannot use the seccomp profile {path}: {reason}") from error
    # What is not in our table is as what the profile does not name.
    return Profile(rules=rules, default=default, unknown=default)


def _rules(value: Mapping[str, Any], capabilities: Collection[str]) -> Iterator[Rule]:
    includes, excludes = value.get("includes") or {}, value.get("excludes") or {}
    if not _holds_all(includes, capabilities) or _holds_any(excludes, capabilities):
        return
    names = value.get("names") or [value["name"]]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{names!r} are no names of calls")
    action = _action(value["action"], value.get("errnoRet"))
    yield Rule(tuple(names), action, tuple(map(_condition, value.get("args") or ())))


def _action(name: str, number: int | None) -> int:
    if name == _ERRNO:
        return errno_action(errno.EPERM if number is None else number & 0xFFF)
    if name not in _ACTIONS:
        raise ValueError(f"the action {name!r} is not supported")
    return _ACTIONS[name]


def _condition(value: Mapping[str, Any]) -> Condition:
    index, operand = int(value["index"]), int(value["value"])
    if not 0 <= index < 6 or not 0 <= operand < 1 << 64:
        raise ValueError(f"no call has such an argument: {dict(value)}")
    if value["op"] == _MASKED:
        return Condition(index, "==", int(value.get("valueTwo", 0)), operand)
    if value["op"] not in _OPERATORS:
        raise ValueError(f"the comparison {value['op']!r} is not supported")
    return Condition(index, _OPERATORS[value["op"]], operand)


def _holds_all(conditions: Mapping[str, Any], capabilities: Collection[str]) -> bool:
    return all(_judged(conditions, capabilities))


def _holds_any(conditions: Mapping[str, Any], capabilities: Collection[str]) -> bool:
    return any(_judged(conditions, capabilities))


def _judged(conditions: Mapping[str, Any], capabilities: Collection[str]) -> Iterator[bool]:
    """Each that is there."""
    machine = os.uname().machine
    if arches := conditions.get("arches"):
        yield _MACHINES.get(machine, machine) in arches
    for name in conditions.get("caps") or ():
        yield name in capabilities
    if oldest := conditions.get("minKernel"):
        yield _version(os.uname().release) >= _version(oldest)


def _version(text: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is no version of a kernel")
    return int(match[1]), int(match[2])
