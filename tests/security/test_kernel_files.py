"""Files of procfs, sysfs and cgroupfs that change the host, and devices that are the host's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.kernel import cgroups
from tests.end_to_end.conftest import Cli
from tests.end_to_end.ordinary_user import ordinary_user
from tests.security.conftest import running

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

# Writes of what is read, so that one that succeeds changes nothing here: it is said, and that is enough.
WRITE = (
    "for f in {}; do [ -e $f ] || continue; read -r v < $f;"
    ' (echo "$v" > $f) 2>/dev/null && echo "wrote $f"; done; true'
)

HOSTS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/poweroff_cmd",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/domainname",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/fs/nfsd/exports",
    "/proc/irq/default_smp_affinity",
    "/proc/bus/pci/00/00.0",
    "/proc/mtrr",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/power/state",
    "/sys/module/kernel/parameters/panic",
    "/sys/block/*/queue/scheduler",
    "/sys/class/net/lo/mtu",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/*/notify_on_release",
    "/sys/fs/cgroup/*/release_agent",
    "/sys/fs/cgroup/*/devices.allow",
    "/sys/fs/cgroup/*/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory.max",
    "/sys/kernel/debug/*",
)


@pytest.mark.parametrize(
    "options",
    [(), ("--userns", "auto"), ("--cap-add", "DAC_READ_SEARCH"), ("--security-opt", "seccomp=unconfined")],
    ids=" ".join,
)
def test_writing(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    """core_pattern (a program that the kernel runs as the host's root), uevent_helper, modprobe …"""
    done = cli("run", "--rm", *options, busybox, "sh", "-c", WRITE.format(" ".join(HOSTS)))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.requires("userns", "uidmap")
def test_cve_2023_25809_cgroups_of_an_ordinary_user() -> None:
    """Without privileges /sys/fs/cgroup was the host's, and what of it is the user's could be written."""
    with ordinary_user() as user:
        for options in ((), ("--ns", "cgroup=host"), ("--network", "host")):
            # What is no cgroup there is a filesystem of the container's own, in memory.
            looks = (
                "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do"
                " [ $(stat -f -c %T $d) != tmpfs ] && mkdir $d/new && echo made in $d; done"
            )
            script = f"({WRITE.format(' '.join(HOSTS))}; {looks}) 2> /dev/null; true"
            done = user("run", "--rm", *options, user.image, "sh", "-c", script)
            assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_sysrq(cli: Cli, busybox: str) -> None:
    """`echo b` into it would reboot this host. So nothing is written: it is read-only, or not there."""
    with running(cli, busybox) as name:
        done = cli("exec", name, "sh", "-c", "(: >> /proc/sysrq-trigger) && echo opened")
        (pid,) = [container["pid"] for container in cli.containers()]
        mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    assert done.stdout == ""
    if os.path.exists("/proc/sysrq-trigger"):
        line = next(line for line in mounts.splitlines() if line.split()[4] == "/proc/sysrq-trigger")
        assert "ro" in line.split()[5].split(",")


def test_mounting_again(cli: Cli, busybox: str) -> None:
    """Without the right to mount nothing read-only becomes writable, and nothing masked is shown."""
    script = (
        "mount -o remount,rw,bind /proc/sys; umount /proc/sys; umount /proc/keys; mount -t proc proc /tmp;"
        " mount -t sysfs sysfs /tmp; mount --bind /proc /tmp; chroot / sh -c 'umount /proc/keys'; echo end"
    )
    done = cli("run", "--rm", busybox, "sh", "-c", script)
    assert done.stdout == "end\n"
    assert done.stderr.count("ermitted") + done.stderr.count("ermission denied") == 7, done.stderr


@pytest.mark.requires("cgroup1")
def test_cve_2022_0492(cli: Cli, busybox: str) -> None:
    """A hierarchy of v1 is mounted, and the program that the kernel runs at a cgroup's end is named.

    By namespaces of its own a task would be root enough to mount one; without a filter it gets them, and the
    kernel's own check (Linux 5.17) is what is left.
    """
    script = (
        "for h in memory rdma cpu pids; do mkdir -p /tmp/$h; mount -t cgroup -o $h cgroup /tmp/$h 2>/dev/null"
        " && echo mounted; for f in /tmp/$h/release_agent /sys/fs/cgroup/$h/release_agent; do"
        " [ -e $f ] && (echo /evil > $f) 2>/dev/null && echo wrote $f; done; done; true"
    )
    with_namespaces = f'unshare -UrmC sh -c "{script}"'.replace("$", "\\$")
    agents = _release_agents()
    for options, command in (((), script), ((), with_namespaces)):
        assert cli("run", "--rm", *options, busybox, "sh", "-c", command).stdout == "", command
    unconfined = ("--security-opt", "seccomp=unconfined")
    done = cli("run", "--rm", *unconfined, busybox, "sh", "-c", with_namespaces)
    assert "wrote" not in done.stdout
    assert _release_agents() == agents


def _release_agents() -> dict[str, str]:
    points = [Path(h.mount_point) / "release_agent" for h in cgroups.hierarchies() if h.version == 1]
    return {str(path): path.read_text() for path in points if path.exists()}


def test_nodes_of_the_hosts_devices(cli: Cli, busybox: str) -> None:
    """MKNOD is a default capability: a node of the host's disk or memory opens nothing, wherever it is."""
    node = os.stat(next(path for path in map(Path, ("/dev/vda", "/dev/sda", "/dev/loop0")) if path.exists()))
    disk = f"{os.major(node.st_rdev)} {os.minor(node.st_rdev)}"
    script = (
        f"for d in /tmp /dev /dev/shm /root; do mknod $d/disk b {disk}; mknod $d/mem c 1 1;"
        " mknod $d/null2 c 1 3;"
        " for f in disk mem null2; do (: < $d/$f) 2>/dev/null && echo opened $f; done; done; true"
    )
    for options in ((), ("--tmpfs", "/tmp"), ("--cap-add", "SYS_RAWIO")):
        done = cli("run", "--rm", *options, busybox, "sh", "-c", script)
        assert (done.stdout, done.stderr) == ("", "")
