"""What has come of a blob is not fetched twice, whatever ended the pull that fetched it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import DigestMismatch, ImageNotFound
from provisioner.provisioner import Provisioner
from provisioner.store.prune import Criteria
from tests.provisioner.notes import Notes
from tests.provisioner.parts import ONE
from tests.support import images
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "registry")

ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT = 60  # seconds until something counts as hung
MIB = 1 << 20
LARGE = layer([entry("noise", os.urandom(3 * MIB))])
SIZE = len(LARGE.blob)
DIGEST = images.digest(LARGE.blob)
BLOB = f"/blobs/{DIGEST}"

PULL = """
import sys
from provisioner.provisioner import Provisioner
def progress(layer, phase, done, total):
    print(done, flush=True)
Provisioner(sys.argv[1]).pull(sys.argv[2], progress=progress)
"""


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultyProxy]:
    images.push(image(LARGE), registry.host, "partial", "latest")
    with FaultyProxy.start(registry.host) as running:
        yield running


@pytest.fixture
def partial(root: Path) -> Path:
    return root / "store/partials" / DIGEST.replace(":", "-")


@pytest.fixture
def interrupted(provisioner: Provisioner, proxy: FaultyProxy, partial: Path) -> Path:
    """A pull whose registry went away after a MiB; the file that is left."""
    proxy.fault(BLOB, Fault(cut_after=MIB))
    proxy.fault(BLOB, Fault(status=404))
    with pytest.raises(ImageNotFound):
        provisioner.pull(f"{proxy.host}/partial")
    assert partial.read_bytes() == LARGE.blob[:MIB]
    proxy.requests.clear()
    return partial


def ranges(proxy: FaultyProxy) -> list[str | None]:
    return [headers.get("Range") for headers in proxy.asked(BLOB)]


def pull(provisioner: Provisioner, proxy: FaultyProxy) -> Notes:
    """Pull, which has to make the right image and to leave no part of a blob."""
    notes = Notes()
    assert provisioner.pull(f"{proxy.host}/partial", progress=notes).size == 3 * MIB
    assert os.listdir(f"{provisioner._store.paths.root}/partials") == []
    assert provisioner.verify().damages == ()
    return notes


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_the_next_process_goes_on_where_a_killed_one_was(
    provisioner: Provisioner, proxy: FaultyProxy, root: Path, partial: Path, end: signal.Signals
) -> None:
    proxy.fault(BLOB, Fault(stall_after=MIB))
    command = [sys.executable, "-c", PULL, str(root), f"{proxy.host}/partial"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as killed:
        assert killed.stdout is not None
        while int(killed.stdout.readline()) < MIB:
            pass
        killed.send_signal(end)
        killed.wait(_TIMEOUT)
    assert not proxy._released.is_set(), "the connection stood still to the end"
    assert partial.stat().st_size == MIB
    notes = pull(provisioner, proxy)
    assert ranges(proxy) == [None, f"bytes={MIB}-"]
    assert notes.has(f"{MIB} of {SIZE} bytes are here already")


def test_who_waited_for_a_killed_one_goes_on_there(
    provisioner: Provisioner, proxy: FaultyProxy, root: Path
) -> None:
    """The kernel gives it the layer's lock and the partial's."""
    proxy.fault(BLOB, Fault(stall_after=MIB))
    waiting, sizes = threading.Event(), []

    def progress(layer: str, phase: str, done: int, total: int) -> None:
        if phase == "waiting":
            waiting.set()

    def wait_for_it() -> None:
        sizes.append(provisioner.pull(f"{proxy.host}/partial", progress=progress).size)

    command = [sys.executable, "-c", PULL, str(root), f"{proxy.host}/partial"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as killed:
        assert killed.stdout is not None
        while int(killed.stdout.readline()) < MIB:
            pass
        second = threading.Thread(target=wait_for_it)
        second.start()
        assert waiting.wait(_TIMEOUT)
        assert len(ranges(proxy)) == 1
        killed.kill()
    second.join(_TIMEOUT)
    assert (sizes, ranges(proxy)) == ([3 * MIB], [None, f"bytes={MIB}-"])


@pytest.mark.parametrize("ignore_range", [False, True], ids=["range", "no-range"])
def test_the_next_pull_goes_on_after_a_cut(
    provisioner: Provisioner, proxy: FaultyProxy, interrupted: Path, ignore_range: bool
) -> None:
    proxy.fault(BLOB, Fault(ignore_range=ignore_range))
    pull(provisioner, proxy)
    assert ranges(proxy) == [f"bytes={MIB}-"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400),
        Fault(status=416),
        Fault(status=501),
        Fault(status=206, body=LARGE.blob),
        Fault(status=206, body=b"x", headers={"Content-Range": f"bytes {SIZE - 1}-{SIZE - 1}/{SIZE}"}),
    ],
    ids=["400", "416", "501", "unknown-part", "another-part"],
)
def test_where_no_part_is_to_be_had_the_whole_is(
    provisioner: Provisioner, proxy: FaultyProxy, interrupted: Path, fault: Fault
) -> None:
    proxy.fault(BLOB, fault)
    pull(provisioner, proxy)
    assert ranges(proxy) == [f"bytes={MIB}-", None]


def test_a_blob_that_is_all_there_is_not_asked_for(
    provisioner: Provisioner, proxy: FaultyProxy, interrupted: Path
) -> None:
    interrupted.write_bytes(LARGE.blob)
    pull(provisioner, proxy)
    assert ranges(proxy) == []


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (bytes(MIB), [f"bytes={MIB}-", None]),
        (bytes(SIZE), [None]),
        (bytes(SIZE + 1), [None]),
        (LARGE.blob[: 2 * MIB - 1] + b"\0", [f"bytes={2 * MIB}-", None]),
    ],
    ids=["zeros", "whole", "too-long", "torn"],
)
def test_a_part_that_is_wrong_is_thrown_away(
    provisioner: Provisioner,
    proxy: FaultyProxy,
    interrupted: Path,
    content: bytes,
    asked: list[str | None],
) -> None:
    interrupted.write_bytes(content)
    pull(provisioner, proxy)
    assert ranges(proxy) == asked


def test_a_wrong_blob_is_not_kept(provisioner: Provisioner, proxy: FaultyProxy, interrupted: Path) -> None:
    wrong = Fault(status=200, body=bytes(SIZE))
    proxy.fault(
        BLOB, Fault(status=206, body=bytes(SIZE - MIB), headers={"Content-Range": f"bytes {MIB}-9/*"})
    )
    proxy.fault(BLOB, wrong)
    with pytest.raises(DigestMismatch):
        provisioner.pull(f"{proxy.host}/partial")
    assert len(ranges(proxy)) == 2, "the part, and the whole once"
    assert not interrupted.exists()


def test_a_broken_image_is_not_fetched_twice(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    """The blob is what its digest says, and no layer."""
    broken = images.layer_of(os.urandom(3 * MIB))
    digest = images.push(image(broken), proxy.upstream, "broken", "latest")
    with pytest.raises(Exception, match="layer "):
        provisioner.pull(f"{proxy.host}/broken@{digest}")
    assert len(proxy.asked(f"/blobs/{images.digest(broken.blob)}")) == 1


def test_who_finds_it_in_use_does_without(
    provisioner: Provisioner, proxy: FaultyProxy, interrupted: Path
) -> None:
    with interrupted.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert provisioner.pull(f"{proxy.host}/partial").size == 3 * MIB
        provisioner.prune(Criteria())
        assert interrupted.stat().st_size == MIB
    assert ranges(proxy) == [None]


def test_without_room_nothing_is_added(
    provisioner: Provisioner, proxy: FaultyProxy, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.store.partials._ROOM", 1 << 60)
    proxy.fault(BLOB, Fault(cut_after=MIB))
    proxy.fault(BLOB, Fault(status=404))
    with pytest.raises(ImageNotFound):
        provisioner.pull(f"{proxy.host}/partial")
    assert interrupted.stat().st_size == MIB
    pull(provisioner, proxy)
    assert ranges(proxy) == [f"bytes={MIB}-", f"bytes={2 * MIB}-", f"bytes={MIB}-"]
    assert not interrupted.exists()


LIMITED = """
import resource, sys
from provisioner.provisioner import Provisioner
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
print(Provisioner(sys.argv[1]).pull(sys.argv[2]).size)
"""


def test_a_disk_that_refuses_it_costs_nothing_else(
    provisioner: Provisioner, proxy: FaultyProxy, root: Path
) -> None:
    """No file may be larger than a MiB, so the blob's cannot be kept; those of the layer are smaller."""
    small_files = image(layer([entry(f"noise{n}", os.urandom(MIB // 2)) for n in range(6)]))
    images.push(small_files, proxy.upstream, "refused", "latest")
    command = [sys.executable, "-c", LIMITED, str(root), f"{proxy.host}/refused"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT)
    assert (done.stdout, done.stderr) == (f"{3 * MIB}\n", "")
    assert os.listdir(root / "store/partials") == []


FULL = """
import os, subprocess, sys
from provisioner.errors import StoreError
from provisioner.provisioner import Provisioner
disk, reference = sys.argv[1:]
p = Provisioner(disk)
try:
    p.pull(reference)
    sys.exit("it fitted")
except StoreError as error:
    print(error.message)
assert p.images() == [] and os.listdir(f"{disk}/store/partials") == os.listdir(f"{disk}/store/ingest") == []
subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
p.pull(reference)
assert p.verify().damages == ()
"""
MOUNTED = 'mount -t tmpfs -o size=16m none "$1" && exec "$2" -c "$3" "$1" "$4"'


def test_a_full_disk_keeps_none(proxy: FaultyProxy, tmp_path: Path) -> None:
    """There is room for the blob, and none for what it unpacks to."""
    large = layer([entry("large", os.urandom(1000) * 24_000)])
    assert len(large.blob) > 64 << 10
    images.push(image(large), proxy.upstream, "unpacks", "latest")
    (tmp_path / "disk").mkdir()
    arguments = [str(tmp_path / "disk"), sys.executable, FULL, f"{proxy.host}/unpacks"]
    command = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert "No space left" in done.stdout


# What is left goes.


def test_prune_removes_it(provisioner: Provisioner, interrupted: Path) -> None:
    assert provisioner.prune(Criteria()).freed == MIB
    assert not interrupted.exists()


def test_it_goes_by_age_and_by_size(
    provisioner: Provisioner, proxy: FaultyProxy, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.push(image(ONE), proxy.upstream, "other", "latest")
    images.push(image(layer([entry("another", b"1")])), proxy.upstream, "third", "latest")
    older = interrupted.with_name("sha256-older")
    older.write_bytes(bytes(MIB))
    os.utime(older, times=(time.time() - 60,) * 2)
    monkeypatch.setattr("provisioner.store.partials.MOST", 2 * MIB - 1)
    provisioner.pull(f"{proxy.host}/other")
    assert interrupted.exists() and not older.exists()
    os.utime(interrupted, times=(time.time() - 2 * 86400,) * 2)
    provisioner.pull(f"{proxy.host}/third")
    assert not interrupted.exists()
