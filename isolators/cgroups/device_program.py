"""The program of eBPF that lets a cgroup use some devices and no others.

It gets the struct bpf_cgroup_dev_ctx of linux/bpf.h: three words, of which the first has the kind of
device in its lower half and the kind of access in its upper one. It answers 1 or 0.

    load the words ──► rule: compares what it names ──► all equal: return 1
                         └─ something else ──► the next rule ──► … ──► return 0
"""

from __future__ import annotations

from collections.abc import Iterable

from isolators.devices import DeviceRule

# Operations of linux/bpf.h: class, width or source, and what is done.
_LOAD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_AND, _SHIFT_RIGHT = 0x54, 0x74  # BPF_ALU, with an immediate value
_SET, _COPY = 0xB4, 0xBC  # BPF_ALU | BPF_MOV, of a value and of a register
_UNLESS_EQUAL = 0x56  # BPF_JMP32 | BPF_JNE, with a value: Linux 5.1
_RETURN = 0x95

_RESULT, _CONTEXT, _KIND, _ACCESS, _MAJOR, _MINOR, _SPARE = range(7)  # registers; 0 and 1 are the kernel's

_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_ACCESSES = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
_EVERY_ACCESS = 7

_Code = list[tuple[int, int, int, int]]  # as launcher.kernel.bpf has it


def program(rules: Iterable[DeviceRule]) -> _Code:
    """Allow what one of the rules allows, all of the access that is asked for at once."""
    code: _Code = [
        (_LOAD, _ACCESS | _CONTEXT << 4, 0, 0),
        (_COPY, _KIND | _ACCESS << 4, 0, 0),
        (_AND, _KIND, 0, 0xFFFF),
        (_SHIFT_RIGHT, _ACCESS, 0, 16),
        (_LOAD, _MAJOR | _CONTEXT << 4, 4, 0),
        (_LOAD, _MINOR | _CONTEXT << 4, 8, 0),
    ]
    for rule in rules:
        code += _allow(rule)
    return [*code, (_SET, _RESULT, 0, 0), (_RETURN, 0, 0, 0)]


def _allow(rule: DeviceRule) -> _Code:
    """Return 1 if all is as the rule says; else go on behind it."""
    compared = [(_KIND, _KINDS[rule.kind]), (_MAJOR, rule.major), (_MINOR, rule.minor)]
    denied = _EVERY_ACCESS & ~sum(_ACCESSES[letter] for letter in rule.access)
    before: _Code = []
    if denied:
        before = [(_COPY, _SPARE | _ACCESS << 4, 0, 0), (_AND, _SPARE, 0, denied)]
        compared.append((_SPARE, 0))
    tests = [(register, value) for register, value in compared if value is not None]
    length = len(before) + len(tests) + 2
    code: _Code = []
    for register, value in tests:
        if register == _SPARE:
            code += before
        code.append((_UNLESS_EQUAL, register, length - len(code) - 1, value))
    return [*code, (_SET, _RESULT, 0, 1), (_RETURN, 0, 0, 0)]
