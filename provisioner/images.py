"""Images in and out of the store, for the Provisioner: what it imports only when it is asked for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from launcher.remove_tree import remove_tree
from provisioner.errors import StoreError
from provisioner.image import Image
from provisioner.layer.unpack import Limits
from provisioner.layer.write_tar import TarWriter, to_descriptor
from provisioner.load import load as load_archive
from provisioner.platforms import Platform
from provisioner.progress import Progress
from provisioner.saving.save import ArchiveOutput, DirectoryOutput, Output
from provisioner.saving.save import save as save_images
from provisioner.sources.archive import Archive
from provisioner.store.store import Store


def load(
    store: Store,
    archive: str | int,
    name: str | None,
    platform: str | None,
    limits: Limits | None,
    progress: Progress,
) -> list[Image]:
    """`Provisioner.load`."""
    scratch = store.paths.ingest
    with _storing("load the archive", store):
        opened = (
            Archive.open(archive, scratch)
            if isinstance(archive, str)
            else Archive.of_descriptor(os.dup(archive), "standard input", scratch)
        )
        with contextlib.closing(opened):
            return load_archive(
                store,
                opened,
                name=name,
                platform=Platform.parse(platform) if platform else None,
                limits=limits or Limits(),
                progress=progress,
            )


def save(
    store: Store,
    references: Sequence[str],
    target: str | int,
    form: Literal["oci", "docker", "oci-dir"],
    *,
    compress: bool,
) -> list[Image]:
    """`Provisioner.save`."""
    images = [store.select(reference) for reference in references]
    with _storing("save images", store), _output(target, form) as output:
        save_images(store, images, output, "docker" if form == "docker" else "oci", compress=compress)
    return images


@contextlib.contextmanager
def _output(target: str | int, form: str) -> Iterator[Output]:
    if isinstance(target, int):
        yield ArchiveOutput(TarWriter(to_descriptor(target)))
        return
    beside = f"{target.rstrip('/')}.{os.urandom(4).hex()}.new"
    if form == "oci-dir":
        os.mkdir(beside)
        with _appearing(beside, target, lambda: remove_tree(beside)):
            yield DirectoryOutput(beside)
        return
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with _appearing(beside, target, lambda: os.unlink(beside)):
            yield ArchiveOutput(TarWriter(to_descriptor(fd)))
            os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _appearing(beside: str, target: str, remove: Callable[[], object]) -> Iterator[None]:
    """rename(2) takes the place of a file, and of an empty directory."""
    try:
        yield
        os.rename(beside, target)
    except BaseException:
        remove()
        raise


@contextlib.contextmanager
def _storing(what: str, store: Store) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot {what}: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""),
            hint=f"look at the space and permissions there, and of {store.paths.root}",
        ) from error
