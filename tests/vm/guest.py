"""Process 1 of the guest: makes it a host, runs the job's command, reports, and powers off.

Executed by `init` with the path of the job (machine.Job as JSON), and with the standard library only. Where
the job asks for systemd, process 1 becomes that, and executes this anew as a service (`units.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.vm import units

SCRATCH = "/run/vm/scratch"
CHECKOUT = "/run/vm/checkout"
SWAP_BYTES = 512 << 20  # of zram

# Of the host's directories these are empty here, and on an ext4 that takes an overlay's upper layer.
PRIVATE = ("/tmp", "/var/tmp", "/var/lib/containerizer")

# Those that no mount and no system call loads by itself.
MODULES = ("loop", "zram", "tun", "bfq", "dm_mod", "nfsd")

MOUNTS = (  # type, where, options
    ("sysfs", "/sys", ""),
    ("devpts", "/dev/pts", "ptmxmode=0666,mode=620,gid=5"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("mqueue", "/dev/mqueue", ""),
    ("hugetlbfs", "/dev/hugepages", ""),
    ("bpf", "/sys/fs/bpf", "mode=700"),
)

# As systemd mounts them: together, under both names and each of them.
TOGETHER = (("cpu", "cpuacct"), ("net_cls", "net_prio"))
HYBRID_V1 = ("cpu", "cpuacct", "memory", "freezer", "devices")  # where half of all is on v1, and half on v2
SERVICE = "system.slice/tests.service"  # where the command runs, as a service does


def main(job_path: str) -> None:
    job = json.loads(Path(job_path).read_text())
    if os.getpid() == 1:
        with open("/dev/console", "w") as console:
            os.dup2(console.fileno(), 1)
            os.dup2(console.fileno(), 2)
        _set_up(job)
        if job["cgroup"] == "systemd":
            units.boot([sys.executable, __file__, job_path])
    ports = {_line(path / "name"): path.name for path in Path("/sys/class/virtio-ports").iterdir()}
    status = _run(job, f"/dev/{ports['output']}")
    with contextlib.suppress(FileNotFoundError), open("/run/vm/junit.xml", "rb") as xml:
        Path(f"/dev/{ports['junit']}").write_bytes(xml.read())
    Path(f"/dev/{ports['status']}").write_text(f"{status}\n")


def _run(job: dict[str, Any], output: str) -> int:
    with open(output, "wb", buffering=0) as out:
        command = subprocess.Popen(
            job["argv"],
            cwd=job["directory"],
            env=job["environment"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        while True:  # and orphans are this process' to reap
            pid, status = os.wait()
            if pid == command.pid:
                return os.waitstatus_to_exitcode(status) & 0xFF


def _set_up(job: dict[str, Any]) -> None:
    for fstype, where, options in MOUNTS:
        os.makedirs(where, exist_ok=True)
        _busybox("mount", "-t", fstype, *(["-o", options] if options else []), fstype, where)
    _keep_private(job["directory"])
    _load_modules(job["modules"])
    _busybox("ip", "link", "set", "lo", "up")
    _busybox("hostname", "vm")
    _show_lsm(job["lsm"])
    _swap()
    if job["cgroup"] != "systemd":  # which mounts them itself
        (_mount_v2 if job["cgroup"] == "v2" else _mount_v1)(job["cgroup"])


def _show_lsm(name: str | None) -> None:
    """Mount its files; of SELinux with a policy by which it enforces from now on."""
    if name:
        _busybox("mount", "-t", "securityfs", "securityfs", "/sys/kernel/security")
    if name == "selinux":
        _busybox("mount", "-t", "selinuxfs", "selinuxfs", "/sys/fs/selinux")
        source, policy = Path(__file__).with_name("selinux.cil"), "/run/vm/policy"
        subprocess.run(["secilc", "-o", policy, "-f", "/dev/null", str(source)], check=True)
        Path("/sys/fs/selinux/load").write_bytes(Path(policy).read_bytes())
        Path("/sys/fs/selinux/enforce").write_text("1")


def _keep_private(checkout: str) -> None:
    """Give the guest its own temporary directories, though the checkout may lie in one of the host's."""
    os.mkdir(CHECKOUT)
    _busybox("mount", "--bind", checkout, CHECKOUT)
    for number, directory in enumerate(PRIVATE):
        own = f"{SCRATCH}/private{number}"
        os.mkdir(own)
        os.chmod(own, 0o1777 if directory.endswith("tmp") else 0o700)
        os.makedirs(directory, exist_ok=True)
        _busybox("mount", "--bind", own, directory)
    os.makedirs(checkout, exist_ok=True)
    _busybox("mount", "--move", CHECKOUT, checkout)


def _load_modules(modules: str) -> None:
    """Let the kernel find its modules, by busybox where the host has no modprobe."""
    os.makedirs("/lib/modules", exist_ok=True)
    release = os.uname().release
    os.symlink(f"{modules}/{release}", f"/lib/modules/{release}")
    if not os.path.exists("/sbin/modprobe"):
        os.symlink(_busybox_path(), "/sbin/modprobe")
    for module in MODULES:
        subprocess.run(["/sbin/modprobe", module], check=True)


def _swap() -> None:
    Path("/sys/block/zram0/disksize").write_text(str(SWAP_BYTES))
    _busybox("mkswap", "/dev/zram0")
    _busybox("swapon", "/dev/zram0")


def _mount_v2(_: str) -> None:
    _busybox("mount", "-t", "cgroup2", "-o", "nsdelegate", "cgroup2", "/sys/fs/cgroup")
    _join("/sys/fs/cgroup")


def _mount_v1(version: str) -> None:
    top = "/sys/fs/cgroup"
    _busybox("mount", "-t", "tmpfs", "-o", "mode=755", "cgroup", top)
    controllers = [line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    for controller in controllers:
        if version == "v1" or controller in HYBRID_V1:
            group = next((names for names in TOGETHER if controller in names), (controller,))
            if controller == group[0]:
                _hierarchy(",".join(group))
            for name in group if len(group) > 1 else ():
                with contextlib.suppress(FileExistsError):
                    os.symlink(",".join(group), f"{top}/{name}")
    _hierarchy("systemd", "none,name=systemd")
    _join(f"{top}/systemd")
    if version == "hybrid":
        os.mkdir(f"{top}/unified")
        _busybox("mount", "-t", "cgroup2", "-o", "nsdelegate", "cgroup2", f"{top}/unified")
        _join(f"{top}/unified")


def _hierarchy(name: str, options: str | None = None) -> None:
    os.mkdir(f"/sys/fs/cgroup/{name}")
    _busybox("mount", "-t", "cgroup", "-o", options or name, "cgroup", f"/sys/fs/cgroup/{name}")


def _join(hierarchy: str) -> None:
    """Nobody but the kernel's threads stays in the root, as under systemd."""
    os.makedirs(f"{hierarchy}/{SERVICE}")
    Path(hierarchy, SERVICE, "cgroup.procs").write_text(str(os.getpid()))


def _busybox(*argv: str) -> None:
    subprocess.run([_busybox_path(), *argv], check=True, stdout=subprocess.DEVNULL)


def _busybox_path() -> str:
    return next(path for path in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(path))


def _line(path: Path) -> str:
    return path.read_text().strip()


if __name__ == "__main__":
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        main(sys.argv[1])
    except BaseException:
        traceback.print_exc()  # to the console; without a status the host shows it
    finally:
        os.sync()
        _busybox("poweroff", "-f")
