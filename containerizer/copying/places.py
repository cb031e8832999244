"""Where a copy comes from and goes to: the rules of `docker cp`.

    source              target                   becomes
    file                a directory              target/NAME
    file                a file, or nothing yet   target
    directory           a directory              target/NAME, merged with what is there
    directory/.         a directory              target, merged with what is there
    directory           nothing yet              target
    directory           a file                   an error

A target that ends with `/` must be a directory, unless a directory is copied to it. The directory
around a target must be there. A source that is a symbolic link is copied as such, unless the caller
follows links or it ends with `/`; one as a target is followed.
"""

from __future__ import annotations

import errno
import os
import stat

from containerizer.copying.errors import CopyFailed
from launcher.data import Data
from launcher.kernel.safe_path import open_beneath

_MAX_LINKS = 40  # as the kernel follows: path_resolution(7)
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Place(Data):
    """A path below a root directory, and how people call it."""

    root: int
    path: str  # absolute
    called: str  # in messages

    @property
    def name(self) -> str:
        """Its last component; "" for what is called by no name, as `/` and what ends with `/.`."""
        name = "" if self.path.endswith("/.") else os.path.basename(self.path.rstrip("/"))
        return "" if name in (".", "..") else name

    @property
    def must_be_directory(self) -> bool:
        return self.path.endswith(("/", "/.", "/.."))


def open_source(place: Place, *, follow: bool) -> int:
    """An O_PATH descriptor of what is to be copied. Raises CopyFailed."""
    flags = os.O_PATH if follow or place.must_be_directory else os.O_PATH | os.O_NOFOLLOW
    try:
        return open_beneath(place.root, place.path, flags)
    except OSError as error:
        raise failed(place, error) from error


def target_of(place: Place, source: Place, *, is_directory: bool) -> str:
    """The path at which the source's copy will be. Raises CopyFailed."""
    path = _final(place)
    there = _status(place, path)
    if there is None:
        if place.must_be_directory and not is_directory:
            raise CopyFailed(f"{place.called}: no such directory")
        _check_parent(place, path)
        return path
    if stat.S_ISDIR(there.st_mode):
        return os.path.join(path, source.name)
    if is_directory:
        raise CopyFailed(f"cannot copy the directory {source.called} onto the file {place.called}")
    if place.must_be_directory:
        raise CopyFailed(f"{place.called}: not a directory")
    return path


def directory_of(place: Place) -> str:
    """The path of a directory that must be there. Raises CopyFailed."""
    there = _status(place, place.path, follow=True)
    if there is None or not stat.S_ISDIR(there.st_mode):
        raise CopyFailed(f"{place.called}: no such directory")
    return place.path


def failed(place: Place, error: OSError) -> CopyFailed:
    """The sentence for an error of the kernel's."""
    return CopyFailed(f"{place.called}: {os.strerror(error.errno or 0).lower()}")


def _final(place: Place) -> str:
    """The path with its last component followed, if that is a link, wherever it leads in the root."""
    path = place.path.rstrip("/").removesuffix("/.") or "/"
    for _ in range(_MAX_LINKS):
        try:
            descriptor = open_beneath(place.root, path, os.O_PATH | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in _ABSENT:
                return path
            raise failed(place, error) from error
        try:
            if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                return path
            path = os.path.join(os.path.dirname(path), os.readlink("", dir_fd=descriptor))
        finally:
            os.close(descriptor)
    raise CopyFailed(f"{place.called}: too many symbolic links")


def _status(place: Place, path: str, *, follow: bool = False) -> os.stat_result | None:
    try:
        descriptor = open_beneath(place.root, path, os.O_PATH if follow else os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise failed(place, error) from error
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _check_parent(place: Place, path: str) -> None:
    parent = _status(place, os.path.dirname(path.rstrip("/")) or "/", follow=True)
    if parent is None or not stat.S_ISDIR(parent.st_mode):
        raise CopyFailed(f"{place.called}: the directory around it does not exist")
