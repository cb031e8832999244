"""Freeing space, and finding damage."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.image import Image
from provisioner.provisioner import Provisioner
from provisioner.store import verify
from provisioner.store.ingest import Ingest
from provisioner.store.prune import Criteria
from tests.provisioner.notes import Notes
from tests.provisioner.parts import diff
from tests.support import images
from tests.support.images import entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root")

ROOT = Path(__file__).resolve().parents[2]
BASE = layer([entry("base", b"12345")])
TOP = layer([entry("top", b"123")])
OTHER = layer([entry("other", b"1234567")])
DAY = 86400


@pytest.fixture
def stored(provisioner: Provisioner, tmp_path: Path) -> list[Image]:
    """Three images: the second shares the first's layer."""
    parts = {"a": image(BASE), "b": image(BASE, TOP), "c": image(OTHER)}
    path = images.write_layout(parts.items(), tmp_path / "layout")
    return [provisioner.pull(f"oci:{path}:{tag}") for tag in parts]


def names(found: Sequence[Image]) -> str:
    return "".join(one.reference[-1] for one in found)


def last_used(provisioner: Provisioner, one: Image, seconds_ago: float) -> None:
    (path,) = Path(provisioner._store.paths.refs).rglob(f":{one.reference[-1]}.json")
    os.utime(path, times=(time.time() - seconds_ago,) * 2)


def test_usage(provisioner: Provisioner, stored: list[Image], tmp_path: Path) -> None:
    (tmp_path / "container").mkdir()
    last_used(provisioner, stored[0], DAY)
    before = time.time() - 1
    provisioner.provision(stored[0], "web.x", str(tmp_path / "container"))
    a, b, c = provisioner.usage()
    assert [u.image.size for u in (a, b, c)] == [5, 8, 7]
    assert [u.shared for u in (a, b, c)] == [5, 5, 0]
    assert (a.containers, b.containers) == (("web.x",), ())
    assert a.used_at > before


def test_without_criteria_images_stay(provisioner: Provisioner, stored: list[Image]) -> None:
    assert provisioner.prune(Criteria()).images == ()
    assert provisioner.images() == stored


def test_all_that_no_container_uses(provisioner: Provisioner, stored: list[Image], tmp_path: Path) -> None:
    (tmp_path / "container").mkdir()
    provisioner.provision(stored[0], "c", str(tmp_path / "container"))
    pruned = provisioner.prune(Criteria(everything=True))
    assert (names(pruned.images), pruned.freed) == ("bc", 10)
    assert provisioner.images() == stored[:1]
    assert (diff(Path(provisioner._store.paths.root).parent, stored[0], 0) / "base").exists()
    provisioner.destroy("c", str(tmp_path / "container"))
    assert names(provisioner.prune(Criteria(everything=True)).images) == "a"


def test_by_age_but_not_the_excluded(provisioner: Provisioner, stored: list[Image]) -> None:
    for one, days in zip(stored, (9, 8, 1), strict=True):
        last_used(provisioner, one, days * DAY)
    criteria = Criteria(unused_for=7 * DAY, excluded=(stored[0].reference,))
    assert names(provisioner.prune(criteria).images) == "b"
    assert names(provisioner.images()) == "ac"


def test_headroom(provisioner: Provisioner, stored: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    for one, days in zip(stored, (1, 9, 8), strict=True):
        last_used(provisioner, one, days * DAY)
    used = iter((0.95, 0.93, 0.89))
    monkeypatch.setattr("provisioner.store.prune._usage", lambda _: next(used))
    assert names(provisioner.prune(Criteria(headroom=0.1)).images) == "bc"
    assert names(provisioner.images()) == "a"


def test_room_after_a_pull(stored: list[Image], root: Path, tmp_path: Path) -> None:
    """A disk that is to be all free is never free enough: all go but what is excluded, used, or pulled."""
    path = images.write_layout([("d", image(layer([entry("d", b"d")])))], tmp_path / "more")
    criteria = Criteria(headroom=1.0, excluded=(stored[0].reference,))
    careful = Provisioner(str(root), after_pull=criteria)
    (tmp_path / "container").mkdir()
    careful.provision(stored[1], "c", str(tmp_path / "container"))
    notes = Notes()
    careful.pull(f"oci:{path}:d", progress=notes)
    assert names(careful.images()) == "abd"
    assert notes.texts == [f"removed image {stored[2].reference}, which nobody used, to make room"]
    careful.destroy("c", str(tmp_path / "container"))
    assert careful.pull(f"oci:{path}:d", policy="missing")
    assert names(careful.images()) == "abd", "nothing was pulled"


def test_what_a_pull_has_claimed_stays(provisioner: Provisioner, stored: list[Image], root: Path) -> None:
    with Ingest(provisioner._store.paths) as ingest:
        ingest.claim(stored[2].layers, [stored[2].digest])
        provisioner.prune(Criteria(everything=True))
        assert provisioner.images() == []
        assert os.listdir(root / "store/layers/sha256") == [stored[2].layers[0][7:]]
        assert os.listdir(root / "store/blobs/sha256") == [stored[2].digest[7:]]
    provisioner.prune(Criteria())
    assert os.listdir(root / "store/layers/sha256") == os.listdir(root / "store/blobs/sha256") == []


# Interrupted pulls.


def test_an_interrupted_pull_keeps_what_was_verified(
    provisioner: Provisioner, root: Path, tmp_path: Path
) -> None:
    path = images.write_layout([("a", image(BASE, TOP, OTHER)), ("b", image(OTHER))], tmp_path / "layout")

    def interrupt(digest: str, phase: str, done: int, total: int) -> None:
        if phase == "done" and digest == images.digest(TOP.blob):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        provisioner.pull(f"oci:{path}:a", progress=interrupt)
    assert provisioner.images() == []
    assert not (root / "store/blobs").exists()
    provisioner.pull(f"oci:{path}:b")  # another image's pull does not take it away
    phases: dict[str, str] = {}
    pulled = provisioner.pull(
        f"oci:{path}:a", progress=lambda layer, phase, *_: phases.update({layer: phase})
    )
    assert phases[images.digest(BASE.blob)] == phases[images.digest(TOP.blob)] == "exists"
    assert os.listdir(root / "store/ingest") == []
    assert len(pulled.layers) == 3


def test_the_rests_of_interrupted_pulls_go_by_hand_and_by_age(
    provisioner: Provisioner, root: Path, tmp_path: Path
) -> None:
    path = images.write_layout([("a", image(BASE, TOP)), ("b", image(OTHER))], tmp_path / "layout")

    def interrupted() -> None:
        def interrupt(digest: str, phase: str, done: int, total: int) -> None:
            if phase == "done":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            provisioner.pull(f"oci:{path}:a", progress=interrupt)
        assert len(os.listdir(root / "store/layers/sha256")) >= 1

    interrupted()
    assert provisioner.prune(Criteria()).freed > 0
    assert os.listdir(root / "store/ingest") == os.listdir(root / "store/layers/sha256") == []
    interrupted()
    (claim,) = (root / "store/ingest").rglob("claim.json")
    os.utime(claim, times=(time.time() - 2 * DAY,) * 2)
    provisioner.pull(f"oci:{path}:b")
    assert os.listdir(root / "store/ingest") == []
    assert len(os.listdir(root / "store/layers/sha256")) == 1


# kill -9.

KILLED = """
import os, signal, sys
from provisioner.provisioner import Provisioner
left, main = int(sys.argv[3]), os.getpid()
def count(event, arguments):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod"):
        if sys.argv[1] in str(arguments) and os.getpid() == main:
            left -= 1
            if left < 0:
                os.kill(main, signal.SIGKILL)
Provisioner(sys.argv[1])
sys.addaudithook(count)
Provisioner(sys.argv[1]).pull(sys.argv[2])
print(left)
"""


def killed_after(root: Path, reference: str, calls: int) -> bool:
    """Pull, but be killed at the so many'th call that changes the store; whether that was before the end."""
    command = [sys.executable, "-c", KILLED, str(root), reference, str(calls)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def contents(root: Path) -> dict[str, dict[str, bytes]]:
    """The files of each layer that shows."""
    layers = root / "store/layers/sha256"
    return {
        name: {path.name: path.read_bytes() for path in (layers / name / "diff").rglob("*")}
        for name in (os.listdir(layers) if layers.exists() else ())
    }


def test_a_pull_killed_at_any_point(tmp_path: Path) -> None:
    parts = image(BASE, TOP, OTHER)
    check_killed(tmp_path, f"oci:{images.write_layout([('', parts)], tmp_path / 'layout')}")


@pytest.mark.requires("registry")
@pytest.mark.usefixtures("provisioner")  # for its settings, which the processes inherit
def test_a_pull_from_a_registry_killed_at_any_point(tmp_path: Path, registry: Registry) -> None:
    """Layers large enough that what came of them is kept."""
    parts = image(*(layer([entry(f"f{n}", os.urandom(300_000))]) for n in range(3)))
    images.push(parts, registry.host, "killed", "latest")
    check_killed(tmp_path, f"{registry.host}/killed", faster=8)
    assert os.listdir(tmp_path / "killed/store/partials") == []


def check_killed(tmp_path: Path, reference: str, *, faster: int = 1) -> None:
    """Kill pulls at one point after another; what shows in the store is whole at each, and in the end all."""
    whole = Provisioner(f"{tmp_path}/whole")
    expected = whole.pull(reference)
    step, calls, points = faster, 0, 0
    while killed_after(tmp_path / "killed", reference, calls):
        points += 1
        calls += step
        step = faster + points // 4
        shown = Provisioner(f"{tmp_path}/killed").images()
        assert shown in ([], [expected])
        found = contents(tmp_path / "killed")
        assert found.items() <= contents(tmp_path / "whole").items()
        if shown:
            assert found == contents(tmp_path / "whole")
        if points % 3 == 0:  # else the next one goes on from what this one had
            Provisioner(f"{tmp_path}/killed").prune(Criteria(everything=True))
    assert points > 6
    again = Provisioner(f"{tmp_path}/killed")
    assert again.pull(reference) == expected
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert os.listdir(tmp_path / "killed/store/ingest") == os.listdir(tmp_path / "killed/store/locks") == []
    assert again.verify().damages == ()


# A full disk.

FULL = """
import contextlib, os, sys
from provisioner.errors import StoreError
from provisioner.provisioner import Provisioner
disk, reference = sys.argv[1:]
p = Provisioner(disk)
try:
    p.pull(reference)
    sys.exit("it fitted")
except StoreError as error:
    print(error.message)
assert p.images() == [] and not os.path.exists(disk + "/store/blobs")
os.unlink(disk + "/ballast")
image = p.pull(reference)
assert p.verify().damages == ()
ballast = os.open(disk + "/ballast", os.O_WRONLY | os.O_CREAT)
with contextlib.suppress(OSError):
    while True:
        os.write(ballast, bytes(4096))
try:
    p.provision(image, "container", disk + "/container")
    sys.exit("it fitted")
except StoreError as error:
    print(error)
"""
MOUNTED = """
mount -t tmpfs -o size=6m none "$1" && dd if=/dev/zero of="$1/ballast" bs=1M count=4 status=none &&
exec "$2" -c "$3" "$1" "$4"
"""


def test_a_full_disk(tmp_path: Path) -> None:
    small, large = layer([entry("s", b"1" * 1000)]), layer([entry("l", os.urandom(3 << 20))])
    reference = f"oci:{images.write_layout([('', image(small, large))], tmp_path / 'layout')}"
    (tmp_path / "disk").mkdir()
    arguments = [str(tmp_path / "disk"), sys.executable, FULL, reference]
    command = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "cannot store image" in done.stdout and "No space left" in done.stdout
    assert "cannot provision" in done.stdout and "None" not in done.stdout


# Damage.


def test_what_is_removed_meanwhile_is_not_damaged(
    provisioner: Provisioner, stored: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = verify._layer

    def remove_and_look(*arguments: Any) -> tuple[str | None, bool]:
        for one in provisioner.images():
            provisioner.remove(one.reference)
        return look(*arguments)

    monkeypatch.setattr(verify, "_layer", remove_and_look)
    assert provisioner.verify().damages == ()


def test_verify_finds_what_has_changed(provisioner: Provisioner, stored: list[Image], root: Path) -> None:
    first = provisioner.verify()
    assert (first.damages, first.recorded + first.layers) == ((), 3)
    again = provisioner.verify()
    assert (again.damages, again.recorded, again.layers) == ((), 0, 3)
    changed = diff(root, stored[0], 0) / "base"
    times = changed.stat()
    changed.write_bytes(b"54321")
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    blob = root / "store/blobs" / stored[2].config_digest.replace(":", "/")
    blob.write_bytes(blob.read_bytes() + b" ")
    damages = provisioner.verify().damages
    assert [names([i for i in stored if i.reference in d.images]) for d in damages] == ["c", "ab"]
    assert "hashes to" in damages[0].what and "has changed" in damages[1].what
    blob.unlink()
    os.unlink(diff(root, stored[2], 0) / "other")
    assert len(provisioner.verify().damages) == 3


def test_what_was_saved_here_is_verified_by_its_own_digest(
    provisioner: Provisioner, stored: list[Image], tmp_path: Path
) -> None:
    provisioner.save([stored[1].reference], f"{tmp_path}/saved")
    other = Provisioner(f"{tmp_path}/other")
    other.load(f"{tmp_path}/saved")
    found = other.verify()
    assert (found.layers, found.recorded, found.damages) == (2, 0, ())
