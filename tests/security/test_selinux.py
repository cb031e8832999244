"""SELinux' own word on what a container does, by the policy of tests/vm/selinux.cil."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import pid_of, running

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "selinux")

_LABEL = "cat /proc/self/attr/current; echo"
_LABELLED = ("--security-opt", "label=type:container_t", "--security-opt", "label=level:s0:c1,c2")
CONTAINERS = "system_u:system_r:container_t:s0:c1,c2"


def test_a_label_is_the_tasks_and_that_of_what_joins_it(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """And the policy goes by it: no other shield keeps root from a file of root's in its volume."""
    for name in ("other", "secret"):
        (tmp_path / name).write_text(name)
    os.setxattr(tmp_path / "secret", "security.selinux", b"tests_u:object_r:confidential_t:s0\0")
    volume = ("-v", f"{tmp_path}:/data")
    look = ("sh", "-c", "cat /data/*")
    with running(cli, busybox, *_LABELLED, *volume) as name:
        told = Path(f"/proc/{pid_of(cli, name)}/attr/current").read_text().rstrip("\0\n")
        assert told == CONTAINERS
        joined = cli("exec", name, "sh", "-c", _LABEL)
        assert joined.stdout.rstrip("\0\n") == CONTAINERS, joined.stderr
        denied = cli("exec", name, *look)
        assert (denied.stdout, "Permission denied" in denied.stderr) == ("other", True)
    assert cli("run", "--rm", *volume, busybox, *look).stdout == "othersecret", "not without a label"


def test_one_that_the_policy_does_not_know_is_refused(cli: Cli, busybox: str) -> None:
    done = cli("run", "--security-opt", "label=type:nobodys_t", busybox, "true")
    assert (done.returncode, "knows no SELinux label" in done.stderr) == (125, True), done.stderr
    assert cli.left() == []
