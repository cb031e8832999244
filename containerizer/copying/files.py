"""ContainerFiles: the copies into a container and out of it, of files or as a tar archive."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from containerizer.copying import owners, places, roots
from containerizer.copying.errors import CopyFailed
from containerizer.copying.owners import Rule
from containerizer.copying.places import Place
from containerizer.copying.read_tree import CHUNK, Item, TreeReader
from containerizer.copying.roots import Root
from containerizer.copying.write_tree import TreeWriter
from launcher.container_id import ContainerId
from provisioner.layer.stream import ByteStream, MalformedContent
from provisioner.layer.tar import TarReader
from provisioner.layer.write_tar import TarWriter, to_descriptor

if TYPE_CHECKING:
    from containerizer.owner import Owner


class ContainerFiles:
    """The files of one container, running or ended.

    Each method returns what it had to leave out, by paths in the copy: device nodes, sockets and the
    kernel's own files. All raise NoSuchContainer, CopyFailed, OSError.
    """

    def __init__(self, owner: Owner, container_id: ContainerId) -> None:
        self._owner = owner
        self._id = container_id

    def copy_to(self, source: str, target: str, *, archive: bool = False, follow: bool = False) -> list[str]:
        """Copy a file or directory of the host into the container, by the rules of `places`.

        `archive`: keep the owners, by number. `follow`: if `source` is a link, copy what it leads to.
        """
        with roots.of_host() as host, self._root() as container:
            origin = Place(host.descriptor, on_host(source), source)
            goal = self._place(container, target)
            with owners.making_files(container.ids):
                return _copy(origin, goal, owners.into(container.ids, archive=archive), follow=follow)

    def copy_from(
        self, source: str, target: str, *, archive: bool = False, follow: bool = False
    ) -> list[str]:
        """Copy a file or directory of the container to the host; as `copy_to`."""
        with roots.of_host() as host, self._root() as container:
            origin = self._place(container, source)
            goal = Place(host.descriptor, on_host(target), target)
            return _copy(origin, goal, owners.out_of(container.ids, archive=archive), follow=follow)

    def get_archive(self, source: str, descriptor: int, *, follow: bool = False) -> list[str]:
        """Write a file or directory of the container as a tar archive, with the container's owners."""
        with self._root() as container:
            origin = self._place(container, source)
            rule = owners.out_of(container.ids, archive=True)
            with reading(origin, follow=follow) as (reader, _):
                return pump(
                    reader, rule, TarWriter(to_descriptor(descriptor), origin.name or "."), reader.skipped
                )

    def put_archive(self, descriptor: int, target: str, *, archive: bool = False) -> list[str]:
        """Unpack an uncompressed tar archive into a directory of the container; `archive` as `copy_to`."""
        with self._root() as container:
            goal = self._place(container, target)
            rule = owners.into(container.ids, archive=archive)
            writer = TreeWriter(goal.root, places.directory_of(goal), contents_only=True, complete=True)
            stream = ByteStream(iter(lambda: os.read(descriptor, CHUNK), b""))
            with owners.making_files(container.ids), contextlib.closing(writer):
                try:
                    return pump(archived(stream), rule, writer, writer.skipped)
                except MalformedContent as error:
                    raise CopyFailed(f"no tar archive: {error}", hint="it must not be compressed") from error

    def _root(self) -> contextlib.AbstractContextManager[Root]:
        return roots.of_container(self._owner, self._id)

    def _place(self, container: Root, path: str) -> Place:
        return Place(container.descriptor, os.path.join("/", path), f"{self._id}:{path}")


def _copy(origin: Place, goal: Place, rule: Rule, *, follow: bool) -> list[str]:
    with reading(origin, follow=follow) as (reader, is_directory):
        top = places.target_of(goal, origin, is_directory=is_directory)
        merges = is_directory and not origin.name and _exists(goal, top)
        writer = TreeWriter(goal.root, top, contents_only=merges)
        with contextlib.closing(writer):
            return pump(reader, rule, writer, reader.skipped)


@contextlib.contextmanager
def reading(origin: Place, *, follow: bool) -> Iterator[tuple[TreeReader, bool]]:
    """A reader, and whether it reads a directory."""
    top = places.open_source(origin, follow=follow)
    try:
        yield TreeReader(top), stat.S_ISDIR(os.fstat(top).st_mode)
    finally:
        os.close(top)


def pump(items: Iterable[Item], rule: Rule, writer: TreeWriter | TarWriter, skipped: list[str]) -> list[str]:
    for entry, content in items:
        writer.add(rule(entry), content)
    writer.finish()
    return skipped


def archived(stream: ByteStream) -> Iterator[Item]:
    reader = TarReader(stream)
    for entry in reader:
        yield entry, map(bytes, reader.content())


def _exists(goal: Place, path: str) -> bool:
    try:
        os.close(places.open_source(Place(goal.root, path, goal.called), follow=False))
    except CopyFailed:
        return False
    return True


def on_host(path: str) -> str:
    """Absolute, and with the end that the rules look at; not normalized, which would change its meaning."""
    return os.path.join(os.getcwd(), path)
