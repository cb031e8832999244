"""The virtual machine, seen from the host: QEMU's hardware, virtiofsd, results, and the limit.

The guest has two processors and two NUMA nodes; as disks the scratch (vda) and a blank one (vdb); as
serial lines its console, a file, and three ports: what the command prints, JUnit's XML, the exit status.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.vm import kernel
from tests.vm.kernel import Unavailable
from tests.vm.units import SYSTEMD

QEMU = "qemu-system-x86_64"
VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")  # Debian 13's place, and 12's

RESULTS = {"junit": "junit.xml", "status": "status"}  # port: the file where it ends
NODE_MEGABYTES = 1024  # of each of the two NUMA nodes
SCRATCH_BYTES = 8 << 30  # sparse
BLANK_BYTES = 256 << 20  # sparse
CONSOLE_LINES = 40  # shown of a guest that hung or died

KERNEL_ARGUMENTS = (
    *("console=ttyS0", "quiet", "panic=-1", "rdinit=/init"),  # -1: end at once, with -no-reboot
    *("psi=1", "swapaccount=1", "hugepages=16"),
    "mitigations=off",  # dear in software, and nobody to protect
)
NO_V1 = "cgroup_no_v1=all"
LSM = {name: f"security={name}" for name in ("apparmor", "selinux")}  # without it AppArmor, with no profiles

EXIT_HUNG = 124
EXIT_DIED = 125


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What the guest is to do; it reads this as JSON."""

    cgroup: str  # v1, v2, hybrid, or systemd: v2, and systemd is process 1
    argv: Sequence[str]
    directory: str  # where the command runs, at the same path as on the host
    environment: Mapping[str, str]
    modules: str  # the kernel's, below lib/modules
    lsm: str | None  # one of LSM, to be seen by what runs; selinux with the policy that is beside


def check(*, systemd: bool) -> None:
    """Raises Unavailable where a program is missing; `systemd`: one of the guest's, too."""
    kernel.found(QEMU)
    for program in (SYSTEMD, "dbus-daemon") if systemd else ():
        kernel.found(program)
    _virtiofsd_program()


def run(job: Job, kernel_directory: Path, results: Path, limit: float) -> int:
    """Boot, run the job, and return its exit status; EXIT_HUNG after `limit` seconds, EXIT_DIED without one.

    Raises Unavailable.
    """
    console = results / "console.log"
    with ExitStack() as stack:
        shared = stack.enter_context(_virtiofsd(results))
        _prepare(results, job)
        argv = _qemu(kernel_directory, results, shared)
        guest = stack.enter_context(_process(argv, stdout=subprocess.PIPE))
        in_time = _relay(guest, time.monotonic() + limit)
    status = (results / "status").read_text().strip()
    if in_time and status:
        return int(status)
    what = "gave no result" if in_time else f"was ended after {limit:.0f} s"
    print(f"\nthe guest {what}; the end of {console}:", file=sys.stderr)
    print("\n".join(console.read_text(errors="replace").splitlines()[-CONSOLE_LINES:]), file=sys.stderr)
    return EXIT_DIED if in_time else EXIT_HUNG


def _prepare(results: Path, job: Job) -> None:
    for name in ("console.log", *RESULTS.values()):
        (results / name).write_bytes(b"")
    (results / "job.json").write_text(
        json.dumps({name: getattr(job, name) for name in Job.__dataclass_fields__})
    )
    for name, size in (("scratch", SCRATCH_BYTES), ("blank", BLANK_BYTES)):
        with (results / name).open("wb") as disk:
            disk.truncate(size)
    scratch = str(results / "scratch")
    kernel.run("mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", scratch)


def _qemu(kernel_directory: Path, results: Path, shared: str) -> list[str]:
    python = sys.executable
    words = [*KERNEL_ARGUMENTS, f"vm.python={python}", f"vm.guest={Path(__file__).with_name('guest.py')}"]
    words.append(f"vm.job={results / 'job.json'}")
    job = json.loads((results / "job.json").read_text())
    words += [NO_V1] if job["cgroup"] in ("v2", "systemd") else []
    words += [LSM[job["lsm"]]] if job["lsm"] else []
    return [
        *(kernel.found(QEMU), "-accel", "tcg,thread=multi", "-cpu", "max", "-no-reboot"),
        *(
            "-nodefaults",
            "-display",
            "none",
            "-monitor",
            "none",
            "-serial",
            f"file:{results / 'console.log'}",
        ),
        *("-kernel", str(kernel.image(kernel_directory)), "-initrd", str(kernel.initramfs(kernel_directory))),
        *("-append", " ".join(words)),
        *("-smp", "2", "-m", f"{2 * NODE_MEGABYTES}M", *_numa_node(0), *_numa_node(1)),
        *("-chardev", f"socket,id=host,path={shared}", "-device", "vhost-user-fs-pci,chardev=host,tag=host"),
        *_disk(results / "scratch"),
        *_disk(results / "blank"),
        # Its standard output by way of a file: "stdio" would take the end of its input for a hang-up.
        *("-device", "virtio-serial-pci", "-chardev", "file,id=output,path=/dev/stdout"),
        *("-device", "virtserialport,chardev=output,name=output"),
        *(word for name, file in RESULTS.items() for word in _port(name, results / file)),
    ]


def _numa_node(number: int) -> list[str]:
    backend = f"memory-backend-memfd,id=node{number},size={NODE_MEGABYTES}M,share=on"  # with virtiofsd
    return ["-object", backend, "-numa", f"node,nodeid={number},cpus={number},memdev=node{number}"]


def _port(name: str, file: Path) -> list[str]:
    return [
        "-chardev",
        f"file,id={name},path={file}",
        "-device",
        f"virtserialport,chardev={name},name={name}",
    ]


def _disk(file: Path) -> list[str]:
    return ["-drive", f"file={file},format=raw,if=virtio,cache=unsafe"]


@contextmanager
def _virtiofsd(results: Path) -> Iterator[str]:
    """Shares the host's root directory; yields its socket, which listens already."""
    program = _virtiofsd_program()
    path = results / "virtiofs.socket"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # a short name: unix(7) allows 107 bytes
        listening.listen(1)
        options = "source=/,cache=always,sandbox=chroot"
        argv = [program, f"--fd={listening.fileno()}", "-o", options]
        log = (results / "virtiofsd.log").open("wb")
        with log, _process(argv, pass_fds=[listening.fileno()], stdout=log, stderr=log):
            yield os.path.relpath(path)
    path.unlink()


def _virtiofsd_program() -> str:
    program = next(filter(os.path.exists, VIRTIOFSD), None)
    if program is None:
        raise Unavailable("virtiofsd is not installed: apt-get install virtiofsd, or qemu-system-common")
    return program


@contextmanager
def _process(argv: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    with process:
        try:
            yield process
        finally:
            process.kill()


def _relay(guest: subprocess.Popen[bytes], deadline: float) -> bool:
    """Print what the guest does until it ends; whether that was before the deadline."""
    assert guest.stdout is not None
    while (remaining := deadline - time.monotonic()) > 0:
        if not select.select([guest.stdout], [], [], remaining)[0]:
            break
        data = os.read(guest.stdout.fileno(), 1 << 16)
        if not data:
            return True
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return False
