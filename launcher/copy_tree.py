"""Copy what an image has at a volume's place into the fresh volume, links unfollowed."""

from __future__ import annotations

import errno
import os
import stat

_MAX_DEPTH = 256  # levels; each holds three descriptors and two stack frames
_CHUNK = 1 << 20  # bytes a call; sendfile(2), since copy_file_range(2) refuses to leave an overlay


def copy_tree(source: int, target: int) -> None:
    """Copy the directory `source` into the empty directory `target`; both are O_PATH descriptors.

    Files, directories and symbolic links, with owner, mode, times and extended attributes. Device
    nodes, sockets and fifos are left out: a volume is for data. A file as source copies nothing.
    Raises OSError, with ELOOP for a tree of more than _MAX_DEPTH levels.
    """
    if not stat.S_ISDIR(os.fstat(source).st_mode):
        return
    _copy_directory(".", source, target, depth=0)


def _copy_directory(name: str, parent: int, target_parent: int, *, depth: int) -> None:
    if depth == _MAX_DEPTH:
        raise OSError(errno.ELOOP, f"directories nested deeper than {_MAX_DEPTH} levels", name)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    source = os.open(name, flags, dir_fd=parent)
    target = os.open(name, flags, dir_fd=target_parent)
    try:
        with os.scandir(source) as entries:
            for entry in entries:
                _copy_entry(entry.name, source, target, depth + 1)
        _copy_metadata(source, target)
    finally:
        os.close(target)
        os.close(source)


def _copy_entry(name: str, source: int, target: int, depth: int) -> None:
    status = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        _copy_directory(name, source, target, depth=depth)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    elif stat.S_ISREG(status.st_mode):
        _copy_file(name, source, target)


def _copy_file(name: str, source: int, target: int) -> None:
    reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        while os.sendfile(writer, reader, None, _CHUNK):
            pass
        _copy_metadata(reader, writer)
    finally:
        os.close(writer)
        os.close(reader)


def _copy_metadata(source: int, target: int) -> None:
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for attribute in os.listxattr(source):
        if not attribute.startswith(("trusted.", "system.")):
            os.setxattr(target, attribute, os.getxattr(source, attribute))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
