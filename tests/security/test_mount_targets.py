"""Mounts and files that a container leads elsewhere: by links in its image, or swapped while it starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from isolators.filesystem.linux import MASKED_PATHS, READONLY_PATHS
from tests.end_to_end.conftest import Cli, Write
from tests.end_to_end.person import person
from tests.security.conftest import Build, commands, pid_of, running
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")

# What each of the masked is: the device and inode where it is no directory, else what is in it.
SHOW_MASKED = "for p in {}; do [ -d $p ] && ls -A $p; [ ! -e $p ] || [ -d $p ] || stat -c %t:%T $p; done"
# Whether what is read-only can be opened for writing, which writes nothing yet.
TRY_WRITING = "for p in {}; do [ -f $p ] && (: >> $p) 2>/dev/null && echo $p; done; true"
WRITABLE = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity")


def shielded(cli: Cli, image: str, *options: str) -> None:
    """Sees to it that in such a container the shields are where they belong."""
    masked, readonly = SHOW_MASKED.format(" ".join(MASKED_PATHS)), TRY_WRITING.format(" ".join(WRITABLE))
    done = cli("run", "--rm", *options, image, "sh", "-c", f"{masked}; {readonly}")
    assert (done.returncode, set(done.stdout.split()) - {"1:3"}) == (0, set()), done.stderr


def test_the_shields_of_any_container(cli: Cli, busybox: str) -> None:
    """What the others compare with."""
    shielded(cli, busybox)
    shielded(cli, busybox, "--userns", "auto")
    with running(cli, busybox) as name:
        mounts = Path(f"/proc/{pid_of(cli, name)}/mountinfo").read_text().splitlines()
    options = {line.split()[4]: line.split()[5].split(",") for line in mounts}
    for path in READONLY_PATHS:
        assert "ro" in options.get(path, ["ro"]), path
    assert {"/proc/sys", "/proc/keys"} <= set(options)


def test_cve_2019_16884_a_volume_in_place_of_proc(cli: Cli, build: Build) -> None:
    """An image declares volumes where the kernel's files are, so that what is masked would be elsewhere."""
    for volume in ("/proc", "/proc/self/attr", "/sys"):
        image = build(Volumes={volume: {}})
        done = cli("run", "--rm", image, "sh", "-c", "stat -f -c %T /proc; cat /proc/sys/kernel/ostype")
        if done.returncode != 125:  # refused is as good
            assert done.stdout == "proc\nLinux\n", (volume, done.stdout)
            shielded(cli, image)


@pytest.mark.parametrize("target", ["evil", "/evil", "/sys"])
def test_cve_2019_19921_proc_is_a_link(cli: Cli, build: Build, target: str) -> None:
    """And CVE-2023-27561 and CVE-2023-28642, by which it came back: /proc is mounted where the link leads."""
    image = build(
        images.directory("evil/"), images.symlink("proc", target), without=("proc",), Volumes={"/evil": {}}
    )
    done = cli("run", "--rm", image, "ls", "/")
    assert (done.returncode, done.stdout) == (125, "")
    assert "/proc" in done.stderr


@pytest.mark.parametrize("path", ["sys", "dev"])
def test_cve_2023_28642_other_filesystems_are_links(cli: Cli, build: Build, path: str) -> None:
    image = build(images.directory("evil/"), images.symlink(path, "/evil"), without=(path,))
    assert cli("run", "--rm", image, "true").returncode == 125


def test_cve_2025_31133_null_is_a_link(cli: Cli, build: Build) -> None:
    """What is masked gets the host's /dev/null, never what the image says that it is."""
    before = CORE_PATTERN.read_text()
    image = build(
        images.symlink("dev/null", "/proc/sys/kernel/core_pattern"),
        images.symlink("dev/console", "/proc/sysrq-trigger"),
        images.symlink("dev/full", "/proc/kcore"),
    )
    shielded(cli, image)
    done = cli("run", "--rm", image, "sh", "-c", "stat -c %t:%T /dev/null; echo '|/evil' > /dev/null")
    assert done.stdout == "1:3\n"
    assert CORE_PATTERN.read_text() == before


def test_cve_2025_52565_the_console_is_a_link(cli: Cli, build: Build) -> None:
    """A terminal's device is swapped before it is bound to /dev/console: ours is bound by its descriptor."""
    image = build(
        images.directory("dev/pts/"),
        images.symlink("dev/pts/0", "/proc/sys/kernel/core_pattern"),
        images.symlink("dev/console", "/proc/sys/kernel/core_pattern"),
        images.symlink("dev/ptmx", "/proc/sysrq-trigger"),
    )
    script = "stat -c %t:%T /dev/console; (: >> /proc/sys/kernel/core_pattern); echo end"
    with person(cli, "run", "--rm", "-it", image, "sh", "-c", script) as me:
        me.sees(b"88:0\r\n")
        me.sees(b"core_pattern: Read-only file system")
        me.sees(b"end")
        assert me.sees_the_end() == 0


def test_cve_2025_52881_writes_of_ours_are_led_elsewhere(cli: Cli, busybox: str) -> None:
    """A task that may mount puts files of its choice where a further command's settings are written to."""
    script = (
        "mount -t tmpfs tmpfs /proc && mkdir -p /proc/self/attr /proc/sys/net/ipv4 /proc/self/fd /proc/1"
        " && for f in /proc/self/oom_score_adj /proc/self/attr/exec /proc/self/timens_offsets"
        " /proc/self/uid_map /proc/self/setgroups; do : > $f; done; echo mounted; exec sleep 1000"
    )
    options = ("--cap-add", "SYS_ADMIN", "--oom-score-adj", "321")
    with running(cli, busybox, *options, script=script) as name:
        inside = Path(f"/proc/{pid_of(cli, name)}/root/proc/self")
        until = "until [ -e /proc/self/setgroups ]; do :; done"
        done = cli("exec", name, "sh", "-c", f"{until}; cat /proc/self/*_*")
        with cli.start("exec", "-i", name, "cat") as process:
            host = _waiting_in(pid_of(cli, name), process)
            own = Path(f"/proc/{host}/oom_score_adj").read_text()
            process.communicate()
        assert not [path for path in inside.rglob("*") if path.is_file() and path.stat().st_size]
    assert done.stdout == ""
    assert own == "321\n", "the setting is made all the same"


def _waiting_in(task: int, process: Any) -> int:
    """The host's pid of the command `cat`, once it answers."""
    assert process.stdin and process.stdout
    process.stdin.write("x\n")
    process.stdin.flush()
    process.stdout.readline()
    namespace = os.readlink(f"/proc/{task}/ns/pid")
    for pid, command in commands():
        if command == b"cat\0" and os.readlink(f"/proc/{pid}/ns/pid") == namespace:
            return pid
    raise AssertionError("the command is not there")


SWAP = (
    "cd {0}; mkdir real; ln -s {1} link; while :; do mv real x; mv link real; mv real link; mv x real; done"
)


def test_cve_2021_30465_a_target_is_swapped(cli: Cli, manifest: Write, tmp_path: Path) -> None:
    """And CVE-2017-1002101, and CVE-2024-45310, by which what was missing was made on the host.

    Two containers share a volume; one swaps a directory in it for a link, while the other, with a mount on
    that directory and a part of the volume, is started again and again.
    """
    (tmp_path / "secret").write_text("the host's")
    shared = {"name": "shared", "mountPath": "/shared"}
    swap = SWAP.format("/shared", f"{'../' * 20}{str(tmp_path)[1:]}")
    one = {"name": "one", "script": swap, "volumeMounts": [shared], "restartPolicy": "Always"}
    looks = (
        "test ! -e /shared/real/in/secret && test ! -e /part/secret && test ! -e /proc/secret"
        " && grep -q '^proc /proc proc' /proc/mounts && test -e /proc/keys"
    )
    two = {
        "script": looks,
        "volumeMounts": [
            shared,
            {"name": "other", "mountPath": "/shared/real/in"},
            {"name": "shared", "mountPath": "/part", "subPath": "real"},
        ],
    }
    members = [{"name": f"two{number}", **two} for number in range(6)]
    volumes = [{"name": "shared", "emptyDir": {}}, {"name": "other", "emptyDir": {}}]
    before = Path("/proc/self/mountinfo").read_text()
    last = {"name": "last", "script": "true"}
    done = cli("pod", "run", "--rm", manifest(last, initContainers=[one, *members], volumes=volumes))
    # A target that has become a link is refused, or leads to another place inside; never to the host.
    assert done.returncode in (0, 125), done.stderr
    assert Path("/proc/self/mountinfo").read_text() == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "pod.yaml"] == ["secret"]
