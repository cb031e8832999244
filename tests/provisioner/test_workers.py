from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import ContainerizerError
from provisioner.errors import DigestMismatch, InvalidLayer, StoreError
from provisioner.layer.apply import Unpacked
from provisioner.layer.limits import Budget, Limits
from provisioner.layer.unpack import unpack
from provisioner.layer.workers import Workers
from provisioner.manifest import Descriptor
from tests.support import images
from tests.support.images import Layer, directory, entry, layer

NOISE = os.urandom(1_500_000)  # more than what is unpacked without a worker
LARGE = layer([directory("d/", mode=0o2775, gid=7), entry("d/f", NOISE, mode=0o4755, uid=5), entry("e/x")])


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers() as running:
        yield running


class Source(io.BytesIO):
    """A blob that does something when half of it has been read."""

    def __init__(self, blob: bytes, action: object = None) -> None:
        super().__init__(blob)
        self._half, self._action = len(blob) // 2, action

    def read(self, size: int | None = -1, /) -> bytes:
        if callable(self._action) and self.tell() > self._half:
            action, self._action = self._action, None
            action()
        return super().read(size)


def run(
    workers: Workers,
    one: Layer,
    parent: Path,
    *,
    source: io.BytesIO | None = None,
    limits: Limits | None = None,
    budget: Budget | None = None,
    diff_id: str | None = None,
    blob: bytes | None = None,
    trash: str = "trash",
) -> Unpacked:
    for name in ("tree", "trash"):
        (parent / name).mkdir(parents=True, exist_ok=True)
    described = one.descriptor
    return unpack(
        source or io.BytesIO(blob or one.blob),
        Descriptor(
            media_type=described["mediaType"],
            digest=described["digest"],
            size=described["size"],
            annotations={},
        ),
        diff_id or images.digest(one.archive),
        directory=str(parent / "tree"),
        trash=str(parent / trash),
        budget=budget or Budget(limits or Limits()),
        advance=lambda done: None,
        workers=workers,
    )


def children() -> set[int]:
    path = f"/proc/self/task/{threading.get_native_id()}/children"
    return set(map(int, Path(path).read_text().split()))


@pytest.mark.requires("root")
def test_a_worker_makes_what_this_process_would(tmp_path: Path, workers: Workers) -> None:
    unpacked = run(workers, LARGE, tmp_path)
    assert unpacked == Unpacked(size=len(NOISE), implicit=(b"", b"e"))
    assert (tmp_path / "tree/d/f").read_bytes() == NOISE
    status = (tmp_path / "tree/d/f").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o4755, 5, 0)  # not its directory's


def test_a_worker_serves_again_and_ends_with_its_owner(tmp_path: Path) -> None:
    before = children()
    with Workers() as workers:
        run(workers, LARGE, tmp_path / "1")
        (worker,) = children() - before
        run(workers, LARGE, tmp_path / "2")
        assert children() - before == {worker}
    assert children() == before


def test_what_a_worker_spent_is_gone(tmp_path: Path, workers: Workers) -> None:
    with pytest.raises(InvalidLayer, match="more than 1000000 bytes"):
        run(workers, LARGE, tmp_path / "1", limits=Limits(unpacked_bytes=1_000_000))
    with pytest.raises(InvalidLayer, match="more than 2 files"):
        run(workers, LARGE, tmp_path / "2", limits=Limits(entries=2))


def test_layers_at_once_keep_the_limits_together(tmp_path: Path, workers: Workers) -> None:
    """While one is half unpacked, another may take what that has left."""
    huge = layer([entry("noise", os.urandom(40 << 20))], compression="none")
    budget = Budget(Limits(unpacked_bytes=50 << 20))

    def another() -> None:
        with pytest.raises(InvalidLayer, match="unpacks to more than"):
            run(workers, huge, tmp_path / "2", budget=budget)

    run(workers, huge, tmp_path / "1", source=Source(huge.blob, another), budget=budget)
    assert 9 << 20 < budget.left().unpacked_bytes < 10 << 20, "what the second has taken is given back"


def test_errors_cross_the_processes(tmp_path: Path, workers: Workers) -> None:
    with pytest.raises(DigestMismatch, match="hashes to"):
        run(workers, LARGE, tmp_path / "diff id", diff_id=images.digest(b"other"))
    half = len(LARGE.blob) // 2
    changed = LARGE.blob[:half] + b"damage" + LARGE.blob[half + 6 :]
    with pytest.raises(DigestMismatch, match=r"layer sha256:.* hashes to sha256:"):
        run(workers, LARGE, tmp_path / "damage", blob=changed)
    with pytest.raises(InvalidLayer, match="truncated"):
        run(workers, LARGE, tmp_path / "cut", blob=LARGE.blob[:half])
    escape = layer([entry("f", NOISE), entry("../f")])
    with pytest.raises(InvalidLayer, match="leads out of the layer"):
        run(workers, escape, tmp_path / "escape")


def test_what_the_host_refuses_is_the_hosts_error(tmp_path: Path, workers: Workers) -> None:
    with pytest.raises(FileNotFoundError, match="trash"):
        run(workers, LARGE, tmp_path, trash="nowhere/trash")


def test_a_killed_worker_is_an_error_and_the_next_layer_gets_another(
    tmp_path: Path, workers: Workers
) -> None:
    before = children()

    def kill() -> None:
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)

    big = layer([entry("f", os.urandom(8_000_000))])
    with pytest.raises((ContainerizerError, OSError), match="killed") as raised:
        run(workers, big, tmp_path / "1", source=Source(big.blob, kill))
    assert isinstance(raised.value, StoreError)
    assert run(workers, LARGE, tmp_path / "2").size == len(NOISE)


def test_a_pull_that_gives_up_leaves_no_worker(tmp_path: Path, workers: Workers) -> None:
    before = children()

    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(workers, LARGE, tmp_path, source=Source(LARGE.blob, give_up))
    assert children() == before
