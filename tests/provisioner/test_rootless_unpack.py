"""Unpacking without root's privileges: as an ordinary user, and as root of a user namespace only."""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import os
import tarfile  # noqa: TID251 - names of entry types
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.layer.apply import Job, Unpacked, apply
from provisioner.layer.compare import Comparison
from provisioner.layer.limits import Budget, Limits
from provisioner.layer.skeleton import rebuild
from provisioner.store.ingest import Ingest
from provisioner.store.store import Store
from tests.support import images
from tests.support.images import directory, entry, hardlink, layer

pytestmark = pytest.mark.requires("root", "userns")

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
CAPABILITY = "\x01\x00\x00\x02" + "\x00\x04" + "\x00" * 14
LAYER = layer(
    [
        directory("dev/", mode=0o755),
        entry("dev/null", kind=tarfile.CHRTYPE, device=(1, 3)),
        entry("dev/sda", kind=tarfile.BLKTYPE, device=(8, 0)),
        hardlink("dev/link", "dev/null"),
        entry("dev/fifo", kind=tarfile.FIFOTYPE, mode=0o600),
        entry("su", b"of root", mode=0o4755),
        entry("wall", b"of another", mode=0o2755, uid=7, gid=7),
        entry("ping", b"capable", pax={"SCHILY.xattr.security.capability": CAPABILITY}),
        directory("locked/", mode=0o500),
        entry("locked/in", b"1", mode=0o400),
        entry(".wh.gone"),
        entry("o/.wh..wh..opq"),
    ],
    compression="none",
)


def unpack_here() -> dict[str, Any]:
    digest = images.digest(LAYER.archive)
    job = Job(compression="none", diff_id=digest, directory="tree", trash="trash", skeleton="skeleton")
    unpacked = apply(job, io.BytesIO(LAYER.blob), Budget(Limits()).for_layer(len(LAYER.blob)))
    assert isinstance(unpacked, Unpacked)
    return {
        "verified": archive_again() == digest,
        "skipped": list(unpacked.skipped),
        "modes": {name: oct(os.stat(f"tree/{name}").st_mode & 0o7777) for name in ("su", "wall", "locked")},
        "dev": sorted(os.listdir("tree/dev")),
        "locked": os.listdir("tree/locked"),
        "whiteout": os.lstat("tree/gone").st_rdev,
        "opaque": os.listxattr("tree/o"),
    }


def archive_again() -> str:
    """The digest of the archive, after everything has been compared with it."""
    found = hashlib.sha256()
    root_fd = os.open("tree", os.O_RDONLY)
    comparison = Comparison("tree", root_fd, [], partial=True)
    rebuild("skeleton", root_fd, found.update, comparison.look)
    comparison.finish()
    return f"sha256:{found.hexdigest()}"


def elsewhere(become: Callable[[], None], place: Path) -> dict[str, Any]:
    """What unpack_here returns in a forked child that has become somebody else."""
    for path in (place, place / "tree", place / "trash"):
        path.mkdir(exist_ok=True)
        os.chown(path, NOBODY, NOBODY)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(place)  # the directories above are closed to others
            become()
            result = {"value": unpack_here()}
        except BaseException:
            result = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        result = json.loads(pipe.read())
    os.waitpid(pid, 0)
    assert "error" not in result, result["error"]
    value: dict[str, Any] = result["value"]
    return value


def nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def root_of_a_namespace() -> None:
    nobody()
    libc = ctypes.PyDLL(None, use_errno=True)
    # PR_SET_DUMPABLE: without it, /proc/self belongs to root after the change of user.
    assert libc.prctl(4, 1, 0, 0, 0) == 0
    assert libc.unshare(CLONE_NEWUSER) == 0
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {NOBODY} 1"), ("gid_map", f"0 {NOBODY} 1")):
        Path(f"/proc/self/{name}").write_text(line)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def test_an_ordinary_user_gets_what_it_can_make(tmp_path: Path) -> None:
    found = elsewhere(nobody, tmp_path / "place")
    assert found["dev"] == ["fifo"] and found["locked"] == ["in"] and found["verified"]
    # Root's setuid programs are the user's own files now: they must not run as the user.
    assert found["modes"] == {"su": "0o755", "wall": "0o755", "locked": "0o500"}
    assert (found["whiteout"], found["opaque"]) == (0, ["user.overlay.opaque"])
    skipped = "\n".join(found["skipped"])
    assert "2 device nodes: dev/null, dev/sda" in skipped
    assert "1 links to what was left out: dev/link" in skipped
    assert "2 setuid or setgid bits: su, wall" in skipped
    assert "1 security.capability attributes: ping" in skipped
    assert "owners" in skipped


def test_root_of_a_namespace_keeps_what_is_its_own(tmp_path: Path) -> None:
    found = elsewhere(root_of_a_namespace, tmp_path / "place")
    assert found["dev"] == ["fifo"] and found["verified"]
    # Its own setuid programs run as root of that namespace; an id that is not mapped is nobody's.
    assert found["modes"] == {"su": "0o4755", "wall": "0o755", "locked": "0o500"}
    skipped = "\n".join(found["skipped"])
    assert "2 device nodes" in skipped and "1 owners: wall" in skipped
    assert "capability" not in skipped


def test_what_was_left_out_is_kept_with_the_layer(tmp_path: Path) -> None:
    store, key = Store(str(tmp_path / "store")), images.digest(b"layer")
    with Ingest(store.paths) as ingest:
        ingest.claim([key], [])
        ingest.commit(ingest.stage("0"), key, 0, ["1 device nodes: dev/null"])
    assert store.layer_skipped(key) == ["1 device nodes: dev/null"]
    assert store.layer_skipped(images.digest(b"another")) == []
