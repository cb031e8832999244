"""Profiles of seccomp as people write them: Docker's JSON, and `linux.seccomp` of the OCI specification.

Docker's has `archMap`, and rules that hold with some capabilities, on some machines and from some kernel
on: what decides that is known here, so a `Profile` comes out that has none of it. The specification's
has `architectures`, `flags` and errnos. Sources: github.com/opencontainers/runtime-spec config-linux.md,
github.com/moby/profiles seccomp, seccomp(2), seccomp_rule_add(3).
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isolators.linux.seccomp_filter import (
    ALLOW,
    KILL_PROCESS,
    NOTIFY,
    Condition,
    Profile,
    Rule,
    errno_action,
)
from launcher.data import Data, replace
from launcher.errors import InvalidRequest
from launcher.kernel import files, seccomp
from launcher.launch_info import SeccompListener

MAX_SIZE = 1 << 20  # bytes of a document; Docker's has 17 thousand

_ERRNO = "SCMP_ACT_ERRNO"
_TRACE = "SCMP_ACT_TRACE"
_NOTIFY = "SCMP_ACT_NOTIFY"
_TELLING = "write"  # by which the child says that it can be asked about: launcher/seccomp_listener.py

# Action → what a filter returns for it, and the kernel's name: SECCOMP_RET_* of linux/seccomp.h.
_ACTIONS = {
    "SCMP_ACT_ALLOW": (ALLOW, "allow"),
    "SCMP_ACT_LOG": (0x7FFC0000, "log"),
    _TRACE: (0x7FF00000, "trace"),
    _NOTIFY: (NOTIFY, "user_notif"),
    _ERRNO: (errno_action(0), "errno"),
    "SCMP_ACT_TRAP": (0x00030000, "trap"),
    "SCMP_ACT_KILL": (0, "kill_thread"),
    "SCMP_ACT_KILL_THREAD": (0, "kill_thread"),
    "SCMP_ACT_KILL_PROCESS": (KILL_PROCESS, "kill_process"),
}
_WITH_NUMBER = (_ERRNO, _TRACE)  # what is told to whoever called, or to the tracer
# A call that is younger than the profile gets these; with the others it is an error, as of an old kernel.
_OPEN = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", _TRACE)

_OPERATORS = {
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_GT": ">",
}
_MASKED = "SCMP_CMP_MASKED_EQ"

# The specification's names of architectures → of ours, or None for those that other machines have.
_ARCHITECTURES: Mapping[str, str | None] = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_AARCH64": "aarch64",
    **dict.fromkeys(
        f"SCMP_ARCH_{name}"
        for name in (
            *(
                "X32",
                "ARM",
                "MIPS",
                "MIPS64",
                "MIPS64N32",
                "MIPSEL",
                "MIPSEL64",
                "MIPSEL64N32",
                "PPC",
                "PPC64",
            ),
            *(
                "PPC64LE",
                "S390",
                "S390X",
                "PARISC",
                "PARISC64",
                "RISCV64",
                "LOONGARCH64",
                "M68K",
                "SH",
                "SHEB",
            ),
        )
    ),
}
_GO = {"x86_64": "amd64", "aarch64": "arm64"}  # as `includes` and `excludes` name machines

_MAX_ERRNO = 4095  # MAX_ERRNO of the kernel
_MAX_WORD = 1 << 64
_ARGUMENTS = 6

_KNOWN = {
    "the profile": frozenset(
        (
            *("defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "syscalls"),
            *("flags", "listenerPath", "listenerMetadata"),
        )
    ),
    "a rule": frozenset(
        ("name", "names", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes")
    ),
    "a condition": frozenset(("index", "value", "valueTwo", "op")),
    "a filter": frozenset(("caps", "arches", "minKernel")),
    "an entry of archMap": frozenset(("architecture", "subArchitectures")),
}


class Host(Data):
    """What decides about a document's rules."""

    machine: str  # as of uname(2)
    kernel: tuple[int, int]
    capabilities: frozenset[str]  # of the task


class Document(Data):
    """What a document comes to."""

    profile: Profile
    abis: tuple[str, ...]  # of seccomp_filter.ABIS; the others are killed
    flags: int  # of seccomp(2)
    listener: SeccompListener | None = None  # who answers for SCMP_ACT_NOTIFY; None: nothing is asked


def parse(text: str, host: Host) -> Document:
    """Raises InvalidRequest, which names what is wrong."""
    if len(text) > MAX_SIZE:
        raise _invalid(f"it has {len(text)} characters", f"use at most {MAX_SIZE}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"it is no JSON: {error}", "see the OCI runtime specification") from error
    value = _object(value, "the profile")
    default = value.get("defaultAction")
    default_number = _number(value, "defaultErrnoRet", "defaultErrno")
    action = _action(default, default_number)
    if action == NOTIFY:
        raise _invalid(f"{_NOTIFY} is its defaultAction", "name the calls that somebody is to answer")
    rules = list(_decided(list(_rules(value, host, action))))
    enosys = errno_action(errno.ENOSYS)
    profile = Profile(
        rules=tuple(rules), default=action, unknown=action if default in _OPEN else enosys, ends_at_named=True
    )
    asks = any(each.action == NOTIFY for each in rules)
    return Document(profile, _abis(value, host.machine), _flags(value, asks), _listener(value, asks))


def read(path: str) -> str:
    """The text of a file. Raises InvalidRequest."""
    try:
        content = files.read(path, MAX_SIZE + 1)
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidRequest(f"cannot read the seccomp profile {path}: {why}") from error


def kernel_version(release: str) -> tuple[int, int]:
    """Of uname(2)'s release, "6.1.0-13-amd64"."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


# Rules ---------------------------------------------------------------------------------------------------


def _rules(value: Mapping[str, Any], host: Host, default: int) -> Iterator[Rule]:
    for each in _list(value, "syscalls"):
        rule = _object(each, "a rule")
        names = _names(rule)
        action = _action(rule.get("action"), _number(rule, "errnoRet", "errno"))
        conditions = [_condition(_object(one, "a condition")) for one in _list(rule, "args")]
        if _holds(rule, host) and action != default:  # which says nothing new, as runc has it
            if action == NOTIFY and _TELLING in names:
                raise _invalid(f"{_NOTIFY} of {_TELLING}(2), which each launch needs", "leave that call out")
            for alternative in _alternatives(conditions):
                yield Rule(names, action, alternative)


def _decided(rules: Sequence[Rule]) -> Iterator[Rule]:
    """A rule without conditions decides about its calls, wherever it stands: as libseccomp has it."""
    decided = {name for rule in rules if not rule.conditions for name in rule.names}
    for rule in rules:
        names = tuple(name for name in rule.names if not rule.conditions or name not in decided)
        if names:
            yield replace(rule, names=names)


def _alternatives(conditions: Sequence[Condition]) -> Sequence[tuple[Condition, ...]]:
    """Conditions hold all together; but where two are of one argument, any of them, as runc has it."""
    indices = [condition.index for condition in conditions]
    if len(set(indices)) == len(indices):
        return [tuple(conditions)]
    return [(condition,) for condition in conditions]


def _holds(rule: Mapping[str, Any], host: Host) -> bool:
    """Whether the rule is one for this host and these capabilities."""
    includes = _object(rule.get("includes") or {}, "a filter")
    excludes = _object(rule.get("excludes") or {}, "a filter")
    machine = _GO.get(host.machine, host.machine)
    arches = _texts(includes, "arches")
    return (
        (not arches or machine in arches)
        and host.capabilities.issuperset(_texts(includes, "caps"))
        and host.kernel >= _min_kernel(includes, (0, 0))
        and machine not in _texts(excludes, "arches")
        and host.capabilities.isdisjoint(_texts(excludes, "caps"))
        and host.kernel < _min_kernel(excludes, (1 << 30, 0))
    )


def _min_kernel(which: Mapping[str, Any], otherwise: tuple[int, int]) -> tuple[int, int]:
    text = which.get("minKernel") or ""
    if not text:
        return otherwise
    if not isinstance(text, str) or not re.fullmatch(r"\d+\.\d+", text):
        raise _invalid(f"minKernel is {text!r}", "write two numbers: 4.8")
    return kernel_version(text)


def _names(rule: Mapping[str, Any]) -> tuple[str, ...]:
    names = _texts(rule, "names")
    name = rule.get("name") or ""
    if bool(name) == bool(names):
        raise _invalid("a rule needs either name or names", "name the system calls")
    return names or (str(name),)


def _condition(value: Mapping[str, Any]) -> Condition:
    index, operator = value.get("index"), value.get("op")
    if type(index) is not int or not 0 <= index < _ARGUMENTS:
        raise _invalid(f"the argument {index!r}", f"count from 0 to {_ARGUMENTS - 1}")
    first, second = _word(value, "value"), _word(value, "valueTwo")
    if operator == _MASKED:
        return Condition(index, "==", second, first)
    if operator not in _OPERATORS:
        raise _invalid(f"unknown op {operator!r}", f"use {', '.join((*_OPERATORS, _MASKED))}")
    return Condition(index, _OPERATORS[operator], first)


# Actions -------------------------------------------------------------------------------------------------


def _action(name: Any, number: int | None) -> int:
    if name not in _ACTIONS:
        raise _invalid(f"unknown action {name!r}", f"use {', '.join(_ACTIONS)}")
    answer, kernels = _ACTIONS[name]
    if kernels not in seccomp.actions():
        raise _invalid(f"this kernel does not know {name}", "see /proc/sys/kernel/seccomp/actions_avail")
    if name in _WITH_NUMBER:
        return answer | (errno.EPERM if number is None else number)
    return answer


def _number(value: Mapping[str, Any], number: str, name: str) -> int | None:
    """An errno by its number, or as containers/common writes it, by its name."""
    found = value.get(number)
    if found is None and value.get(name):
        found = getattr(errno, str(value[name]), None)
        if found is None:
            raise _invalid(f"unknown {name} {value[name]!r}", "see errno(3) for the names")
    if found is not None and (type(found) is not int or not 0 <= found <= _MAX_ERRNO):
        raise _invalid(f"{number} is {found!r}", f"use a number up to {_MAX_ERRNO}")
    return found


def _flags(value: Mapping[str, Any], asks: bool) -> int:
    bits = seccomp.NEW_LISTENER if asks else 0
    for name in _texts(value, "flags"):
        if name not in seccomp.FLAGS:
            raise _invalid(f"unknown flag {name!r}", f"use {', '.join(seccomp.FLAGS)}")
        bits |= seccomp.FLAGS[name]
    if bits & seccomp.WAIT_KILLABLE_RECV and not asks:
        raise _invalid(f"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV without {_NOTIFY}", "leave out the flag")
    return bits


def _listener(value: Mapping[str, Any], asks: bool) -> SeccompListener | None:
    """Ignored where it is not asked, so says the specification."""
    path, metadata = _text(value, "listenerPath"), _text(value, "listenerMetadata")
    if metadata is not None and path is None:
        raise _invalid("it has listenerMetadata and no listenerPath", "name the socket of who answers")
    if not asks:
        return None
    if not path or not path.startswith("/"):
        hint = "name the absolute path of the socket of who answers"
        raise _invalid(f"{_NOTIFY} needs a listenerPath", hint)
    return SeccompListener(path=path, metadata=metadata)


# Architectures -------------------------------------------------------------------------------------------


def _abis(value: Mapping[str, Any], machine: str) -> tuple[str, ...]:
    """The machine's own is always among them."""
    names = list(_texts(value, "architectures"))
    entries = [_object(each, "an entry of archMap") for each in _list(value, "archMap")]
    if names and entries:
        raise _invalid("it has both architectures and archMap", "leave out one")
    for entry in entries:
        name = str(entry.get("architecture"))
        if _architecture(name) == machine:
            names += [name, *_texts(entry, "subArchitectures")]
    found = [_architecture(name) for name in names]
    return tuple(dict.fromkeys(filter(None, [machine, *found])))


def _architecture(name: str) -> str | None:
    if name not in _ARCHITECTURES:
        raise _invalid(f"unknown architecture {name!r}", "SCMP_ARCH_X86_64 is one")
    return _ARCHITECTURES[name]


# JSON ----------------------------------------------------------------------------------------------------


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{what} is {value!r:.40}", "write an object")
    unknown = sorted(set(value) - _KNOWN[what])
    if unknown:
        raise _invalid(f"{what} has the unknown field {unknown[0]!r}", "leave it out")
    return value


def _list(value: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = value.get(name)
    if found is not None and not isinstance(found, list):
        raise _invalid(f"{name} is {found!r:.40}", "write a list")
    return found or ()


def _texts(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = _list(value, name)
    if not all(isinstance(text, str) for text in found):
        raise _invalid(f"{name} has something else than text", "write names")
    return tuple(found)


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    if found is not None and (not isinstance(found, str) or "\0" in found):
        raise _invalid(f"{name} is {found!r:.40}", "write text")
    return found


def _word(value: Mapping[str, Any], name: str) -> int:
    found = value.get(name, 0)
    if type(found) is not int or not 0 <= found < _MAX_WORD:
        raise _invalid(f"{name} is {found!r}", "use a number of 64 bits")
    return found


def _invalid(what: str, hint: str) -> InvalidRequest:
    return InvalidRequest(f"invalid seccomp profile: {what}", hint=hint)
