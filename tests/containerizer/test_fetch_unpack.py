"""Archives that are fetched: all kinds of them, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile  # noqa: TID251 - names kinds of entries; nothing here reads an archive
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containerizer.fetcher.errors import FetchFailed
from containerizer.fetcher.fetch import Fetcher
from containerizer.fetcher.options import FetchOptions
from containerizer.fetcher.place import Place
from containerizer.fetcher.unpack import Archive, unpack
from containerizer.fetcher.uri import parse
from provisioner.layer.stream import MalformedContent
from tests.support.images import archive, compress_zstd, directory, entry, hardlink, symlink

_TAR = archive(
    [directory("d/", mode=0o750), entry("d/file", b"content", mode=0o4755), symlink("l", "d/file")]
)


def _zip(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return output.getvalue()


def _stored() -> bytes:
    """One uncompressed file, so that nothing but its checksum tells of a change."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as opened:
        opened.writestr("f", b"content")
    return output.getvalue()


def _zip_info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


_ZIP = _zip(
    (_zip_info("d/", stat.S_IFDIR | 0o750), b""),
    (_zip_info("d/file", stat.S_IFREG | 0o4755), b"content"),
    (_zip_info("l", stat.S_IFLNK | 0o777), b"d/file"),
)


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    (tmp_path / "sandbox").mkdir()
    return tmp_path / "sandbox"


def _unpack(sandbox: Path, content: bytes, options: str = "", limits: FetchOptions | None = None) -> None:
    (sandbox.parent / "thing.gz").write_bytes(content)
    fetcher = Fetcher(str(sandbox.parent / "cache"), limits)
    fetcher.fetch([parse(f"{sandbox.parent}/thing.gz,extract{options}")], str(sandbox))
    assert [os.listdir(sandbox.parent / "cache" / name) for name in ("new", "replaced")] == [[], []]


@pytest.mark.parametrize("form", [bytes, gzip.compress, bz2.compress, lzma.compress, compress_zstd, None])
def test_the_content_tells_what_it_is(sandbox: Path, form: Callable[[bytes], bytes] | None) -> None:
    _unpack(sandbox, form(_TAR) if form else _ZIP)
    assert (sandbox / "l").read_bytes() == b"content"
    assert os.readlink(sandbox / "l") == "d/file"
    modes = [(sandbox / name).stat().st_mode & 0o7777 for name in ("d", "d/file")]
    assert modes == [0o750, 0o755], "nobody gets setuid this way"


@pytest.mark.parametrize("content", [_TAR, _ZIP])
def test_it_goes_where_it_is_asked_to(sandbox: Path, content: bytes) -> None:
    _unpack(sandbox, content, ",output=a/b")
    assert (sandbox / "a/b/d/file").read_bytes() == b"content"
    assert os.listdir(sandbox) == ["a"]


@pytest.mark.parametrize("form", [gzip.compress, bz2.compress, lzma.compress, compress_zstd])
def test_one_compressed_file(sandbox: Path, form: Callable[[bytes], bytes]) -> None:
    _unpack(sandbox, form(b"just text"))
    assert (sandbox / "thing").read_bytes() == b"just text"


def test_names_in_any_script(sandbox: Path) -> None:
    _unpack(sandbox, _zip(("grün/ж.txt", b"z")))
    _unpack(sandbox, archive([entry("grün/日.txt", b"t")]))
    assert sorted(path.name for path in sandbox.rglob("*.txt")) == ["ж.txt", "日.txt"]


def test_absolute_names_and_links_stay_inside(sandbox: Path) -> None:
    outside = sandbox.parent / "outside"
    outside.mkdir()
    members = [
        entry("/abs/file", b"a"),
        symlink("link", str(outside)),
        entry("d/f", b"f"),
        hardlink("hard", "/d/f"),
    ]
    _unpack(sandbox, archive(members))
    assert (sandbox / "abs/file").read_bytes() == b"a"
    assert (sandbox / "hard").samefile(sandbox / "d/f")
    with pytest.raises(FetchFailed, match="link/escaped"):
        _unpack(sandbox, archive([symlink("link", "/../../.."), entry("link/escaped/../x", b"")]))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (archive([entry("../f", b"")]), "leads out"),
        (archive([entry("d/../../f", b"")]), "leads out"),
        (archive([hardlink("h", "../../etc/passwd")]), "leads out"),
        (archive([entry("n", kind=tarfile.CHRTYPE, device=(1, 3))]), "'n' is a device"),
        (archive([entry("n", kind=tarfile.BLKTYPE, device=(8, 0))]), "'n' is a device"),
        (archive([entry("n", kind=tarfile.FIFOTYPE)]), "'n' is a named pipe"),
        (archive([entry("d/.wh.x")]), "only layers of images"),
        (_TAR[:1026], "ends in the middle"),
        (gzip.compress(_TAR)[:-9], "truncated gzip"),
        (bz2.compress(_TAR)[:-9], "truncated bzip2"),
        (lzma.compress(_TAR)[:-9], "truncated xz"),
        (_zip(("../f", b"")), "leads out"),
        (_zip((_zip_info("f", stat.S_IFLNK | 0o777), b"")), "without a valid target"),
        (_ZIP[:-9], "broken zip"),
        (_stored().replace(b"content", b"CONTENT"), "broken zip"),
        (b"plain text", "it is no archive"),
        (b"", "it is no archive"),
    ],
)
def test_bad_archives_are_refused(sandbox: Path, content: bytes, why: str) -> None:
    with pytest.raises(FetchFailed, match=why) as raised:
        _unpack(sandbox, content)
    assert f"cannot unpack {sandbox.parent}/thing.gz" in raised.value.message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gzip.compress(bytes(2 << 20)), "more than 1048576 bytes"),
        (gzip.compress(archive([entry("f", bytes(2 << 20))])), "more than 1048576 bytes"),
        (_zip(("f", bytes(2 << 20))), "more than 1048576 bytes"),
        (archive([entry(str(number)) for number in range(11)]), "more than 10 files"),
        (_zip(*((str(number), b"") for number in range(11))), "more than 10 files"),
    ],
)
def test_bombs_are_refused(sandbox: Path, content: bytes, why: str) -> None:
    with pytest.raises(FetchFailed, match=why):
        _unpack(sandbox, content, limits=FetchOptions(max_unpacked=1 << 20, max_entries=10))


def _zip_by(method: int) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", method) as opened:
        opened.writestr("a/b", b"x" * 500)
    return output.getvalue()


_ZIPS = [_ZIP, _stored(), _zip_by(zipfile.ZIP_LZMA), _zip_by(zipfile.ZIP_BZIP2)]
_CHANGES = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=300)
@given(st.sampled_from(_ZIPS), _CHANGES)
def test_a_broken_zip_is_unpacked_or_refused(content: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(content)
    for position, value in changes:
        changed[position % len(changed)] = value
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile() as file:
        file.write(b"PK\3\4" + changed[4:])
        file.flush()
        os.mkdir(f"{directory}/out")
        with Place(f"{directory}/out", f"{directory}/replaced", None) as place:
            try:
                unpack(Archive(fd=file.fileno(), name="n", output=None), place, FetchOptions())
                place.finish()
            except MalformedContent as error:
                assert str(error)
