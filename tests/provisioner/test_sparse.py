"""Sparse files in each of the four forms, made by GNU tar where it is here, and lies about them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.layer.stream import ByteStream, MalformedContent
from provisioner.layer.tar import TarReader
from tests.provisioner.test_tar import broken_header, pax_header, read
from tests.provisioner.test_unpack import Apply, apply, tree
from tests.support.images import entry, layer, layer_of

__all__ = ["apply", "tree"]  # fixtures

SEGMENT = 64 << 10  # bytes; filesystems round holes to their blocks


@pytest.fixture
def holey(tmp_path: Path) -> Path:
    """Thirty segments: more than fit in a header and the first block after it."""
    path = tmp_path / "holey"
    with path.open("wb") as file:
        for number in range(30):
            file.seek(2 * number * SEGMENT)
            file.write(bytes([number + 1]) * SEGMENT)
        file.truncate(100 * SEGMENT)
    return path


FORMS = {
    "gnu": ["--format=gnu"],
    "pax 0.0": ["--format=pax", "--sparse-version=0.0"],
    "pax 0.1": ["--format=pax", "--sparse-version=0.1"],
    "pax 1.0": ["--format=pax", "--sparse-version=1.0"],
}


def archived(path: Path, form: str) -> bytes:
    argv = ["tar", "--create", "--sparse", *FORMS[form], "-C", path.parent, path.name]
    content = subprocess.run(argv, capture_output=True, check=True).stdout
    assert len(content) < 40 * SEGMENT, "tar saw no hole"
    return content


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [100, 10_000, 1 << 20])
def test_holes_read_as_zeros(holey: Path, form: str, size: int) -> None:
    ((entry, content),) = read(archived(holey, form), size)
    assert entry.unsafe_name == b"holey" and entry.size == 100 * SEGMENT
    assert content == holey.read_bytes()


@pytest.mark.requires("root")
@pytest.mark.parametrize("form", FORMS)
def test_holes_stay_holes(holey: Path, form: str, tree: Path, apply: Apply) -> None:
    unpacked = apply(layer_of(archived(holey, form)))
    assert (tree / "holey").read_bytes() == holey.read_bytes()
    assert (tree / "holey").stat().st_blocks * 512 <= 40 * SEGMENT
    assert unpacked.size == 100 * SEGMENT


@pytest.mark.requires("root")
def test_zeros_become_holes(tree: Path, apply: Apply) -> None:
    """What `commit` archives, and many others, is of no sparse form."""
    zeros = bytes(3 << 20)
    contents = {
        "all": zeros,
        "inside": b"a" + zeros + b"z",
        "around": zeros + b"m" * 9 + zeros,
        "small": zeros[:5],
    }
    apply(layer([entry(name, content) for name, content in contents.items()]))
    for name, content in contents.items():
        assert (tree / name).read_bytes() == content
        assert (tree / name).stat().st_blocks * 512 <= 6 * SEGMENT


def records(*pairs: tuple[str, str]) -> bytes:
    content = b""
    for key, value in pairs:
        body = f" {key}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length += 1
        content += str(length).encode() + body
    return content


def first(version: str, text: bytes) -> bytes:
    return pax_header(records(("GNU.sparse.major", version), ("GNU.sparse.minor", "0"))) + text


def mapped(text: str, size: str = "5000") -> bytes:
    return pax_header(records(("GNU.sparse.size", size), ("GNU.sparse.map", text), ("size", "0")))


@pytest.mark.parametrize(
    "content",
    [
        mapped("0,10"),  # nothing is stored
        mapped("10,0,0,0"),  # backwards
        mapped("0,0,1"),  # half a pair
        mapped("6000,0"),  # behind its end
        mapped("0,x"),
        mapped("-1,0"),
        mapped("0,0", size="x"),
        mapped(",".join(["0,0"] * 70_000)),
        pax_header(records(("GNU.sparse.map", "0,0"))),  # no size
        first("1", b""),  # no room for a map
        broken_header(typeflag=b"S"),
    ],
)
def test_maps_that_lie_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedContent, match="sparse"):
        read(content)


def test_a_hole_counts_against_the_limits(tree: Path, apply: Apply) -> None:
    from provisioner.errors import InvalidLayer
    from provisioner.layer.limits import Limits

    with pytest.raises(InvalidLayer, match="more than 1000000 bytes"):
        apply(
            layer_of(mapped("1000000000000,0", size="1000000000000")), limits=Limits(unpacked_bytes=1_000_000)
        )
    assert not os.listdir(tree)


def test_a_map_that_never_ends_is_refused() -> None:
    def endless() -> Iterator[bytes]:
        header = bytearray(broken_header(typeflag=b"S")[:512])
        header[482] = 1
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        yield bytes(header)
        while True:
            yield b"00000000000\0" * 42 + b"\1" + bytes(7)

    with pytest.raises(MalformedContent, match="more than 65536 segments"):
        list(TarReader(ByteStream(endless())))
