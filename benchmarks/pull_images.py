"""The images that `make bench-pull` pulls: made of this machine's own files, as layers on disk."""

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile  # noqa: TID251 - writes headers
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

_TOPS = ("/usr/lib/python3.11", "/usr/lib/python3", "/usr/lib/x86_64-linux-gnu", "/usr/include", "/usr/share")
_FILES = 31_000  # of the image of many files, in three layers, with their directories
_LARGEST = 12_000_000  # bytes of one of them
_BIG_FILES = 8
_SMALL_LAYERS, _SMALL_FILES = 50, 20


def many_files(directory: Path) -> list[Path]:
    """Three layers of about the same size: 30,000 files, 600 MB or so."""
    names = [name for top in _TOPS for name in _walk(top) if os.lstat(name).st_size <= _LARGEST][:_FILES]
    share = sum(os.lstat(name).st_size + 1024 for name in names) // 3 + 1
    layers: list[list[str]] = [[], [], []]
    size = 0
    for name in names:
        layers[size // share].append(name)
        size += os.lstat(name).st_size + 1024
    return [_archive(directory / f"many-{number}.tar.gz", layer) for number, layer in enumerate(layers)]


def few_big_files(directory: Path) -> list[Path]:
    """Two layers of the largest programs and libraries."""
    files = [name for top in ("/usr/bin", _TOPS[2]) for name in _walk(top)]
    largest = sorted(files, key=lambda name: -os.lstat(name).st_size)[:_BIG_FILES]
    return [_archive(directory / f"big-{number}.tar.gz", largest[number::2]) for number in range(2)]


def small_layers(directory: Path) -> list[Path]:
    """Fifty layers of a few small files."""
    files = (name for name in _walk("/usr/share") if os.lstat(name).st_size < 1 << 16)
    names = list(islice(files, _SMALL_LAYERS * _SMALL_FILES))
    return [
        _archive(directory / f"small-{number}.tar.gz", names[number::_SMALL_LAYERS])
        for number in range(_SMALL_LAYERS)
    ]


def one_large_file(directory: Path) -> list[Path]:
    """A layer with one file of a gigabyte that does not compress."""
    piece = os.urandom(1 << 20)
    content = (number.to_bytes(8, "big") + piece[8:] for number in range(1 << 10))
    return [_stream(directory / "large.tar.gz", chain([_header("large", 1 << 30)], content))]


def million_files(directory: Path) -> list[Path]:
    """A layer with a million empty files, a thousand in each directory."""
    headers = (_header(f"{number // 1000:03}/{number:06}", 0) for number in range(1_000_000))
    return [_stream(directory / "million.tar.gz", headers)]


def _stream(path: Path, blocks: Iterable[bytes]) -> Path:
    if not path.exists():
        with gzip.open(path, "wb", compresslevel=1) as file:
            for block in chain(blocks, [bytes(1024)]):
                file.write(block)
    return path


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _walk(top: str) -> Iterator[str]:
    for parent, directories, names in os.walk(top):
        directories.sort()
        yield parent
        yield from (f"{parent}/{name}" for name in sorted(names))


def _archive(path: Path, names: list[str]) -> Path:
    """What `docker build` would write of them; a second call finds it done."""
    if not path.exists():
        argv = ["tar", "--create", "--gzip", "--no-recursion", "--file", path, "--directory", "/"]
        relative = "\0".join(name.lstrip("/") for name in names)
        subprocess.run([*argv, "--null", "--files-from", "-"], input=relative.encode(), check=True)
    return path
