"""Files of the host as a tar archive, for a container of somebody else's; and what comes back from there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from containerizer import ids
from containerizer.copying import files, owners, places, roots
from containerizer.copying.errors import CopyFailed
from containerizer.copying.places import Place
from containerizer.copying.read_tree import Item
from containerizer.copying.write_tree import TreeWriter
from provisioner.layer.stream import ByteStream, MalformedContent
from provisioner.layer.write_tar import TarWriter, to_descriptor


def archive_of(source: str, descriptor: int, *, follow: bool = False, name: str = "") -> list[str]:
    """Write a file or directory as an archive, under its own name or another; what was left out.

    Raises CopyFailed, OSError.
    """
    with roots.of_host() as host:
        origin = Place(host.descriptor, files.on_host(source), source)
        rule = owners.out_of(ids.Ids(), archive=True)
        with files.reading(origin, follow=follow) as (reader, _):
            writer = TarWriter(to_descriptor(descriptor), name or origin.name or ".")
            return files.pump(reader, rule, writer, reader.skipped)


def unpack(pieces: Iterable[bytes], target: str, *, archive: bool = False) -> list[str]:
    """Unpack an archive into a directory, or as what is to be called so; what was left out.

    Raises CopyFailed, OSError.
    """
    directory, name = (target, "") if _is_directory(target) else os.path.split(target)
    with roots.of_host() as host:
        goal = Place(host.descriptor, files.on_host(directory), target)
        writer = TreeWriter(goal.root, places.directory_of(goal), contents_only=True, complete=True)
        with contextlib.closing(writer):
            rule = owners.out_of(ids.Ids(), archive=archive)
            try:
                items = _named(files.archived(ByteStream(iter(pieces))), os.fsencode(name))
                return files.pump(items, rule, writer, writer.skipped)
            except MalformedContent as error:
                raise CopyFailed(f"the archive ends before its end, or is none: {error}") from error


def _is_directory(target: str) -> bool:
    return target.endswith(("/", "/.", "/..")) or os.path.isdir(target)


def _named(items: Iterable[Item], name: bytes) -> Iterator[Item]:
    """What the archive has at its top, called `name`; b"": as it is."""

    def renamed(path: bytes) -> bytes:
        rest = path.strip(b"/").partition(b"/")[2]
        return b"/".join(filter(None, (name, rest)))

    for entry, content in items:
        if not name:
            yield entry, content
            continue
        link = renamed(entry.unsafe_link) if entry.kind == "hardlink" else entry.unsafe_link
        yield entry._replace(unsafe_name=renamed(entry.unsafe_name), unsafe_link=link), content


__all__ = ["archive_of", "unpack"]
