"""A filter of system calls: profiles as data, compiled to the kernel's classic BPF.

A profile is what the OCI runtime specification calls `linux.seccomp`, with its capabilities and
kernel versions already decided. For each ABI of the machine the program looks up the call's number
in a binary search over ranges that share an answer, and then compares arguments where the profile
asks for it. See seccomp(2), and linux/seccomp.h for struct seccomp_data.

    architecture? ──► x86_64: number? ──► range ──► return, or compare arguments and return
                  ──► i386:   …
                  ──► another: the process is killed
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Collection, Mapping

from isolators.linux.syscalls import numbers
from launcher.data import Data
from launcher.errors import InvalidRequest
from launcher.kernel.seccomp import MAX_INSTRUCTIONS

# What a filter answers: SECCOMP_RET_* of linux/seccomp.h.
ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
NOTIFY = 0x7FC00000
_ERRNO = 0x00050000

# Machine → the ABIs that its kernels offer: name, AUDIT_ARCH_* of linux/audit.h. What is not here,
# such as 32-bit ARM, is killed.
ABIS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "x86_64": (("x86_64", 0xC000003E), ("i386", 0x40000003)),
    "aarch64": (("aarch64", 0xC00000B7),),
}

_X32 = 0x40000000  # __X32_SYSCALL_BIT of asm/unistd.h, and no number of any other ABI

# struct seccomp_data: int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16

# Operations of linux/bpf_common.h.
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP = 0x05
_EQUAL = 0x15
_GREATER = 0x25
_GREATER_EQUAL = 0x35
_RETURN = 0x06
_FURTHEST = 255  # instructions that a conditional jump can skip

Code = list[tuple[int, int, int, int]]  # struct sock_filter: code, jt, jf, k

_ALL_BITS = (1 << 64) - 1


def errno_action(number: int) -> int:
    """Let the call fail with this errno."""
    return _ERRNO | number


class Condition(Data):
    """`argument[index] & mask <operator> value`, unsigned and with 64 bits.

    A call that takes an int looks at its lower half only, and so must the mask.
    """

    index: int
    operator: str  # == != < <= > >=
    value: int
    mask: int = _ALL_BITS


class Rule(Data):
    """What calls of these names are answered, if the conditions hold all together."""

    names: tuple[str, ...]
    action: int
    conditions: tuple[Condition, ...] = ()


class Profile(Data, kw_only=True):
    """Rules, the first that applies decides. A name that an ABI does not have is skipped there."""

    rules: tuple[Rule, ...]
    default: int = errno_action(errno.EPERM)
    # Calls that are younger than the table, x32's among them: as by a kernel that has none of them,
    # for that is what programs are prepared for.
    unknown: int = errno_action(errno.ENOSYS)
    ends_at_named: bool = False  # likewise calls that are younger than all that the rules name


_Answer = tuple[tuple[tuple[Condition, ...], int], ...]  # (conditions, action), till there are none


def compile_profile(profile: Profile, machine: str, abis: Collection[str] = ()) -> bytes:
    """The program, for launcher.kernel.seccomp. Raises InvalidRequest for one that is too long.

    `machine` is one of ABIS, as uname(2) names it; `abis` names those of its ABIs that there are, or all.
    """
    code: Code = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for name, architecture in ABIS[machine]:
        if abis and name not in abis:
            continue
        section = [(_LOAD, 0, 0, _NUMBER), *_search(_ranges(profile, numbers(name)))]
        code += [(_EQUAL, 1, 0, architecture), (_JUMP, 0, 0, len(section)), *section]
    code.append((_RETURN, 0, 0, KILL_PROCESS))
    if len(code) > MAX_INSTRUCTIONS:
        raise InvalidRequest(
            f"the seccomp profile makes a filter of {len(code)} instructions,"
            f" and the kernel takes {MAX_INSTRUCTIONS}",
            hint="compare fewer arguments",
        )
    return struct.pack("=" + "HBBI" * len(code), *(part for instruction in code for part in instruction))


def _ranges(profile: Profile, table: Mapping[str, int]) -> list[tuple[int, _Answer]]:
    """(first number, answer) of each range, in their order; the first begins at 0."""
    answers = _answers(profile, table)
    default: _Answer = (((), profile.default),)
    ranges = [(0, answers.get(0, default))]
    after = 1
    for number in sorted(answers):
        if number > after and ranges[-1][1] != default:
            ranges.append((after, default))
        if answers[number] != ranges[-1][1]:
            ranges.append((number, answers[number]))
        after = number + 1
    if profile.ends_at_named:
        last = after
    else:
        last = max(table.values()) + 1
        if ranges[-1][1] != default:
            ranges.append((after, default))
    # Whatever the default is: the numbers of x32 would be a way around the rules of x86_64.
    x32 = (_X32, (((), errno_action(errno.ENOSYS)),))
    return [*ranges, (last, (((), profile.unknown),)), x32]


def _answers(profile: Profile, table: Mapping[str, int]) -> dict[int, _Answer]:
    answers: dict[int, _Answer] = {}
    for rule in profile.rules:
        case = (rule.conditions, rule.action)
        for number in [table[name] for name in rule.names if name in table]:
            cases = answers.get(number, ())
            if not cases or cases[-1][0]:  # what follows an unconditional case never applies
                answers[number] = (*cases, case)
    otherwise: _Answer = (((), profile.default),)
    return {n: cases + otherwise if cases[-1][0] else cases for n, cases in answers.items()}


def _search(ranges: list[tuple[int, _Answer]]) -> Code:
    """Find the range of the number that is loaded, and answer.

    The kernel translates a filter anew for each container, so it is to be short: ranges share the
    instructions that answer them, as far as a jump reaches.
    """
    tree = _Tree()
    tree.grow(ranges)
    if (code := tree.resolved()) is not None:
        return code
    middle = len(ranges) // 2
    lower, upper = _search(ranges[:middle]), _search(ranges[middle:])
    return [(_GREATER_EQUAL, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(lower)), *lower, *upper]


class _Tree:
    """A binary search in the making: its jumps to what answers are not resolved yet."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int | _Answered, int | _Answered, int]] = []

    def grow(self, ranges: list[tuple[int, _Answer]]) -> None:
        """Add the search in these."""
        if len(ranges) == 1:
            self._code += [instruction for case in ranges[0][1] for instruction in _case(*case)]
            return
        middle, place = len(ranges) // 2, len(self._code)
        self._code.append((_GREATER_EQUAL, 0, 0, 0))
        below = self._branch(place, ranges[:middle])
        above = self._branch(place, ranges[middle:])
        self._code[place] = (_GREATER_EQUAL, above, below, ranges[middle][0])

    def _branch(self, place: int, ranges: list[tuple[int, _Answer]]) -> int | _Answered:
        """Where the instruction there is to jump for these."""
        cases = ranges[0][1]
        if len(ranges) == 1 and not cases[0][0]:
            return _Answered(cases[0][1])
        distance = len(self._code) - place - 1
        self.grow(ranges)
        return distance

    def resolved(self) -> Code | None:
        """None: a jump is too far."""
        jumps = [target for _, *targets, _ in self._code for target in targets]
        actions = dict.fromkeys(int(target) for target in jumps if isinstance(target, _Answered))
        answers = {action: len(self._code) + number for number, action in enumerate(actions)}

        def distance(target: int | _Answered, place: int) -> int:
            return answers[target] - place - 1 if isinstance(target, _Answered) else target

        code: Code = [
            (operation, distance(true, place), distance(false, place), value)
            for place, (operation, true, false, value) in enumerate(self._code)
        ]
        if any(max(true, false) > _FURTHEST for _, true, false, _ in code):
            return None
        return [*code, *((_RETURN, 0, 0, action) for action in actions)]


class _Answered(int):
    """In the place of a distance: the action that answers."""


def _case(conditions: tuple[Condition, ...], action: int) -> Code:
    """Return the action if the conditions hold; else go on behind it."""
    code: Code = [(_RETURN, 0, 0, action)]
    for condition in reversed(conditions):
        code = _compare(condition, len(code)) + code
    return code


def _compare(condition: Condition, otherwise: int) -> Code:
    """Go on behind it if the condition holds; else skip `otherwise` instructions more."""
    operator, holds, fails = condition.operator, 0, otherwise
    if operator in _NEGATED:
        operator, holds, fails = _NEGATED[operator], otherwise, 0
    lower_test = {"==": _EQUAL, ">": _GREATER, ">=": _GREATER_EQUAL}[operator]
    code = [*_half(condition, 0), (lower_test, holds, fails, condition.value & 0xFFFFFFFF)]
    if (condition.mask | condition.value) >> 32 == 0:
        return code
    upper = condition.value >> 32
    rest = len(code)  # of the comparison, which the upper half may decide alone
    if operator == "==":
        return [*_half(condition, 32), (_EQUAL, 0, rest + fails, upper), *code]
    greater = (_GREATER, 1 + rest + holds, 0, upper)
    return [*_half(condition, 32), greater, (_EQUAL, 0, rest + fails, upper), *code]


_NEGATED = {"!=": "==", "<": ">=", "<=": ">"}


def _half(condition: Condition, shift: int) -> Code:
    """Load 32 bits of the argument, from this bit up, under their mask."""
    second = (shift == 32) == (sys.byteorder == "little")
    load = (_LOAD, 0, 0, _ARGUMENTS + 8 * condition.index + 4 * second)
    mask = condition.mask >> shift & 0xFFFFFFFF
    return [load] if mask == 0xFFFFFFFF else [load, (_AND, 0, 0, mask)]
