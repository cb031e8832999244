from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import tarfile  # noqa: TID251 - names of entry types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import DigestMismatch, InvalidLayer
from provisioner.layer import skeleton
from provisioner.layer.apply import Unpacked
from provisioner.layer.inherit import inherit
from provisioner.layer.limits import Budget, Limits
from provisioner.layer.unpack import unpack
from provisioner.manifest import Descriptor
from tests.support import images
from tests.support.images import Layer, directory, entry, hardlink, layer, layer_of, symlink

pytestmark = pytest.mark.requires("root")

Apply = Callable[..., Unpacked]
EVIL = b"from the image"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "host").write_text("untouched")
    (tmp_path / "tree").mkdir()
    (tmp_path / "trash").mkdir()
    return tmp_path / "tree"


@pytest.fixture
def apply(tree: Path) -> Apply:
    def run(one: Layer, *, limits: Limits | None = None, **changed: Any) -> Unpacked:
        described = one.descriptor | changed
        descriptor = Descriptor(
            media_type=described["mediaType"],
            digest=described["digest"],
            size=described["size"],
            annotations={},
        )
        return unpack(
            io.BytesIO(one.blob),
            descriptor,
            changed.get("diff_id", images.digest(one.archive)),
            directory=str(tree),
            trash=str(tree.parent / "trash"),
            budget=Budget(limits or Limits()),
            advance=lambda done: None,
        )

    return run


# What a layer may hold.


def test_files_keep_all_their_attributes(tree: Path, apply: Apply) -> None:
    capability = "\x01\x00\x00\x02" + "\x00\x04" + "\x00" * 14  # VFS_CAP_REVISION_2, CAP_NET_BIND_SERVICE
    unpacked = apply(
        layer(
            [
                directory("./", mode=0o711),
                directory("./d/", mode=0o1777, uid=70_000, mtime=1_000),
                entry(
                    "./d/f",
                    b"12345",
                    mode=0o6755,
                    uid=1,
                    gid=2,
                    mtime=1_000_000_000.25,
                    pax={"SCHILY.xattr.user.k": "v", "SCHILY.xattr.security.capability": capability},
                ),
                symlink("d/l", "/host", uid=5, mtime=2_000),
                hardlink("d/h", "./d/f"),
                entry("d/null", kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
                entry("d/fifo", kind=tarfile.FIFOTYPE, mode=0o640),
            ]
        )
    )
    file = (tree / "d/f").stat()
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid) == (0o6755, 1, 2)
    assert (file.st_mtime_ns, file.st_nlink) == (1_000_000_000_250_000_000, 2)
    assert os.getxattr(tree / "d/f", "user.k") == b"v"
    assert os.getxattr(tree / "d/f", "security.capability") == capability.encode()
    above = (tree / "d").stat()
    assert (stat.S_IMODE(above.st_mode), above.st_uid, above.st_mtime) == (0o1777, 70_000, 1_000)
    assert stat.S_IMODE(tree.stat().st_mode) == 0o711
    link = (tree / "d/l").lstat()
    assert (os.readlink(tree / "d/l"), link.st_uid, link.st_mtime) == ("/host", 5, 2_000)
    null = (tree / "d/null").stat()
    assert stat.S_ISCHR(null.st_mode) and null.st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE((tree / "d/fifo").stat().st_mode) == 0o640
    assert unpacked == Unpacked(size=5, implicit=())


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_every_compression(tree: Path, apply: Apply, compression: str) -> None:
    content = os.urandom(3_000_000)
    apply(layer([entry("f", content)], compression=compression))
    assert (tree / "f").read_bytes() == content


def test_gzip_without_isal(tree: Path, apply: Apply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    content = os.urandom(3_000_000)
    apply(layer([entry("f", content)]))
    assert (tree / "f").read_bytes() == content
    broken = layer([entry("g", content)])
    for blob in (broken.blob + b"garbage", broken.blob[:-9], broken.blob[:50] + broken.blob[60:]):
        with pytest.raises(InvalidLayer, match="gzip"):
            apply(replace(broken, blob=blob))


def test_gzip_members_and_zstd_frames_follow_each_other(tree: Path, apply: Apply) -> None:
    one = layer([entry("f", b"1" * 5000)])
    for media_type, compress in (("+gzip", images.compress_gzip), ("+zstd", images.compress_zstd)):
        blob = compress(one.archive[:700]) + compress(one.archive[700:])
        apply(replace(one, blob=blob, media_type=images.OCI_LAYER + media_type))
        assert (tree / "f").read_bytes() == b"1" * 5000


def test_a_later_entry_replaces_an_earlier_one(tree: Path, apply: Apply) -> None:
    apply(
        layer(
            [
                *(directory("a/"), entry("a/x", b"1"), entry("a", b"file now")),
                *(entry("b", b"1"), directory("b/"), entry("b/x", b"2")),
                *(symlink("c", "b"), directory("c/"), entry("c/y", b"3")),
                *(entry("d", b"1"), entry("d", b"2")),
                *(directory("e/", mode=0o700), entry("e/kept", b"4"), directory("e/", mode=0o750)),
            ]
        )
    )
    assert (tree / "a").read_bytes() == b"file now"
    assert (tree / "b/x").read_bytes() == b"2"
    assert not (tree / "c").is_symlink() and not (tree / "b/y").exists()
    assert (tree / "d").read_bytes() == b"2"
    assert (tree / "e/kept").exists() and stat.S_IMODE((tree / "e").stat().st_mode) == 0o750


# Whiteouts.


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path)


def test_whiteouts_take_overlays_form(tree: Path, apply: Apply) -> None:
    apply(layer([entry("d/.wh.gone"), entry("o/.wh..wh..opq"), entry(".wh..wh.plnk"), entry(".wh.top")]))
    assert is_whiteout(tree / "d/gone") and is_whiteout(tree / "top")
    assert is_opaque(tree / "o") and not is_opaque(tree / "d")
    assert sorted(os.listdir(tree)) == ["d", "o", "top"]


@pytest.mark.parametrize("late", [True, False], ids=["whiteout last", "whiteout first"])
def test_a_whiteout_hides_only_the_layers_below(tree: Path, apply: Apply, late: bool) -> None:
    own = [directory("dir/"), entry("dir/mine", b"1"), entry("file", b"2")]
    whiteouts = [entry(".wh.dir"), entry(".wh.file")]
    apply(layer([*own, *whiteouts] if late else [*whiteouts, *own]))
    assert (tree / "dir/mine").read_bytes() == b"1" and is_opaque(tree / "dir")
    assert (tree / "file").read_bytes() == b"2"


# Directories that the archive uses without an entry.


def test_implicit_directories_inherit_from_the_layer_below(tmp_path: Path, tree: Path, apply: Apply) -> None:
    lower, bottom = tmp_path / "lower", tmp_path / "bottom"
    for path, mode in ((bottom / "a/b", 0o700), (bottom / "only", 0o711), (lower / "a", 0o750)):
        path.mkdir(parents=True)
        os.chmod(path, mode)
    os.chown(lower / "a", 5, 6)
    os.setxattr(lower / "a", "user.k", b"v")
    os.chmod(lower, 0o751)
    unpacked = apply(layer([entry("a/b/f"), entry("only/f"), entry("new/f"), directory("own/", mode=0o700)]))
    assert set(unpacked.implicit) == {b"", b"a", b"a/b", b"only", b"new"}
    inherit(str(tree), unpacked.implicit, [str(lower), str(bottom)])
    modes = {name: stat.S_IMODE((tree / name).stat().st_mode) for name in (".", "a", "a/b", "only", "new")}
    assert modes == {".": 0o751, "a": 0o750, "a/b": 0o700, "only": 0o711, "new": 0o755}
    assert (tree / "a").stat().st_uid == 5 and os.getxattr(tree / "a", "user.k") == b"v"


@pytest.mark.parametrize("hide", ["whiteout", "opaque", "file", "link", "own opaque"])
def test_nothing_is_inherited_from_what_is_hidden(
    tmp_path: Path, tree: Path, apply: Apply, hide: str
) -> None:
    middle, bottom = tmp_path / "middle", tmp_path / "bottom"
    (bottom / "a/b").mkdir(parents=True)
    os.chmod(bottom / "a/b", 0o700)
    middle.mkdir()
    entries = [entry("a/b/f")]
    match hide:
        case "whiteout":
            os.mknod(middle / "a", stat.S_IFCHR, 0)
        case "opaque":
            (middle / "a").mkdir()
            os.setxattr(middle / "a", "trusted.overlay.opaque", b"y")
        case "file":
            (middle / "a").touch()
        case "link":
            (middle / "a").symlink_to("../bottom/a")
        case "own opaque":
            entries.append(entry("a/.wh..wh..opq"))
    unpacked = apply(layer(entries))
    inherit(str(tree), unpacked.implicit, [str(middle), str(bottom)])
    assert stat.S_IMODE((tree / "a/b").stat().st_mode) == 0o755


# Hostile layers.

HOSTILE = {
    "dot dot": [entry("../host", EVIL)],
    "dot dot inside": [entry("a/../../host", EVIL)],
    "symlink": [symlink("l", "../host"), entry("l", EVIL)],
    "symlink to a directory": [symlink("l", ".."), entry("l/host", EVIL)],
    "absolute symlink": [symlink("l", "{parent}"), entry("l/host", EVIL)],
    "absolute symlink, existing path": [
        directory("{parent}/"),
        symlink("l", "{parent}"),
        entry("l/host", EVIL),
    ],
    "chain": [symlink("l", ".."), symlink("l/k", ".."), entry("l/k/host", EVIL)],
    "swapped parent": [directory("d/"), entry("d/x"), symlink("d", ".."), entry("d/host", EVIL)],
    "hard link": [hardlink("h", "../host"), entry("h", EVIL)],
    "hard link through a symlink": [symlink("l", ".."), hardlink("h", "l/host")],
    "hard link to a symlink": [symlink("l", "../host"), hardlink("h", "l"), entry("h", EVIL)],
    "hard link to a directory": [directory("d/"), hardlink("h", "d")],
    "whiteout": [symlink("l", ".."), entry("l/.wh.host")],
    "whiteout of dot dot": [entry("d/.wh...")],
    "whiteout of dot": [entry("d/.wh..")],
    "opaque outside": [symlink("l", ".."), entry("l/.wh..wh..opq")],
    "directory": [symlink("l", ".."), directory("l/", mode=0o777)],
    "directory over a link": [symlink("host", "../host"), directory("host/", mode=0o777)],
    "device": [symlink("l", ".."), entry("l/host", kind=tarfile.CHRTYPE, device=(1, 3))],
    "dangling parent": [symlink("l", "nowhere"), entry("l/f", EVIL)],
    "file as parent": [entry("f", b""), entry("f/x", EVIL)],
    "link to itself": [symlink("l", "l"), entry("l/x", EVIL)],
    "no name": [entry("", EVIL)],
    "the root": [symlink("./", "..")],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_outside_the_layer_is_touched(
    tree: Path, apply: Apply, entries: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    before = snapshot(tree.parent)
    for info, _ in entries:
        info.name = info.name.replace("{parent}", str(tree.parent))
        info.linkname = info.linkname.replace("{parent}", str(tree.parent))
    try:
        apply(layer(entries))
    except InvalidLayer as error:
        assert "layer sha256:" in error.message
    assert snapshot(tree.parent) == before
    assert (tree.parent / "host").read_text() == "untouched"


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Everything directly in the directory: mode, owner and links."""
    status = {path.name: path.lstat() for path in directory.iterdir()} | {".": directory.lstat()}
    for ours in ("tree", skeleton.NAME):  # the layer is in them, and may change them
        status.pop(ours, None)
    return {name: (s.st_mode, s.st_uid, s.st_nlink if name == "host" else 0) for name, s in status.items()}


def test_absolute_names_are_inside(tree: Path, apply: Apply) -> None:
    apply(layer([entry("/etc/f", b"1"), entry("//x", b"2"), hardlink("/y", "/etc/f")]))
    assert (tree / "etc/f").read_bytes() == b"1" and (tree / "x").read_bytes() == b"2"
    assert (tree / "y").stat().st_nlink == 2


def test_links_are_followed_inside_the_layer(tree: Path, apply: Apply) -> None:
    apply(layer([directory("usr/lib/"), symlink("lib", "/usr/lib"), entry("lib/f", b"1")]))
    assert (tree / "usr/lib/f").read_bytes() == b"1" and (tree / "lib").is_symlink()


@pytest.mark.parametrize(
    "name", ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.opaque"]
)
def test_an_image_cannot_speak_to_overlayfs(tree: Path, apply: Apply, name: str) -> None:
    apply(layer([directory("d/", pax={f"SCHILY.xattr.{name}": "y"})]))
    assert os.listxattr(tree / "d") == []


# Damage.

GOOD = layer([entry("f", os.urandom(100_000))])
PLAIN = layer([entry("f", os.urandom(100_000))], compression="none")


def damaged(blob: bytes, at: int) -> bytes:
    return blob[:at] + bytes([blob[at] ^ 0xFF]) + blob[at + 1 :]


@pytest.mark.parametrize("at", [0, 5, 50_000, -1])
@pytest.mark.parametrize("one", [GOOD, PLAIN], ids=["gzip", "none"])
def test_content_changed_on_the_way_is_a_digest_mismatch(apply: Apply, one: Layer, at: int) -> None:
    changed = replace(one, blob=damaged(one.blob, at % len(one.blob)))
    with pytest.raises(DigestMismatch, match=r"layer sha256:.* hashes to sha256:"):
        apply(changed, digest=images.digest(one.blob))


@pytest.mark.parametrize("kept", [0, 3, 50_000, -1])
def test_truncated_on_the_way(apply: Apply, kept: int) -> None:
    changed = replace(GOOD, blob=GOOD.blob[:kept])
    with pytest.raises(InvalidLayer, match=f"truncated: {len(changed.blob)} of {len(GOOD.blob)} bytes"):
        apply(changed, digest=images.digest(GOOD.blob), size=len(GOOD.blob))


def test_longer_than_promised(apply: Apply) -> None:
    changed = replace(GOOD, blob=GOOD.blob + b"more")
    with pytest.raises(InvalidLayer, match="more than the"):
        apply(changed, digest=images.digest(GOOD.blob), size=len(GOOD.blob))


def test_wrong_diff_id(apply: Apply) -> None:
    with pytest.raises(DigestMismatch, match="hashes to"):
        apply(GOOD, diff_id=images.digest(b"other"))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (GOOD.blob + b"garbage", "garbage"),
        (GOOD.blob[:-20], "truncated gzip"),
        (images.compress_gzip(GOOD.archive[:5000]), "middle of a file"),
        (images.compress_gzip(GOOD.archive + b"x"), "garbage after the end of the tar"),
        (GOOD.archive, "its media type says compression gzip, its content none"),
        (images.compress_zstd(GOOD.archive), "its content zstd"),
        (b"", "its content none"),
        (gzip.compress(b"not a tar" * 100), "checksum"),
    ],
)
def test_blob_that_was_broken_when_it_was_pushed(apply: Apply, blob: bytes, message: str) -> None:
    with pytest.raises(InvalidLayer, match=message):
        apply(replace(GOOD, blob=blob))


def test_broken_zstd(apply: Apply) -> None:
    one = layer([entry("f", os.urandom(100_000))], compression="zstd")
    for blob in (one.blob + b"garbage", damaged(one.blob, 2000), one.blob[:-500]):
        with pytest.raises((InvalidLayer, DigestMismatch)):
            apply(replace(one, blob=blob))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_bomb_stops_at_the_limit(tree: Path, apply: Apply, compression: str) -> None:
    bomb = layer([entry("zeros", bytes(50_000_000))], compression=compression)
    with pytest.raises(InvalidLayer, match="more than 3000000 bytes"):
        apply(bomb, limits=Limits(unpacked_bytes=3_000_000))
    assert (tree / "zeros").stat().st_size <= 3_000_000


def test_too_many_entries(apply: Apply) -> None:
    crowd = layer_of(images.archive([entry(f"f{number}") for number in range(11)]))
    with pytest.raises(InvalidLayer, match="more than 10 files"):
        apply(crowd, limits=Limits(entries=10))
