"""Merge a layer in overlayfs' form into a directory, as overlayfs would show it on top of that.

Both trees are ours alone meanwhile, but their names and links are an image's: every step is taken
relative to a descriptor, and no link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from launcher.kernel.process import is_rootless
from launcher.kernel.safe_path import open_beneath
from launcher.remove_tree import remove_tree
from provisioner.layer import attributes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409  # linux/fs.h; ioctl_ficlone(2)
_CANNOT = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY})
_PIECE = 1 << 30  # bytes asked of the kernel in one call


def merge(layer: str, target: str) -> None:
    """Put the layer on top of what is in `target`. Raises OSError."""
    with _opened(layer) as layer_fd, _opened(target) as target_fd:
        _Merge(layer_fd, target_fd, target).run()


class _Merge:
    def __init__(self, layer_fd: int, target_fd: int, target: str) -> None:
        self._layer_fd = layer_fd
        self._target_fd = target_fd
        self._target = target
        self._linked: dict[int, bytes] = {}  # inode of a file with several names → its first
        self._rootless = is_rootless()

    def run(self) -> None:
        pending, done = [b""], []
        while pending:  # no recursion: an image decides how deep it goes
            path = pending.pop()
            done.append(path)
            with self._both(path) as (source, target):
                for name in map(os.fsencode, os.listdir(source)):
                    if self._put(source, target, path, name):
                        pending.append(_join(path, name))
        for path in reversed(done):  # the inner ones first: making them changes the outer ones' times
            with self._both(path) as (source, target):
                self._describe(source, target)

    @contextlib.contextmanager
    def _both(self, path: bytes) -> Iterator[tuple[int, int]]:
        source = open_beneath(self._layer_fd, path or b".", _DIRECTORY, follow_symlinks=False)
        try:
            target = open_beneath(self._target_fd, path or b".", _DIRECTORY, follow_symlinks=False)
            try:
                yield source, target
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _put(self, source: int, target: int, path: bytes, name: bytes) -> bool:
        """One thing of the layer; whether it is a directory whose content is still to be put."""
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._directory(source, target, path, name)
            return True
        remove_tree(os.path.join(self._target, os.fsdecode(_join(path, name))))
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            return False  # a whiteout
        if first := self._linked.get(status.st_ino):
            os.link(first, name, src_dir_fd=self._target_fd, dst_dir_fd=target, follow_symlinks=False)
            return False
        if status.st_nlink > 1:
            self._linked[status.st_ino] = _join(path, name)
        if stat.S_ISREG(status.st_mode):
            self._file(source, target, name)
        else:
            self._other(source, target, name, status)
        return False

    def _directory(self, source: int, target: int, path: bytes, name: bytes) -> None:
        with _opened(name, source) as fd:
            hides = attributes.is_opaque(fd)
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(name, dir_fd=target, follow_symlinks=False)
            if hides or not stat.S_ISDIR(there.st_mode):
                remove_tree(os.path.join(self._target, os.fsdecode(_join(path, name))))
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=target)

    def _file(self, source: int, target: int, name: bytes) -> None:
        old = os.open(name, _READ, dir_fd=source)
        try:
            new = os.open(name, _NEW_FILE, 0o600, dir_fd=target)
            try:
                _copy_content(old, new)
                self._describe(old, new)
            finally:
                os.close(new)
        finally:
            os.close(old)

    def _other(self, source: int, target: int, name: bytes, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
        if not self._rootless:
            os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
        times = (status.st_mtime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)

    def _describe(self, source: int, target: int) -> None:
        """What the layer's tree has is what this user could make: in the same user's hands again."""
        status = os.fstat(source)
        if not self._rootless:
            os.fchown(target, status.st_uid, status.st_gid)
        for old in attributes.of(target).keys() - attributes.of(source).keys():
            os.removexattr(target, old)
        attributes.apply(target, attributes.of(source), lenient=self._rootless)
        os.fchmod(target, stat.S_IMODE(status.st_mode))
        os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _copy_content(source: int, target: int) -> None:
    """Share the extents, or have the kernel copy what is no hole."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    size = end = os.fstat(source).st_size
    start = _seek(source, 0, os.SEEK_DATA, size)
    while start < size:
        end = _seek(source, start, os.SEEK_HOLE, size)
        _copy_range(source, target, start, end)
        start = _seek(source, end, os.SEEK_DATA, size)
    os.ftruncate(target, size)


def _seek(fd: int, offset: int, whence: int, size: int) -> int:
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:  # nothing but a hole is left
            raise
        return size


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    os.lseek(target, start, os.SEEK_SET)
    os.lseek(source, start, os.SEEK_SET)
    while start < end:
        length = min(end - start, _PIECE)
        try:
            copied = os.copy_file_range(source, target, length)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            copied = os.sendfile(target, source, None, length)
        if not copied:
            raise OSError(errno.EIO, "a file of the store got shorter")
        start += copied


@contextlib.contextmanager
def _opened(path: str | bytes, dir_fd: int | None = None) -> Iterator[int]:
    fd = os.open(path, _DIRECTORY, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
