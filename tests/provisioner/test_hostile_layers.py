"""Layers that try to get out, in every order, and layers that try to be too much."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import stat
import tarfile  # noqa: TID251 - names of entry types
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import InvalidLayer
from provisioner.layer import tree as layer_tree
from provisioner.layer.apply import Job
from provisioner.layer.apply import apply as apply_stream
from provisioner.layer.limits import Budget, LimitExceeded, Limits
from provisioner.layer.stream import MalformedContent
from provisioner.provisioner import Provisioner
from tests.provisioner.test_unpack import EVIL, Apply, apply, snapshot, tree
from tests.support import images
from tests.support.images import directory, entry, hardlink, image, layer, layer_of, symlink

__all__ = ["apply", "tree"]  # fixtures

pytestmark = pytest.mark.requires("root")

# Each set in all its orders; `l` leads out, or is an honest directory, or one after the other.
SETS = {
    "file": [symlink("l", ".."), directory("l/"), entry("l/host", EVIL), entry("./l/host", EVIL)],
    "ancestor": [symlink("l", ".."), entry("l/d/x"), symlink("l/d", "../.."), entry("l/d/host", EVIL)],
    "hard link": [
        *(symlink("l", ".."), directory("l/"), hardlink("h", "l/host")),
        *(entry("h", EVIL), entry("l/host", b"own")),
    ],
    "whiteout": [
        *(symlink("l", ".."), directory("l/"), entry("l/.wh.host")),
        *(entry("l/.wh..wh..opq"), entry(".wh.l")),
    ],
    "link to link": [symlink("l", ".."), symlink("k", "l"), hardlink("m", "k"), entry("m/host", EVIL)],
    "node": [
        *(symlink("l", ".."), entry("l/host", kind=tarfile.CHRTYPE, device=(1, 3))),
        *(entry("l/host", kind=tarfile.FIFOTYPE), directory("l/host/", mode=0o777)),
    ],
}


@pytest.mark.parametrize("entries", SETS.values(), ids=SETS.keys())
def test_no_order_of_entries_leads_out(tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    for number, order in enumerate(itertools.permutations(entries)):
        place = tmp_path / str(number)
        for name in ("tree", "trash"):
            (place / name).mkdir(parents=True)
        (place / "host").write_text("untouched")
        before = snapshot(place)
        one = layer(order, compression="none")
        job = Job(
            compression="none",
            diff_id=images.digest(one.archive),
            directory=f"{place}/tree",
            trash=f"{place}/trash",
        )
        with contextlib.suppress(MalformedContent):
            apply_stream(job, io.BytesIO(one.blob), Budget(Limits()).for_layer(len(one.blob)))
        assert snapshot(place) == before, [info.name for info, _ in order]
        assert (place / "host").read_text() == "untouched"
    assert sorted(os.listdir(tmp_path), key=int) == [str(n) for n in range(number + 1)]


@pytest.mark.parametrize("root", [symlink("./", "/tmp"), symlink(".", ".."), entry("/", EVIL)])
def test_the_root_is_a_directory(apply: Apply, root: tuple[tarfile.TarInfo, bytes]) -> None:
    """What was ignored here would be missed by whoever verifies the layer."""
    with pytest.raises(InvalidLayer, match="is the root"):
        apply(layer([root, entry("f", b"1")]))


def test_a_directory_gives_nothing_to_what_is_made_in_it(tree: Path, apply: Apply) -> None:
    apply(
        layer(
            [
                directory("mail/", mode=0o2775, gid=8),
                entry("mail/box", b"1"),
                directory("mail/sub/"),
                symlink("l", "mail"),
                symlink("l", "mail"),  # replaced: from here on nothing is taken for granted
                entry("mail/late", b"2"),
            ]
        )
    )
    assert stat.S_IMODE((tree / "mail").stat().st_mode) == 0o2775 and (tree / "mail").stat().st_gid == 8
    for name in ("box", "sub", "late"):
        assert (tree / "mail" / name).stat().st_gid == 0
    assert stat.S_IMODE((tree / "mail/sub").stat().st_mode) == 0o755


def test_what_was_replaced_is_entered_anew(tree: Path, apply: Apply) -> None:
    apply(
        layer(
            [
                *(directory("d/"), entry("d/x"), symlink("d", "a"), directory("d/"), entry("d/y")),
                *(directory("a/"), directory("b/"), symlink("l", "a"), entry("l/1")),
                *(symlink("l", "b"), entry("l/2")),
            ]
        )
    )
    assert os.listdir(tree / "d") == ["y"]
    assert (os.listdir(tree / "a"), os.listdir(tree / "b")) == (["1"], ["2"])


def test_times_of_directories_are_right_whatever_comes_after_them(tree: Path, apply: Apply) -> None:
    apply(
        layer(
            [
                entry("d/first"),
                directory("d/", mtime=1_000),
                *(symlink("l", "d"), symlink("l", "d"), entry("d/late")),
                directory("e/", mtime=2_000.5),
                entry("e/x"),
                directory("e/", mtime=-3_000),
            ]
        )
    )
    assert (tree / "d").stat().st_mtime == 1_000
    assert (tree / "e").stat().st_mtime == -3_000


def test_a_bomb_of_zstd_stops_at_its_ratio(tree: Path, apply: Apply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioner.layer.limits._ANY_RATIO", 1 << 20)
    bomb = layer([entry("zeros", bytes(30_000_000))], compression="zstd")
    with pytest.raises(InvalidLayer, match="more than 100 times its size"):
        apply(bomb, limits=Limits(ratio=100))
    assert (tree / "zeros").stat().st_size < 3_000_000


def test_directories_that_no_entry_describes_are_limited(
    apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.layer.parents._IMPLICIT", 100)
    with pytest.raises(InvalidLayer, match="more than 100 directories without an entry"):
        apply(layer([entry(f"{number}/" + "a/" * 30 + "f") for number in range(5)]))


class _Crowd:
    """An archive of a million empty directories and files, made while it is read."""

    def __init__(self, entries: int) -> None:
        self._blocks = self._all(entries)
        self._template = images.archive([directory("d/")], form=tarfile.USTAR_FORMAT)[:512]

    def read(self, size: int, /) -> bytes:
        return b"".join(itertools.islice(self._blocks, size // 512))

    def _all(self, entries: int) -> Iterator[bytes]:
        for number in range(entries):
            header = bytearray(self._template)
            header[:10] = b"%09d/" % number
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            yield bytes(header)


def test_a_million_entries_end_at_the_limit_in_little_memory(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_tree, "_KEPT", 500)
    job = Job(
        compression="none",
        diff_id=images.digest(b""),
        directory=str(tree),
        trash=str(tree.parent / "trash"),
    )
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded, match="more than 4000 files"):
            apply_stream(job, _Crowd(1_000_000), Budget(Limits(entries=4_000)).for_layer(0))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert len(os.listdir(tree)) == 4_000


def test_more_layers_than_mount_options_have_room_for(tmp_path: Path, provisioner: Provisioner) -> None:
    layers = [layer([entry(f"f{number}", b"%d" % number)]) for number in range(250)]
    images.write_layout([("", image(*layers))], tmp_path / "layout")
    pulled = provisioner.pull(f"oci:{tmp_path}/layout")
    assert len(pulled.layers) == 250
    (tmp_path / "container").mkdir()
    rootfs = provisioner.provision(pulled, "c", str(tmp_path / "container"))
    assert len([key for key, _ in rootfs.mounts[0].options if key == "lowerdir+"]) == 250
    provisioner.destroy("c", str(tmp_path / "container"))


def test_lies_of_headers(tree: Path, apply: Apply) -> None:
    good = images.archive([entry("f", b"12345"), entry("g", b"x" * 600)], form=tarfile.USTAR_FORMAT)
    longer = bytearray(good)
    longer[124:136] = b"%011o\0" % 5000  # swallows the next header, and ends in the middle
    longer[148:156] = b" " * 8
    longer[148:156] = b"%06o\0 " % sum(longer[:512])
    with pytest.raises(InvalidLayer):
        apply(layer_of(bytes(longer[:4000])))
    with pytest.raises(InvalidLayer, match="checksum"):
        apply(layer_of(good[:512] + b"\1" + good[513:1024] + b"\1" + good[1025:]))
