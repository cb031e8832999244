"""`make bench-security`: what a default container can do, ours and those of the tools installed here.

The same image, the same task, each tool's own defaults; looked at from the host (tests/support/shields.py).
The table is in the form of docs/security.md. Ends with 1 where ours can do something that each other cannot.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from tests.support import images, shields

OURS, PODMAN, CONTAINERD = "containerizer", "podman", "containerd"
_TASK = ("sleep", "1000")
_PATIENCE = 30  # seconds until containerd answers

Looked = dict[str, Any]


def _caps(found: Looked, name: str) -> set[str]:
    return set(found["capabilities"][name])


def _inherited(found: Looked) -> set[str]:
    return _caps(found, "inheritable") | _caps(found, "ambient")


def _calls(found: Looked, place: int, kind: str = "allowed") -> set[str]:
    """Of the machine's first or second ABI."""
    each = list(found["calls"].values())
    return set(each[place][kind]) if place < len(each) else set()


def _devices(found: Looked) -> set[str]:
    """But for terminals, of which each container has its own."""
    return {path for path in found["devices"] if not path.startswith(("/dev/pts/", "/dev/console"))}


def _lacks(found: Looked, field: str) -> set[str]:
    return set() if found[field] else {"there is none"}


def _shared(found: Looked) -> set[str]:
    return {"cgroup", "ipc", "mnt", "net", "pid", "uts"} - set(found["namespaces"])


# Docker's defaults of 2026, which people's images are made for; podman's are without these capabilities, and
# the profiles of podman 4 and containerd 1.6 without these calls.
_WITH_REASON = frozenset(
    (
        *("CAP_AUDIT_WRITE", "CAP_MKNOD", "CAP_NET_RAW"),
        *("io_pgetevents", "name_to_handle_at", "process_vm_readv", "process_vm_writev"),
        *("uretprobe", "vmsplice"),
    )
)

# What a row shows, and what is in it that is to be little.
_ROWS: tuple[tuple[str, Callable[[Looked], str], Callable[[Looked], set[str]]], ...] = (
    ("capabilities", lambda f: str(len(_caps(f, "effective"))), lambda f: _caps(f, "effective")),
    ("… in the bounding set", lambda f: str(len(_caps(f, "bounding"))), lambda f: _caps(f, "bounding")),
    ("… inheritable, ambient", lambda f: str(len(_inherited(f))), _inherited),
    (
        "no new privileges",
        lambda f: "yes" if f["no_new_privileges"] else "no",
        lambda f: _lacks(f, "no_new_privileges"),
    ),
    ("seccomp", lambda f: "filter" if f["seccomp_mode"] else "none", lambda f: _lacks(f, "seccomp_mode")),
    ("system calls allowed", lambda f: str(len(_calls(f, 0))), lambda f: _calls(f, 0)),
    ("… of 32 bits", lambda f: str(len(_calls(f, 1))), lambda f: _calls(f, 1)),
    ("paths masked", lambda f: str(len(f["masked"])), lambda f: set()),
    ("paths read-only", lambda f: str(len(f["read_only"])), lambda f: set()),
    ("writable below /proc", lambda f: str(len(f["writable"]["proc"])), lambda f: set(f["writable"]["proc"])),
    ("writable below /sys", lambda f: str(len(f["writable"]["sys"])), lambda f: set(f["writable"]["sys"])),
    ("devices", lambda f: str(len(_devices(f))), _devices),
    ("namespaces of its own", lambda f: " ".join(f["namespaces"]), _shared),
    ("root inside is, outside", lambda f: f["uid_map"][1], lambda f: set()),
)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="containerizer-security-") as directory:
        root = Path(directory)
        layout = images.write_layout([("latest", images.busybox())], root / "image")
        found = {OURS: _looked(_ours(root, layout))}
        if peers.installed("podman"):
            found[PODMAN] = _looked(_podman(root, layout))
        if peers.installed("containerd", "ctr") == ["containerd", "ctr"]:
            found[CONTAINERD] = _looked(_containerd(root, layout))
    looser = list(_print(found))
    print()
    for text in looser:
        print(f"looser than a peer: {text}")
    return 1 if looser else 0


def _looked(running: contextlib.AbstractContextManager[int]) -> Looked:
    with running as pid:
        return shields.look(pid)


@contextlib.contextmanager
def _ours(root: Path, layout: Path) -> Iterator[int]:
    argv = [
        sys.executable,
        "-m",
        "containerizer",
        "--root",
        str(root / "root"),
        "--state",
        str(root / "state"),
    ]
    peers.run([*argv, "run", "-d", "--name", "looked-at", f"oci:{layout}", *_TASK])
    try:
        yield int(json.loads(peers.output([*argv, "ps", "--json"]))[0]["pid"])
    finally:
        peers.run([*argv, "rm", "-f", "looked-at"])


@contextlib.contextmanager
def _podman(root: Path, layout: Path) -> Iterator[int]:
    """By runc where that is there: crun refuses hosts with both versions of cgroups."""
    runtime = "runc" if peers.installed("runc") else "crun"
    argv = peers.podman(f"oci:{layout}:latest", root)
    argv[argv.index("--runtime") + 1] = runtime
    limits = argv.index("--memory")  # that is not what is compared
    base, argv = argv[: argv.index("run")], [*argv[:limits], "-d", "--name", "looked-at", argv[-1], *_TASK]
    with peers.pure_v1() if runtime == "crun" else contextlib.nullcontext():
        try:
            peers.run([word for word in argv if word != "--rm"])
            yield int(peers.output([*base, "inspect", "--format", "{{.State.Pid}}", "looked-at"]))
        finally:
            peers.run([*base, "rm", "-f", "-t", "0", "looked-at"])
            peers.forget_podman(root)


@contextlib.contextmanager
def _containerd(root: Path, layout: Path) -> Iterator[int]:
    """By its own client. That asks for no filter by itself, which containerd has: so it is asked for."""
    place, socket = root / "containerd", str(root / "containerd.sock")
    argv = ["containerd", "--root", f"{place}/root", "--state", f"{place}/state", "--address", socket]
    archive = root / "image.tar"
    subprocess.run(["tar", "-C", str(layout), "-cf", str(archive), "."], check=True)
    ctr = ["ctr", "--address", socket]
    with open(os.devnull, "wb") as nowhere, subprocess.Popen(argv, stdout=nowhere, stderr=nowhere) as daemon:
        try:
            _await(
                lambda: subprocess.run([*ctr, "version"], check=False, capture_output=True).returncode == 0
            )
            peers.run([*ctr, "images", "import", "--base-name", "example.org/busybox", str(archive)])
            name = peers.output([*ctr, "images", "ls", "-q"]).split()[0]
            peers.run([*ctr, "run", "-d", "--seccomp", name, "looked-at", *_TASK])
            listed = peers.output([*ctr, "tasks", "ls"]).splitlines()[1].split()
            try:
                yield int(listed[1])
            finally:
                peers.run([*ctr, "tasks", "rm", "-f", "looked-at"])
                peers.run([*ctr, "containers", "rm", "looked-at"])
        finally:
            daemon.terminate()


def _await(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("containerd does not answer")
        time.sleep(0.1)


def _print(found: dict[str, Looked]) -> Iterator[str]:
    """The table; yields what ours can do and some other cannot."""
    print(f"| a default container | {' | '.join(found)} |")
    print(f"| --- | {' | '.join('---' for _ in found)} |")
    for title, shown, able in _ROWS:
        print(f"| {title} | {' | '.join(shown(looked) for looked in found.values())} |")
        for other, looked in found.items():
            # What a tool has not heard of yet it has not forbidden either.
            young = _calls(looked, 0, "unknown") | _calls(looked, 1, "unknown")
            more = able(found[OURS]) - able(looked) - young - _WITH_REASON
            if more and other != OURS:
                yield f"{title}: {', '.join(sorted(more)[:8])} (not {other}'s)"


if __name__ == "__main__":
    sys.exit(main())
