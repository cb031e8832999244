"""AppArmor's own word on what a container does: profiles of the host's, and the one that is built in."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.linux import apparmor_profile
from launcher.kernel import labels
from tests.end_to_end.conftest import Cli
from tests.security.conftest import pid_of, running

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "apparmor")

OURS = apparmor_profile.NAME
PROFILE = f"tests-{os.getpid()}"
_TEXT = (
    f"profile {PROFILE} flags=(attach_disconnected) {{ file, signal, capability, deny /data/secret rwl, }}"
)
_LABEL = "cat /proc/self/attr/apparmor/current"


def parser(*options: str, text: str = _TEXT) -> None:
    subprocess.run(["apparmor_parser", "--skip-cache", *options], input=text.encode(), check=True)


def label_of(pid: int) -> str:
    return Path(f"/proc/{pid}/attr/apparmor/current").read_text().strip()


@pytest.fixture
def profile() -> Iterator[str]:
    parser("--add")
    yield PROFILE
    parser("--remove")


def test_a_profile_of_the_hosts_confines_the_task_and_what_joins_it(
    cli: Cli, busybox: str, profile: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("hidden")
    (tmp_path / "other").write_text("seen")
    options = ("--security-opt", f"apparmor={profile}", "-v", f"{tmp_path}:/data")
    look = f"{_LABEL}; cat /data/other; cat /data/secret"
    with running(cli, busybox, *options) as name:
        assert label_of(pid_of(cli, name)) == f"{profile} (enforce)"
        joined = cli("exec", name, "sh", "-c", look)
        assert joined.stdout == f"{profile} (enforce)\nseen"
        assert "Permission denied" in joined.stderr
    assert "hidden" in cli("run", "--rm", "-v", f"{tmp_path}:/data", busybox, "sh", "-c", look).stdout


def test_one_that_is_not_loaded_is_refused(cli: Cli, busybox: str) -> None:
    done = cli("run", "--security-opt", "apparmor=nobodys", busybox, "true")
    assert (done.returncode, "no AppArmor profile 'nobodys' is loaded" in done.stderr) == (125, True)
    assert cli.left() == []


def test_ours_is_the_default_and_loaded_when_it_is_missing(cli: Cli, busybox: str) -> None:
    if OURS in (labels.apparmor_profiles() or ()):
        parser("--remove", text=f"profile {OURS} {{}}")
    with running(cli, busybox) as name:
        assert label_of(pid_of(cli, name)) == f"{OURS} (enforce)"
        assert cli("exec", name, "sh", "-c", _LABEL).stdout == f"{OURS} (enforce)\n"
        assert cli("exec", name, "sh", "-c", "kill -TERM $$; echo lives").stdout == "", "they may signal"
    listed = json.loads(cli("isolators", "--json").stdout)
    assert ("linux/apparmor", True) in [(row["name"], row["default"]) for row in listed]


def test_ours_says_no_where_nothing_else_does(cli: Cli, busybox: str) -> None:
    """With every capability, and with none of the mounts that shield /proc and /sys."""
    options = ("--cap-add", "ALL", "--security-opt", "systempaths=unconfined", "--security-opt")
    script = (
        "mkdir /m; mount -t tmpfs none /m && echo mounts; umount /dev/shm && echo unmounts;"
        " for file in kernel/core_pattern kernel/hostname vm/swappiness;"
        " do (: >> /proc/sys/$file) && echo $file; done;"
        " (: >> /proc/sysrq-trigger) && echo sysrq; (: < /proc/kcore) && echo kcore;"
        " (: >> /proc/irq/default_smp_affinity) && echo irq;"
        " (: >> /proc/self/oom_score_adj) && echo own; (: >> /proc/sys/kernel/shmmax) && echo shared memory"
    )
    command = (busybox, "sh", "-c", script)
    seccomp = ("--security-opt", "seccomp=unconfined")
    free = cli("run", "--rm", *options, "apparmor=unconfined", *seccomp, *command).stdout.splitlines()
    assert {"mounts", "unmounts", "kernel/core_pattern", "sysrq", "kcore", "irq"} <= set(free)
    done = cli("run", "--rm", *options, f"apparmor={OURS}", *seccomp, *command)
    assert done.stdout.splitlines() == ["own", "shared memory"], done.stderr


@pytest.mark.parametrize("option", ["--security-opt=apparmor=unconfined", "--privileged"])
def test_unconfined(cli: Cli, busybox: str, option: str) -> None:
    done = cli("run", "--rm", option, busybox, "sh", "-c", _LABEL)
    assert done.stdout == "unconfined\n", done.stderr
