"""Images in and out of the store, for the Provisioner: what it imports only when it is asked for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from launcher.data import replace
from launcher.remove_tree import remove_tree
from provisioner.backends.copy import MERGED
from provisioner.backends.overlay import WRITABLE
from provisioner.errors import ImageNotFound, StoreError, UnsupportedImage, reason
from provisioner.image import Image, ImageUsage
from provisioner.layer.limits import Limits
from provisioner.layer.write_tar import TarWriter, to_descriptor
from provisioner.load import load as load_archive
from provisioner.platforms import Platform
from provisioner.progress import Progress
from provisioner.saving import importing
from provisioner.saving.changes import Change, changes_in
from provisioner.saving.commit import Changes, base_of
from provisioner.saving.commit import commit as commit_container
from provisioner.saving.save import ArchiveOutput, DirectoryOutput, Output
from provisioner.saving.save import save as save_images
from provisioner.sources.archive import Archive
from provisioner.store.prune import Criteria, Pruned
from provisioner.store.prune import prune as prune_store
from provisioner.store.store import Store
from provisioner.store.verify import Verified
from provisioner.store.verify import verify as verify_store

_BLOCK = 512  # bytes, the unit of st_blocks: stat(2)


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


def commit(
    store: Store, container: str, directory: str, name: str, changes: Changes | None, limits: Limits | None
) -> Image:
    """`Provisioner.commit`."""
    upper = _own_layer(container, directory)
    with _storing(f"commit container {container}", store):
        return commit_container(store, container, upper, name, changes or Changes(), limits)


def import_archive(
    store: Store,
    archive: str | int,
    name: str,
    changes: Changes | None,
    platform: str | None,
    limits: Limits | None,
) -> Image:
    """`Provisioner.import_archive`."""
    wanted = Platform.parse(platform) if platform else Platform.host()
    with _storing("import the archive", store), contextlib.ExitStack() as stack:
        fd, what = (
            (_opened(archive, stack), archive) if isinstance(archive, str) else (archive, "standard input")
        )
        return importing.import_archive(
            store, fd, what, name, changes or Changes(), wanted, limits or Limits()
        )


def _opened(path: str, stack: contextlib.ExitStack) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ImageNotFound(f"cannot read {path}: {error.strerror}") from None
    stack.callback(os.close, fd)
    return fd


def changes(store: Store, container: str, directory: str) -> list[Change]:
    """`Provisioner.changes`."""
    upper = _own_layer(container, directory)
    lowers = [store.paths.diff(key) for key in reversed(base_of(store, container).layers)]
    with _storing(f"compare container {container} with its image", store):
        return list(changes_in(upper, lowers))


def _own_layer(container: str, directory: str) -> str:
    """The directory of what it has written. Raises UnsupportedImage, ImageNotFound."""
    upper = _writable(directory)
    if not os.path.isdir(upper) and os.path.isdir(os.path.join(directory, MERGED)):
        raise UnsupportedImage(
            f"container {container} runs on a copy of its image, which does not tell what is its own",
            hint="run it with --image-provisioner-backend overlay",
        )
    if not os.path.isdir(upper):
        raise ImageNotFound(
            f"container {container} has no writable layer of its own", hint="name one that runs on an image"
        )
    return upper


def usage(store: Store) -> list[ImageUsage]:
    """`Provisioner.usage`. Another name of the same image does not make it shared."""
    images, users = store.images(), store.users()
    owners: dict[str, set[str]] = {}
    for image in images:
        for key in image.layers:
            owners.setdefault(key, set()).add(image.digest)
    return [
        ImageUsage(
            image=image,
            shared=sum(store.layer_size(key) for key in set(image.layers) if len(owners[key]) > 1),
            used_at=store.used_at(image),
            containers=tuple(users.get(image.digest, ())),
        )
        for image in images
    ]


def prune(store: Store, criteria: Criteria) -> Pruned:
    """`Provisioner.prune`."""
    with _storing("prune images", store):
        return prune_store(store, criteria)


def make_room(store: Store, criteria: Criteria, pulled: Image, note: Callable[[str], None]) -> None:
    """Prune after a pull, but for what was pulled. `note` is told what goes, and why nothing could."""
    try:
        pruned = prune_store(store, replace(criteria, excluded=(*criteria.excluded, pulled.reference)))
    except OSError as error:
        note(f"cannot make room: {error.strerror or error}")
        return
    for image in pruned.images:
        note(f"removed image {image.reference}, which nobody used, to make room")


def verify(store: Store) -> Verified:
    """`Provisioner.verify`."""
    with _storing("verify images", store):
        return verify_store(store)


def writable_size(directory: str) -> int:
    """`Provisioner.writable_size`. What goes meanwhile does not count."""
    seen: set[tuple[int, int]] = set()
    total, pending = 0, [_writable(directory)]
    while pending:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if (status.st_dev, status.st_ino) not in seen:
                    total += status.st_blocks * _BLOCK
                if status.st_nlink > 1:
                    seen.add((status.st_dev, status.st_ino))
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return total


def _writable(directory: str) -> str:
    return os.path.join(directory, WRITABLE)


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
            f"cannot {what}: {reason(error)}",
            hint=f"look at the space and permissions there, and of {store.paths.root}",
        ) from error
