from __future__ import annotations

import tarfile  # noqa: TID251 - the reference that our reader is compared with
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.layer.stream import ByteStream, MalformedContent
from provisioner.layer.tar import Entry, TarReader
from tests.provisioner.tar_archives import VARIED, with_checksums
from tests.support.images import archive, directory, entry, hardlink, symlink


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def read(content: bytes, size: int = 1000) -> list[tuple[Entry, bytes]]:
    reader = TarReader(ByteStream(pieces(content, size)))
    return [(one, b"".join(map(bytes, reader.content()))) for one in reader]


FORMS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("size", [1, 511, 512, 10_000])
def test_every_kind_in_every_format(form: int, size: int) -> None:
    members = [
        directory("d/", mode=0o1777, uid=1, gid=2),
        entry("d/file", b"x" * 700, mode=0o4755, mtime=1_234_567_890),
        entry("p" * 60 + "/" + "n" * 60, b"long"),
        symlink("d/link", "../anything"),
        hardlink("d/hard", "d/file"),
        entry("d/null", kind=tarfile.CHRTYPE, device=(1, 3)),
        entry("d/disk", kind=tarfile.BLKTYPE, device=(8, 0)),
        entry("d/fifo", kind=tarfile.FIFOTYPE),
        entry("d/empty"),
    ]
    found = read(archive(members, form=form), size)
    assert [one.unsafe_name.rstrip(b"/").decode() for one, _ in found] == [
        m.name.rstrip("/") for m, _ in members
    ]
    assert [content for _, content in found] == [content for _, content in members]
    kinds = ["directory", "file", "file", "symlink", "hardlink", "char", "block", "fifo", "file"]
    assert [one.kind for one, _ in found] == kinds
    assert (found[0][0].mode, found[0][0].uid, found[0][0].gid) == (0o1777, 1, 2)
    assert (found[1][0].mode, found[1][0].mtime_ns) == (0o4755, 1_234_567_890 * 10**9)
    assert found[3][0].unsafe_link == b"../anything"
    assert found[5][0].device == (1, 3)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_large_numbers(form: int) -> None:
    name, link = "a/" * 200 + "f", "b/" * 300 + "t"
    members = [symlink(name, link, uid=3_000_000_000, gid=70_000), entry("after", b"1")]
    (first, _), (second, _) = read(archive(members, form=form))
    assert (first.unsafe_name.decode(), first.unsafe_link.decode()) == (name, link)
    assert (first.uid, first.gid) == (3_000_000_000, 70_000)
    assert second.unsafe_name == b"after"


def test_pax_fractions_xattrs_and_unicode() -> None:
    pax = {"mtime": "-1.5", "SCHILY.xattr.user.key": "väl=ue", "comment": "ignored"}
    (one, _), (two, _) = read(archive([entry("ä", b"", pax=pax), entry("plain")]))
    assert one.mtime_ns == -1_500_000_000
    assert one.xattrs == {"user.key": "väl=ue".encode()}
    assert one.unsafe_name == "ä".encode()
    assert two.xattrs == {}


@pytest.mark.parametrize("end", [512 + 5, 700, 1024])
def test_an_archive_may_lack_its_end_marker_and_last_padding(end: int) -> None:
    content = archive([entry("f", b"12345")])[:end]
    assert [content for _, content in read(content)] == [b"12345"]


def broken_header(**fields: bytes) -> bytes:
    """A header with these fields and a right checksum."""
    offsets = {"mode": 100, "uid": 108, "size": 124, "typeflag": 156, "devmajor": 329}
    header = bytearray(archive([entry("f", b"content")])[:512])
    for name, value in fields.items():
        header[offsets[name] : offsets[name] + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def pax_header(records: bytes) -> bytes:
    header = bytearray(broken_header(typeflag=b"x", size=b"%011o\0" % len(records))[:512])
    return bytes(header) + records + bytes(-len(records) % 512) + archive([entry("f")])


VALID = archive([entry("f", b"x" * 2000)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (VALID[:1000], "in the middle of"),
        (VALID[:100], "in the middle of"),
        (b"x" * 1024, "checksum"),
        (VALID[:300] + b"!" + VALID[301:], "checksum"),
        (VALID + b"garbage", "garbage after"),
        (broken_header(typeflag=b"S"), "sparse"),
        (broken_header(typeflag=b"Z"), "unknown type"),
        (broken_header(size=b"99999999999 "), "size"),
        (broken_header(size=b"\xff" * 12), "size -1"),
        (broken_header(size=b"\x80" + b"\x7f" * 11), "size"),
        (broken_header(uid=b"\x80\0\0\xff\xff\xff\xff\xff"), "uid"),
        (broken_header(mode=b"rwxrwxr\0"), "mode"),
        (broken_header(typeflag=b"3", devmajor=b"7777777\0"), "major"),
        (broken_header(typeflag=b"x", size=b"77777777777\0"), "extended tar header of"),
        (broken_header(typeflag=b"g", size=b"00000000000\0")[:512] * 9 + VALID, "more than 8 extended"),
        (pax_header(b"12 path=abcd\n"), "malformed pax"),
        (pax_header(b"99 path=abc\n"), "malformed pax"),
        (pax_header(b"x path=abc\n"), "pax length"),
        (pax_header(b"0 path=abc\n"), "malformed pax"),
        (pax_header(b"11 size=-1\n"), "size"),
        (pax_header(b"13 mtime=1e9\n"), "mtime"),
        (pax_header(b"24 GNU.sparse.realsize=1\n".replace(b"24", b"25")), "sparse"),
    ],
)
def test_malformed_archive_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(MalformedContent, match=message):
        read(content)


@given(st.binary(max_size=3000), st.integers(0, 1024))
def test_no_input_does_anything_but_raise(junk: bytes, position: int) -> None:
    content = VALID[:position] + junk + VALID[position + len(junk) :]
    try:
        read(content)
    except MalformedContent:
        return


def test_extended_attributes_as_bsdtar_writes_them() -> None:
    pax = {
        "LIBARCHIVE.xattr.user.a%20b": "dmFsdWU",
        "LIBARCHIVE.xattr.user.k": "eA",
        "SCHILY.xattr.user.k": "y",
    }
    ((one, _),) = read(archive([entry("f", pax=pax)]))
    assert one.xattrs == {"user.a b": b"value", "user.k": b"y"}
    with pytest.raises(MalformedContent, match="base 64"):
        read(archive([entry("f", pax={"LIBARCHIVE.xattr.user.k": "x"})]))


def test_global_headers_are_ignored() -> None:
    records = pax_header(b"14 path=other\n")
    header = bytearray(records[:512])
    header[156:157] = b"g"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    ((one, _),) = read(bytes(header) + records[512:])
    assert one.unsafe_name == b"f"


@given(st.sampled_from(VARIED), st.lists(st.tuples(st.integers(0, 8000), st.binary(min_size=1, max_size=12))))
def test_changes_under_right_checksums_do_nothing_but_raise(
    valid: bytes, changes: list[tuple[int, bytes]]
) -> None:
    content = bytearray(valid)
    for position, junk in changes:
        position %= len(content)
        content[position : position + len(junk)] = junk
    reader = TarReader(ByteStream(pieces(with_checksums(bytes(content)), 700)))
    try:
        for one in reader:
            assert sum(map(len, reader.stored())) <= len(content)
            assert one.kind and one.size >= 0
    except MalformedContent:
        return
