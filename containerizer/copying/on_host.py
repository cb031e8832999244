"""Files of the host as a tar archive, for a container of somebody else's; and what comes back from there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from containerizer import ids
from containerizer.copying import files, owners, places, roots
from containerizer.copying.errors import CopyFailed
from containerizer.copying.places import Place
from containerizer.copying.write_tree import TreeWriter
from provisioner.layer.stream import ByteStream, MalformedContent
from provisioner.layer.write_tar import TarWriter, to_descriptor


def archive_of(source: str, descriptor: int, *, follow: bool = False) -> list[str]:
    """Write a file or directory as an archive; what was left out. Raises CopyFailed, OSError."""
    with roots.of_host() as host:
        origin = Place(host.descriptor, files.on_host(source), source)
        rule = owners.out_of(ids.Ids(), archive=True)
        with files.reading(origin, follow=follow) as (reader, _):
            writer = TarWriter(to_descriptor(descriptor), origin.name or ".")
            return files.pump(reader, rule, writer, reader.skipped)


def unpack(pieces: Iterable[bytes], target: str, *, archive: bool = False) -> list[str]:
    """Unpack an archive into a directory; what was left out. Raises CopyFailed, OSError."""
    with roots.of_host() as host:
        goal = Place(host.descriptor, files.on_host(target), target)
        writer = TreeWriter(goal.root, places.directory_of(goal), contents_only=True, complete=True)
        with contextlib.closing(writer):
            rule = owners.out_of(ids.Ids(), archive=archive)
            try:
                return files.pump(files.archived(ByteStream(iter(pieces))), rule, writer, writer.skipped)
            except MalformedContent as error:
                raise CopyFailed(f"the archive ends before its end, or is none: {error}") from error


__all__ = ["archive_of", "unpack"]
