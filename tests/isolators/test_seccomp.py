"""linux/seccomp: filters as the kernel would run them, and what the built-in profile answers."""

from __future__ import annotations

import binascii
import errno
import operator
import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.linux import seccomp_profile
from isolators.linux.granted import DEFAULT
from isolators.linux.seccomp import LinuxSeccomp
from isolators.linux.seccomp_filter import (
    ABIS,
    ALLOW,
    KILL_PROCESS,
    Condition,
    Profile,
    Rule,
    compile_profile,
    errno_action,
)
from isolators.linux.syscalls import numbers
from launcher.errors import InvalidRequest
from launcher.kernel import capabilities
from tests.isolators.support import WEB
from tests.support.bpf import run

EPERM, ENOSYS = errno_action(errno.EPERM), errno_action(errno.ENOSYS)
OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
EVERY_ABI = [(machine, *abi) for machine, abis in ABIS.items() for abi in abis]
SETS = [(), DEFAULT, capabilities.NAMES, *((name,) for name in capabilities.NAMES)]


# The compiler, against the meaning of profiles, on numbers near each other and near 32 bits.

words = st.integers(0, 3) | st.integers(2**32 - 2, 2**32 + 2) | st.integers(0, 2**64 - 1)
conditions = st.builds(
    Condition,
    st.integers(0, 5),
    st.sampled_from(sorted(OPERATORS)),
    words,
    st.just(2**64 - 1) | st.just(2**32 - 1) | words,
)
some_names = st.lists(st.sampled_from(sorted(numbers("x86_64"))), min_size=1, max_size=80).map(tuple)
rules = st.builds(
    Rule,
    some_names,
    st.sampled_from([ALLOW, EPERM, KILL_PROCESS]),
    st.lists(conditions, max_size=3).map(tuple),
)


def meaning(profile: Profile, abi: str, number: int, arguments: Sequence[int]) -> int:
    if number > max(numbers(abi).values()):
        return profile.unknown
    for rule in profile.rules:
        called = number in [numbers(abi).get(name) for name in rule.names]
        if called and all(holds(condition, arguments) for condition in rule.conditions):
            return rule.action
    return profile.default


def holds(condition: Condition, arguments: Sequence[int]) -> bool:
    value = arguments[condition.index] & condition.mask
    return bool(OPERATORS[condition.operator](value, condition.value))


@given(st.lists(rules, max_size=6), st.lists(words, min_size=6, max_size=6))
def test_the_program_means_what_the_profile_does(some: list[Rule], arguments: list[int]) -> None:
    profile = Profile(rules=tuple(some))
    for machine, abi, architecture in EVERY_ABI:
        program = compile_profile(profile, machine)
        for number in range(max(numbers(abi).values()) + 3):
            expected = meaning(profile, abi, number, arguments)
            assert run(program, architecture, number, arguments) == expected, (abi, number)


def test_another_architecture_is_killed() -> None:
    for machine in ABIS:
        assert run(compile_profile(Profile(rules=()), machine), 0x40000028, 1) == KILL_PROCESS  # ARM


def test_a_filter_too_long_for_the_kernel() -> None:
    many = tuple(Rule(("read",), ALLOW, (Condition(0, "==", value),)) for value in range(1000))
    with pytest.raises(InvalidRequest, match="instructions, and the kernel takes 4096"):
        compile_profile(Profile(rules=many), "x86_64")


# The built-in profile.


def answer(
    name: str, *arguments: int, caps: Sequence[str] = DEFAULT, abi: tuple[str, str, int] = EVERY_ABI[0]
) -> int:
    program = compile_profile(seccomp_profile.profile(caps), abi[0])
    return run(program, abi[2], numbers(abi[1])[name], arguments)


@pytest.mark.parametrize("abi", EVERY_ABI, ids=lambda abi: abi[1])
def test_every_call_is_answered_as_the_profile_says(abi: tuple[str, str, int]) -> None:
    for caps in SETS:
        profile = seccomp_profile.profile(caps)
        program = compile_profile(profile, abi[0])
        assert len(program) < 1000 * 8, "a filter is run at every call"
        for name, number in numbers(abi[1]).items():
            expected = meaning(profile, abi[1], number, [0] * 6)
            assert run(program, abi[2], number) == expected, (caps, name)


def test_every_name_is_a_call() -> None:
    known = {name for _, abi, _ in EVERY_ABI for name in numbers(abi)}
    for rule in seccomp_profile.profile(capabilities.NAMES).rules:
        assert set(rule.names) <= known


FORBIDDEN = """
    acct add_key bpf delete_module finit_module fsopen init_module io_uring_enter io_uring_register
    io_uring_setup kcmp kexec_load keyctl mbind mount mount_setattr move_mount move_pages open_by_handle_at
    open_tree perf_event_open pivot_root process_madvise quotactl reboot request_key sethostname setns
    settimeofday swapon syslog umount2 unshare userfaultfd vhangup
"""


@pytest.mark.parametrize("abi", EVERY_ABI, ids=lambda abi: abi[1])
@pytest.mark.parametrize("name", FORBIDDEN.split())
def test_a_default_task_may_not(name: str, abi: tuple[str, str, int]) -> None:
    assert answer(name, abi=abi) == EPERM


def test_no_capability_opens_what_docker_keeps_shut() -> None:
    for name in ("keyctl", "add_key", "request_key", "userfaultfd", "io_uring_setup", "kexec_load"):
        assert answer(name, caps=capabilities.NAMES) == EPERM


@pytest.mark.parametrize(
    ("capability", "names"),
    [
        ("CAP_SYS_ADMIN", ["mount", "umount2", "unshare", "setns", "clone3", "bpf"]),
        ("CAP_SYS_CHROOT", ["chroot"]),
        ("CAP_SYS_TIME", ["settimeofday", "clock_settime"]),
        ("CAP_SYS_BOOT", ["reboot"]),
        ("CAP_SYS_PTRACE", ["kcmp", "pidfd_getfd"]),
        ("CAP_SYSLOG", ["syslog"]),
        ("CAP_DAC_READ_SEARCH", ["open_by_handle_at"]),
    ],
)
def test_a_capability_opens_its_calls(capability: str, names: list[str]) -> None:
    for name in names:
        assert answer(name, caps=()) != ALLOW
        assert answer(name, caps=(capability,)) == ALLOW


@pytest.mark.parametrize("abi", EVERY_ABI, ids=lambda abi: abi[1])
def test_no_new_namespace_by_clone(abi: tuple[str, str, int]) -> None:
    for flag in (0x20000, *(1 << bit for bit in range(25, 31))):
        assert answer("clone", flag | 17, abi=abi) == EPERM
        assert answer("clone", flag | 17, caps=("CAP_SYS_ADMIN",), abi=abi) == ALLOW
    assert answer("clone", 0x3D0F00, abi=abi) == ALLOW, "a thread"
    assert answer("clone3", abi=abi) == ENOSYS


@pytest.mark.parametrize("upper", [0, 1 << 32])
def test_families_of_sockets(upper: int) -> None:
    """The kernel takes an int, so that what stands above 32 bits hides nothing."""
    unix, inet, inet6, netlink, packet, alg, vsock = 1, 2, 10, 16, 17, 38, 40
    for family in (unix, inet, inet6, netlink, packet):
        assert answer("socket", family | upper) == ALLOW
    for family in (alg, vsock, 46, 2**31, 2**32 - 1):
        assert answer("socket", family | upper) == EPERM


@pytest.mark.parametrize("upper", [0, 1 << 32])
@pytest.mark.parametrize("abi", EVERY_ABI, ids=lambda abi: abi[1])
def test_memory_that_counts_for_nobody(abi: tuple[str, str, int], upper: int) -> None:
    for level, option in ((263, 5), (263, 13), (283, 2), (283, 6)):
        asked = 9, level | upper, option | upper
        assert answer("setsockopt", *asked, abi=abi) == EPERM
        assert answer("setsockopt", *asked, caps=("CAP_NET_ADMIN",), abi=abi) == ALLOW
    for level, option in ((263, 1), (263, 8), (1, 5), (1, 13), (6, 5)):
        assert answer("setsockopt", 9, level | upper, option, abi=abi) == ALLOW


def test_the_32_bit_multiplexer_makes_no_sockets() -> None:
    """And sets no options of them: a filter cannot see which."""
    i386 = next(abi for abi in EVERY_ABI if abi[1] == "i386")
    assert answer("socketcall", 1, abi=i386) == ENOSYS
    assert answer("socketcall", 14, abi=i386) == ENOSYS
    assert answer("socketcall", 3, abi=i386) == ALLOW


@pytest.mark.parametrize(("persona", "expected"), [(0, ALLOW), (0x0040000, EPERM), (0xFFFFFFFF, ALLOW)])
def test_personality(persona: int, expected: int) -> None:
    assert answer("personality", persona) == expected


@pytest.mark.parametrize("number", [0x40000000, 0x40000000 + 321, 470, 10_000, 0xFFFFFFFF])
def test_x32_and_calls_of_the_future_are_not_there(number: int) -> None:
    program = compile_profile(seccomp_profile.profile(capabilities.NAMES), "x86_64")
    for _, architecture in ABIS["x86_64"]:
        assert run(program, architecture, number) == ENOSYS


# The isolator.


def contributed(**fields: object) -> str | None:
    return LinuxSeccomp(IsolatorFlags()).contribute(WEB, ContainerConfig(**fields)).seccomp  # type: ignore[arg-type]


def test_unconfined_loads_nothing() -> None:
    assert contributed(seccomp="unconfined") is None


def test_the_profile_goes_by_the_capabilities_asked_for() -> None:
    plain, dropped = contributed(), contributed(capabilities_drop=("CHOWN",))
    assert plain == dropped, "CHOWN decides nothing"
    without = contributed(capabilities_drop=("ALL",))
    assert plain and without
    abi, architecture = ABIS[os.uname().machine][0]
    assert run(binascii.a2b_base64(plain), architecture, numbers(abi)["chroot"]) == ALLOW
    assert run(binascii.a2b_base64(without), architecture, numbers(abi)["chroot"]) == EPERM


def test_unknown_profile() -> None:
    with pytest.raises(InvalidRequest, match="unknown seccomp profile 'strict'"):
        contributed(seccomp="strict")
