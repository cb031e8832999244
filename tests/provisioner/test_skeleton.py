"""Archives come back byte by byte, and whatever changes in the store is found, from the first look on."""

from __future__ import annotations

import io
import os
import re
import tarfile  # noqa: TID251 - writes archives for tests
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import StoreError
from provisioner.image import Image
from provisioner.layer import skeleton
from provisioner.layer.apply import Job, apply
from provisioner.layer.limits import Budget, Limits
from provisioner.layer.stream import MalformedContent
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import diff
from tests.provisioner.tar_archives import VARIED, with_checksums
from tests.support import images
from tests.support.images import directory, entry, hardlink, image, layer, layer_of, symlink

pytestmark = pytest.mark.requires("root")

CAPABILITY = "\x01\x00\x00\x02" + "\x00\x04" + "\x00" * 14
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "20"}
LARGE = os.urandom(3 << 20) + bytes(700)
ARCHIVES = {
    "large": images.archive([entry("l", LARGE), entry("m", LARGE[:-1]), entry("e")]),
    "gnu": images.archive([entry("n/" * 120 + "f", b"long", uid=3_000_000)], form=tarfile.GNU_FORMAT),
    "links": images.archive(
        [directory("d/"), symlink("l", "d"), entry("l/f", b"in d"), hardlink("h", "d/f"), entry("x", b"1")]
    ),
    "whiteouts": images.archive([entry(".wh.a", b"content of none"), entry(".wh.b"), entry("b", b"there")]),
    "directory twice": images.archive([directory("d/"), entry("d/f", b"1"), directory("d/", mode=0o700)]),
    "sparse": images.archive(
        [
            entry(
                "s", b"abc", pax={"GNU.sparse.map": "5,3", "GNU.sparse.size": "20", "GNU.sparse.name": "t"}
            ),
            entry("z", b"1\n4\n2\n" + bytes(506) + b"hi", pax=SPARSE),
            entry("hole", b"0\n" + bytes(510), pax=SPARSE),
        ]
    ),
    "nothing": images.archive([]),
    "no end": images.archive([entry("f", b"1" * 512)])[:1024],
    "no last padding": images.archive([entry("f", b"1" * 5)], form=tarfile.USTAR_FORMAT)[:517],
    "padding of its own": images.archive([entry("f", b"1")], form=tarfile.USTAR_FORMAT)[:513]
    + b"p" * 511
    + bytes(70_000),
}


def unpacked(content: bytes, root: Path) -> Path:
    """The skeleton that unpacking leaves."""
    for name in ("tree", "trash"):
        (root / name).mkdir()
    job = Job(
        compression="none",
        diff_id=images.digest(content),
        directory=f"{root}/tree",
        trash=f"{root}/trash",
        skeleton=f"{root}/{skeleton.NAME}",
    )
    apply(job, io.BytesIO(content), Budget(Limits()).for_layer(len(content)))
    return root / skeleton.NAME


def rebuilt(path: Path) -> bytes:
    again = io.BytesIO()
    root = os.open(path.parent / "tree", os.O_RDONLY)
    try:
        skeleton.rebuild(str(path), root, again.write)
    finally:
        os.close(root)
    return again.getvalue()


@pytest.mark.parametrize("content", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_an_archive_comes_back_byte_by_byte(tmp_path: Path, content: bytes) -> None:
    path = unpacked(content, tmp_path)
    assert rebuilt(path) == content
    assert path.stat().st_size < 1500


@settings(max_examples=60, deadline=None)
@given(
    base=st.sampled_from([*VARIED, *(one for one in ARCHIVES.values() if len(one) < 100_000)]),
    changes=st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=6),
)
def test_whatever_is_unpacked_comes_back(base: bytes, changes: list[tuple[int, int]]) -> None:
    content = bytearray(base)
    for at, value in changes:
        content[at % len(content)] = value
    archive = with_checksums(bytes(content))
    with tempfile.TemporaryDirectory() as place:
        try:
            path = unpacked(archive, Path(place))
        except MalformedContent:
            return
        assert not path.exists() or rebuilt(path) == archive


@pytest.mark.parametrize(
    "second", [entry("f", b"2"), symlink("f", "x"), directory("f/"), hardlink("f", "g"), entry(".wh.f/x")]
)
def test_what_is_there_twice_has_no_skeleton(tmp_path: Path, second: tuple[tarfile.TarInfo, bytes]) -> None:
    content = images.archive([entry("g", b"0"), entry("f", b"1"), second])
    assert unpacked(content, tmp_path).exists() == (second[0].name == ".wh.f/x")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "content": (lambda top: (top / "d/f").write_bytes(b"54321"), "hashes to"),
    "size": (lambda top: (top / "d/f").write_bytes(b"1234"), "'d/f' has 4 bytes, not 5"),
    "mode": (lambda top: (top / "d/f").chmod(0o755), "'d/f' has the mode 755, not 4755"),
    "mode of a directory": (lambda top: (top / "d").chmod(0o777), "'d/?' has the mode 777, not 750"),
    "owner": (lambda top: os.chown(top / "d/f", 5, 5), "'d/f' belongs to 5:5, not 0:0"),
    "capability": (lambda top: os.removexattr(top / "ping", "security.capability"), "other capabilities"),
    "one more": (lambda top: (top / "d/new").touch(), "'d/new' was not in its archive"),
    "one less": (lambda top: (top / "hard").unlink(), "'hard' is not there"),
    "whiteout gone": (lambda top: (top / "d/hidden").unlink(), "'d/.wh.hidden' is not there"),
    "link": (lambda top: ((top / "l").unlink(), (top / "l").symlink_to("x")), "'l' leads elsewhere"),
    "kind": (lambda top: ((top / "d/f").unlink(), os.mkfifo(top / "d/f")), "'d/f' is no file"),
    "skeleton": (lambda top: (top.parent / skeleton.NAME).write_bytes(b"\x1f\x8b"), "skeleton is damaged"),
}
LAYER = layer(
    [
        *(directory("d/", mode=0o750), entry("d/f", b"12345", mode=0o4755), hardlink("hard", "d/f")),
        *(symlink("l", "d"), entry("d/.wh.gone"), entry("d/.wh.hidden")),
        entry("ping", b"1", pax={"SCHILY.xattr.security.capability": CAPABILITY}),
    ]
)


BELOW = layer([entry("d/hidden", b"1")])


def pulled(provisioner: Provisioner, tmp_path: Path, one: images.Layer) -> Image:
    return provisioner.pull(f"oci:{images.write_layout([('', image(BELOW, one))], tmp_path / 'layout')}")


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_the_first_verification_finds_it(
    provisioner: Provisioner, tmp_path: Path, root: Path, damage: Callable[[Path], object], message: str
) -> None:
    stored = pulled(provisioner, tmp_path, LAYER)
    whole = provisioner.verify()
    assert (whole.layers, whole.recorded, whole.damages) == (2, 0, ())
    damage(diff(root, stored, 1))
    (found,) = provisioner.verify().damages
    assert re.search(f"has changed: .*{message}", found.what), found.what


def test_without_a_skeleton_the_tree_is_compared(
    provisioner: Provisioner, tmp_path: Path, root: Path
) -> None:
    stored = pulled(provisioner, tmp_path, layer([entry("f", b"1"), entry("f", b"2")]))
    assert not (diff(root, stored, 1).parent / skeleton.NAME).exists()
    assert (provisioner.verify().layers, provisioner.verify().damages) == (2, ())
    (diff(root, stored, 1) / "f").write_bytes(b"3")
    (found,) = provisioner.verify().damages
    assert "its tree hashes to" in found.what


def test_a_saved_image_keeps_its_id(provisioner: Provisioner, tmp_path: Path) -> None:
    odd = images.archive([entry("z", b"1"), entry("a", b"2", uid=5)], form=tarfile.GNU_FORMAT)
    stored = pulled(provisioner, tmp_path, layer_of(odd + bytes(5120)))
    for compress in (False, True):
        provisioner.save([stored.reference], f"{tmp_path}/saved", compress=compress)
        (again,) = Provisioner(f"{tmp_path}/other-{compress}").load(f"{tmp_path}/saved")
        assert (again.config_digest, again.layers) == (stored.config_digest, stored.layers)


def test_a_damaged_layer_is_not_saved(provisioner: Provisioner, tmp_path: Path, root: Path) -> None:
    stored = pulled(provisioner, tmp_path, LAYER)
    file = diff(root, stored, 1) / "d/f"
    for content in (b"54321", b"1"):
        file.write_bytes(content)
        with pytest.raises(StoreError, match="has changed"):
            provisioner.save([stored.reference], f"{tmp_path}/saved")
    assert not (tmp_path / "saved").exists()
