"""Shields that a request changes: profiles of its own, paths hidden or shown, and none at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import called
from tests.support.system_calls import on_x86_64

PATTERN = "/proc/sys/kernel/core_pattern"

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def profile(path: Path, *denied: dict[str, object], **more: object) -> str:
    value = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": denied, **more}
    path.write_text(json.dumps(value))
    return f"seccomp={path}"


@on_x86_64
def test_a_profile_of_the_requests(cli: Cli, busybox: str, tmp_path: Path) -> None:
    denied = {"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}
    condition = {"index": 0, "op": "SCMP_CMP_EQ", "value": 7}
    some = {"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 98, "args": [condition]}
    for more in ({}, {"flags": ["SECCOMP_FILTER_FLAG_LOG"]}):
        option = profile(tmp_path / "profile.json", denied, some, **more)
        answers = called(
            cli, busybox, ("getpid",), ("close", 7), ("close", 8), options=("--security-opt", option)
        )
        assert answers == [-99, -98, -9]


@on_x86_64
def test_a_profile_that_kills(cli: Cli, busybox: str, tmp_path: Path) -> None:
    option = profile(tmp_path / "p", {"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"})
    done = cli("run", "--rm", "--security-opt", option, busybox, "mkdir", "/x")
    assert done.returncode == 128 + 31, "SIGSYS"


def test_masked_and_unmasked(cli: Cli, busybox: str) -> None:
    script = f"cat /proc/version /proc/keys | wc -c; (: >> {PATTERN}) 2>&1 | grep -c Read-only"
    hidden = cli("run", "--rm", "--security-opt", "mask=/proc/version", busybox, "sh", "-c", script)
    assert hidden.stdout == "0\n1\n"
    for option in ("unmask=ALL", "systempaths=unconfined", "unmask=/proc/*"):
        shown = cli("run", "--rm", "--security-opt", option, busybox, "sh", "-c", script)
        count, readonly = shown.stdout.split()
        assert int(count) > 0
        assert readonly == "0", option


def test_a_read_only_root(cli: Cli, busybox: str) -> None:
    script = (
        "for d in / /etc /tmp /root; do (: > $d/x) 2>/dev/null && echo $d; done; : > /dev/shm/x && echo shm"
    )
    done = cli("run", "--rm", "--read-only", busybox, "sh", "-c", script)
    assert done.stdout == "shm\n"


def test_privileged_is_the_opposite_of_all(cli: Cli, busybox: str) -> None:
    script = (
        "grep -e ^CapEff -e ^NoNewPrivs -e ^Seccomp: /proc/self/status; ls /dev | wc -l;"
        " mkdir /m && mount -t tmpfs t /m && echo mounts; "
        f" (: >> {PATTERN}); unshare -m true && echo new"
    )
    plain = cli("run", "--rm", busybox, "sh", "-c", script).stdout.split("\n")
    done = cli("run", "--rm", "--privileged", busybox, "sh", "-c", script)
    lines = done.stdout.split("\n")
    full = int(Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0], 16)
    assert int(lines[0].split()[1], 16) == full
    assert lines[1:3] == ["NoNewPrivs:\t0", "Seccomp:\t0"]
    assert int(lines[3]) > int(plain[3])
    assert lines[4:6] == ["mounts", "new"]
    assert "Read-only" not in done.stderr


@pytest.mark.parametrize(
    ("option", "what"), [("apparmor=docker-default", "AppArmor"), ("label=type:spc_t", "SELinux")]
)
def test_labels_that_nobody_goes_by(cli: Cli, busybox: str, option: str, what: str) -> None:
    """A clear no; what is written where the kernel has the module, tests/isolators/test_labels.py sees."""
    done = cli("run", "--rm", "--security-opt", option, busybox, "true")
    if done.returncode:
        assert done.returncode == 125
        assert what in done.stderr
