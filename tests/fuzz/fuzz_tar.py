"""atheris on the tar reader and on what applies its entries: nothing but MalformedContent may come out.

python -m tests.fuzz.fuzz_tar [-max_total_time=SECONDS] [CORPUS]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator

import atheris

with atheris.instrument_imports():
    from provisioner.layer.metadata import Metadata
    from provisioner.layer.stream import ByteStream, MalformedContent
    from provisioner.layer.tar import TarReader
    from provisioner.layer.tree import LayerTree

from launcher.remove_tree import remove_tree
from tests.provisioner.tar_archives import VARIED, with_checksums

_MOST = 64 << 10  # bytes that a hostile file may make us write


def read(content: bytes) -> None:
    """Read it in pieces, and apply it to a directory beside which a file must stay as it is."""
    place = tempfile.mkdtemp(dir="/dev/shm", prefix="fuzz-tar-")
    try:
        with open(f"{place}/host", "w") as file:
            file.write("untouched")
        for name in ("tree", "trash"):
            os.mkdir(f"{place}/{name}")
        _apply(with_checksums(content), place)
        with open(f"{place}/host") as file:
            assert file.read() == "untouched"
        assert sorted(os.listdir(place)) == ["host", "trash", "tree"]
    finally:
        remove_tree(place)


def _apply(content: bytes, place: str) -> None:
    root, trash = (os.open(f"{place}/{name}", os.O_RDONLY) for name in ("tree", "trash"))
    tree = LayerTree(root, trash, Metadata(umask=0o777))
    try:
        reader = TarReader(ByteStream(_pieces(content)))
        for entry in reader:
            if entry.size < _MOST:
                tree.apply(entry, reader.stored())
        tree.finish()
    except MalformedContent:
        return
    finally:
        tree.close()
        os.close(root)
        os.close(trash)


def _pieces(content: bytes) -> Iterator[bytes]:
    return (content[start : start + 700] for start in range(0, len(content), 700))


def main() -> None:
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(VARIED):
            with open(f"{corpus}/{number}", "wb") as file:
                file.write(seed)
        atheris.Setup([*sys.argv, corpus], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
