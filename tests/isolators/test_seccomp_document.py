"""Profiles as people write them: what they come to, what is refused, and what libseccomp makes of them."""

from __future__ import annotations

import base64
import errno
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig
from isolators.linux import seccomp
from isolators.linux.granted import DEFAULT
from isolators.linux.seccomp import LinuxSeccomp
from isolators.linux.seccomp_compiled import program
from isolators.linux.seccomp_document import Host, kernel_version, parse
from isolators.linux.seccomp_filter import ABIS, ALLOW, KILL_PROCESS, compile_profile, errno_action
from isolators.linux.syscalls import numbers
from launcher.errors import InvalidRequest
from launcher.launch_info import SeccompListener
from tests.isolators.support import WEB
from tests.support import libseccomp
from tests.support.bpf import run

EPERM, ENOSYS = errno_action(errno.EPERM), errno_action(errno.ENOSYS)
DEBIANS = Path("/usr/share/containers/seccomp.json")  # of golang-github-containers-common
NOTIFY, KILLABLE = "SCMP_ACT_NOTIFY", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
HOST = Host("x86_64", (6, 1), frozenset(DEFAULT))
X86_64, I386 = (architecture for _, architecture in ABIS["x86_64"])
READ, WRITE, CLONE, SOCKET = (numbers("x86_64")[name] for name in ("read", "write", "clone", "socket"))


def profile(*rules: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules, **fields})


def rule(*names: str, action: str = "SCMP_ACT_ALLOW", **fields: Any) -> dict[str, Any]:
    return {"names": names, "action": action, **fields}


def answer(text: str, number: int, *arguments: int, host: Host = HOST, architecture: int = X86_64) -> int:
    document = parse(text, host)
    filter_ = compile_profile(document.profile, host.machine, document.abis)
    return run(filter_, architecture, number, arguments)


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("SCMP_ACT_ALLOW", {}, ALLOW),
        ("SCMP_ACT_ERRNO", {}, EPERM),
        ("SCMP_ACT_ERRNO", {"errnoRet": 0}, errno_action(0)),
        ("SCMP_ACT_ERRNO", {"errnoRet": errno.EACCES}, errno_action(errno.EACCES)),
        ("SCMP_ACT_ERRNO", {"errno": "EACCES"}, errno_action(errno.EACCES)),
        ("SCMP_ACT_LOG", {}, 0x7FFC0000),
        ("SCMP_ACT_TRACE", {"errnoRet": 7}, 0x7FF00007),
        ("SCMP_ACT_TRAP", {}, 0x00030000),
        ("SCMP_ACT_KILL", {}, 0),
        ("SCMP_ACT_KILL_THREAD", {}, 0),
        ("SCMP_ACT_KILL_PROCESS", {}, KILL_PROCESS),
    ],
)
def test_actions(action: str, more: dict[str, Any], expected: int) -> None:
    fields = {
        "defaultErrnoRet" if key == "errnoRet" else "defaultErrno": value for key, value in more.items()
    }
    assert (
        answer(profile(rule("read", action=action, **more), defaultAction="SCMP_ACT_TRAP"), READ) == expected
    )
    assert answer(profile(rule("read"), defaultAction=action, **fields), 0xFFFF) in (expected, ENOSYS)


@pytest.mark.parametrize(
    ("operator", "value", "two", "holding", "failing"),
    [
        ("SCMP_CMP_EQ", 5, 0, [5], [4, 6, 5 + 2**32]),
        ("SCMP_CMP_NE", 5, 0, [4, 6, 5 + 2**32], [5]),
        ("SCMP_CMP_LT", 5, 0, [0, 4], [5, 6, 2**32]),
        ("SCMP_CMP_LE", 5, 0, [0, 5], [6, 2**32]),
        ("SCMP_CMP_GT", 5, 0, [6, 2**32], [0, 5]),
        ("SCMP_CMP_GE", 5, 0, [5, 6, 2**32], [0, 4]),
        ("SCMP_CMP_MASKED_EQ", 0x7E020000, 0, [0, 17, 2**40], [0x10000000, 0x20000]),
        ("SCMP_CMP_MASKED_EQ", 0xF0, 0x20, [0x20, 0x2F, 0x120], [0x30, 0]),
    ],
)
def test_operators(operator: str, value: int, two: int, holding: list[int], failing: list[int]) -> None:
    text = profile(rule("clone", args=[{"index": 1, "op": operator, "value": value, "valueTwo": two}]))
    assert {answer(text, CLONE, 99, argument) for argument in holding} == {ALLOW}
    assert {answer(text, CLONE, 99, argument) for argument in failing} == {EPERM}


def test_conditions_hold_together_or_of_one_argument_each() -> None:
    """As runc has it, since libseccomp compares an argument once in a rule."""
    both = [{"index": index, "op": "SCMP_CMP_EQ", "value": 1} for index in (0, 1)]
    either = [{"index": 0, "op": "SCMP_CMP_EQ", "value": value} for value in (1, 2)]
    assert [answer(profile(rule("clone", args=both)), CLONE, *a) for a in ((1, 1), (1, 0), (0, 1))] == [
        ALLOW,
        EPERM,
        EPERM,
    ]
    assert [answer(profile(rule("clone", args=either)), CLONE, a) for a in (1, 2, 3)] == [ALLOW, ALLOW, EPERM]


def test_a_rule_without_conditions_decides_wherever_it_stands() -> None:
    conditional = rule("clone", args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}])
    forbidden = rule("clone", action="SCMP_ACT_KILL_PROCESS")
    for rules in ((conditional, forbidden), (forbidden, conditional)):
        assert answer(profile(*rules), CLONE, 1) == KILL_PROCESS


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.1"}}, True),
        ({"includes": {"minKernel": "6.2"}}, False),
        ({"excludes": {"minKernel": "6.1"}}, False),
        ({"includes": {}, "excludes": None, "comment": "both are empty"}, True),
        ({"includes": {"caps": ["CAP_CHOWN"]}, "excludes": {"caps": ["CAP_KILL"]}}, False),
    ],
)
def test_for_whom_a_rule_is(filters: dict[str, Any], holds: bool) -> None:
    assert answer(profile(rule("read", **filters)), READ) == (ALLOW if holds else EPERM)


def test_architectures() -> None:
    read = numbers("i386")["read"]
    mapped = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}]
    other = [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}]
    for fields, expected in (
        ({}, KILL_PROCESS),
        ({"architectures": ["SCMP_ARCH_X86_64"]}, KILL_PROCESS),
        ({"architectures": ["SCMP_ARCH_X86"]}, ALLOW),
        ({"archMap": mapped}, ALLOW),
        ({"archMap": other}, KILL_PROCESS),
    ):
        text = profile(rule("read"), **fields)
        assert answer(text, read, architecture=I386) == expected, fields
        assert answer(text, READ) == ALLOW


def test_calls_that_are_younger_than_the_profile() -> None:
    """ENOSYS, as runc has it: so that a C library takes an older one. But what is open stays open."""
    assert answer(profile(rule("read", "write")), WRITE + 1) == ENOSYS
    assert answer(profile(rule("read", "clone")), WRITE) == EPERM
    denying = profile(rule("read", action="SCMP_ACT_ERRNO"), defaultAction="SCMP_ACT_ALLOW")
    assert [answer(denying, number) for number in (READ, WRITE, 9999)] == [EPERM, ALLOW, ALLOW]
    assert answer(denying, READ | 0x40000000) == ENOSYS, "x32 is no way around"


def test_flags() -> None:
    flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    assert parse(profile(rule("read"), flags=flags), HOST).flags == 6


def test_somebody_who_answers() -> None:
    asks = profile(rule("read", action=NOTIFY), listenerPath="/x", listenerMetadata="y", flags=[KILLABLE])
    document = parse(asks, HOST)
    assert document.listener == SeccompListener(path="/x", metadata="y")
    assert document.flags == 0x28, "a new listener, who is asked once"
    assert answer(asks, READ) == 0x7FC00000
    silent = parse(profile(rule("read"), listenerPath="/x", listenerMetadata="y"), HOST)
    assert (silent.listener, silent.flags) == (None, 0), "who is asked nothing needs no descriptor"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "it is no JSON"),
        ("[" * 10000, "it is no JSON"),
        ("[]", r"the profile is \[\]"),
        ("{}", "unknown action None"),
        (" " * (1 << 20) + "{}", "characters"),
        (profile(defaultAction="SCMP_ACT_PERHAPS"), "unknown action 'SCMP_ACT_PERHAPS'"),
        (profile(rule("read", action=NOTIFY)), "SCMP_ACT_NOTIFY needs a listenerPath"),
        (profile(rule("read", action=NOTIFY), listenerPath="x"), "SCMP_ACT_NOTIFY needs a listenerPath"),
        (profile(rule("write", action=NOTIFY), listenerPath="/x"), r"of write\(2\)"),
        (profile(defaultAction=NOTIFY, listenerPath="/x"), "is its defaultAction"),
        (profile(listenerMetadata="x"), "listenerMetadata and no listenerPath"),
        (profile(listenerPath=1), "listenerPath is 1"),
        (profile(flags=[KILLABLE]), f"{KILLABLE} without SCMP_ACT_NOTIFY"),
        (profile({"action": "SCMP_ACT_ALLOW"}), "either name or names"),
        (profile(rule("read", name="write")), "either name or names"),
        (profile(rule("read", arguments=[])), "a rule has the unknown field 'arguments'"),
        (profile(rule("read", args=[{"index": 6, "op": "SCMP_CMP_EQ", "value": 0}])), "the argument 6"),
        (profile(rule("read", args=[{"index": 0, "op": "EQ", "value": 0}])), "unknown op 'EQ'"),
        (profile(rule("read", args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": -1}])), "value is -1"),
        (profile(rule("read", errnoRet=5000)), "errnoRet is 5000"),
        (profile(rule("read", errno="EEEK")), "unknown errno 'EEEK'"),
        (profile(rule("read", includes={"minKernel": "4"})), "minKernel is '4'"),
        (profile(rule("read", includes={"caps": "CAP_KILL"})), "caps is 'CAP_KILL'"),
        (profile(architectures=["SCMP_ARCH_VAX"]), "unknown architecture 'SCMP_ARCH_VAX'"),
        (profile(architectures=["SCMP_ARCH_X86"], archMap=[{}]), "both architectures and archMap"),
        (profile(flags=["SECCOMP_FILTER_FLAG_X"]), "unknown flag"),
        (profile(syscalls=[1]), "a rule is 1"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse(text, HOST)


def test_kernel_versions() -> None:
    assert [kernel_version(text) for text in ("6.1.0-13-amd64", "5.10", "x")] == [(6, 1), (5, 10), (0, 0)]


def test_files_stay_in_their_project_whatever_the_profile_says() -> None:
    ioctl, set_attributes, set_flags = numbers("x86_64")["ioctl"], 0x401C5820, 0x40086602
    for limited, expected in ((True, [EPERM, EPERM, ALLOW]), (False, [EPERM, ALLOW, ALLOW])):
        compiled = program(profile(rule("ioctl")), "x86_64", DEFAULT, keeps_projects=limited)
        assert compiled[0] == 0
        requests = (set_attributes, set_flags, 0x5401)
        assert [run(compiled[1:], X86_64, ioctl, (0, one)) for one in requests] == expected


# The isolator.


def test_a_compiled_profile_is_kept(tmp_path: Path) -> None:
    isolator = LinuxSeccomp(IsolatorFlags(own_state=str(tmp_path)))
    config = ContainerConfig(seccomp=profile(rule("read"), flags=["SECCOMP_FILTER_FLAG_LOG"]))
    info = isolator.contribute(WEB, config)
    assert (info.seccomp_flags, list(tmp_path.iterdir())) == (2, []), "a dry run makes nothing"
    isolator.create(WEB, config)
    (kept,) = (tmp_path / "seccomp").iterdir()
    assert kept.stat().st_mode & 0o022 == 0
    assert kept.read_bytes() == b"\2" + base64.b64decode(info.seccomp or "")
    # What comes later takes it as it is.
    kept.write_bytes(b"\0kept")
    seccomp._program.cache_clear()
    try:
        assert isolator.contribute(WEB, config).seccomp == base64.b64encode(b"kept").decode()
        (tmp_path / "seccomp").chmod(0o777)
        seccomp._program.cache_clear()
        assert isolator.contribute(WEB, config) == info, "where others may write nothing is believed"
    finally:
        seccomp._program.cache_clear()


# What libseccomp makes of the same rules.

CASES = {
    "operators": profile(
        *(
            rule(name, args=[{"index": 0, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": 2}])
            for name, operator, value in (
                *(("read", "EQ", 3), ("write", "NE", 3), ("dup", "LT", 2**32), ("clone", "LE", 3)),
                *(("socket", "GT", 3), ("close", "GE", 3), ("ioctl", "MASKED_EQ", 6)),
            )
        )
    ),
    "several": profile(
        rule("read", args=[{"index": n, "op": "SCMP_CMP_EQ", "value": n} for n in range(3)]),
        rule("write", "dup"),
        rule(
            "clone", args=[{"index": 2, "op": "SCMP_CMP_EQ", "value": 3}, {"index": 2, "op": "SCMP_CMP_EQ"}]
        ),
        rule("socket", args=[{"index": 0, "op": "SCMP_CMP_LT", "value": 3}]),
        rule("socket", args=[{"index": 0, "op": "SCMP_CMP_GT", "value": 4}]),
        rule("dup", action="SCMP_ACT_ERRNO", args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": 3}]),
        defaultAction="SCMP_ACT_TRAP",
    ),
    **({"Debian's": DEBIANS.read_text()} if DEBIANS.exists() else {}),
}


@pytest.mark.skipif(not libseccomp.is_there(), reason="libseccomp2 is not installed")
@pytest.mark.parametrize("case", CASES)
def test_as_libseccomp_has_it(case: str) -> None:
    machine = os.uname().machine
    document = parse(CASES[case], Host(machine, (6, 1), frozenset(DEFAULT)))
    ours = compile_profile(document.profile, machine, document.abis)
    named = {name for rule in document.profile.rules for name in rule.names}
    (abi, architecture), *_ = ABIS[machine]
    theirs = libseccomp.program(document.profile)
    for name in sorted(named & set(numbers(abi))):
        for first, third in itertools.product((0, 3, 16, 0x10000011, 2**32), (0, 2, 3, 9)):
            call = (architecture, numbers(abi)[name], (first, 1, third, 0, 0, 0))
            assert run(ours, *call) == run(theirs, *call), (name, call)
