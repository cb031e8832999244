"""Virtual files: what clients may read of the agent's, by paths that are not the host's.

    /slave/log                      the agent's own log, where it has one
    /containers/<name>.<name>/…     a container's sandbox, without those of the containers in it

What lies in a sandbox is the task's to change, links included, so paths are resolved with the
attached directory as their `/` (openat2(2), launcher.kernel.safe_path). Only directories and regular
files are opened.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Iterator

from containerizer.api.errors import BadRequest, NotFound
from containerizer.paths import NESTED, Paths
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import InvalidRequest
from launcher.kernel.safe_path import open_beneath

AGENT_LOG = "/slave/log"
_CONTAINERS = "/containers/"

_PAGE = 4096
MOST = 16 * _PAGE  # bytes of a file in one answer

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES)


class Found(Data, kw_only=True):
    """One file, by stat(2)."""

    path: str  # virtual
    status: os.stat_result


class VirtualFiles:
    """Belongs to the agent. Its methods block for as long as the disk takes."""

    def __init__(self, paths: Paths, log: str | None = None) -> None:
        """`log`: the agent's own log file."""
        self._paths = paths
        self._attached = {AGENT_LOG: log} if log else {}

    def attach(self, virtual: str, path: str) -> None:
        """Have a file or directory of the host appear at a virtual path."""
        self._attached[virtual.rstrip("/")] = path

    def browse(self, path: str) -> list[Found]:
        """What is in a directory, by name; or the file itself. Raises NotFound, BadRequest."""
        with self._opened(path) as (descriptor, status):
            if not stat.S_ISDIR(status.st_mode):
                return [Found(path=path, status=status)]
            nested = f"{path.rstrip('/')}/{NESTED}" if not self._resolve(path)[1].strip("/") else None
            return [found for found in _inside(descriptor, path) if found.path != nested]

    def read(self, path: str, offset: int | None, length: int | None) -> tuple[int, bytes]:
        """(the file's size, bytes of it from `offset`), at most `length` and at most MOST.

        No offset: only the size. Raises NotFound, BadRequest.
        """
        with self._opened(path) as (descriptor, status):
            if not stat.S_ISREG(status.st_mode):
                raise BadRequest(f"{path!r} is a directory", hint="LIST_FILES tells what is in it")
            wanted = MOST if length is None else min(length, MOST)
            if offset is None or offset >= status.st_size:
                return status.st_size, b""
            return status.st_size, os.pread(descriptor, wanted, offset)

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor of a regular file, valid within this context. Raises NotFound, BadRequest."""
        with self._opened(path) as (descriptor, status):
            if not stat.S_ISREG(status.st_mode):
                raise BadRequest(f"{path!r} is a directory")
            yield descriptor

    def attachments(self) -> dict[str, str]:
        """Virtual path → path of the host."""
        return dict(self._attached)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[tuple[int, os.stat_result]]:
        top, rest = self._resolve(path)
        try:
            descriptor = _open(top, rest)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _GONE:
                raise
            raise NotFound(f"no file {path!r}") from None
        try:
            if _is_anothers(top, descriptor):
                raise NotFound(f"no file {path!r}", hint="a nested container's are at its own id")
            yield descriptor, os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _resolve(self, path: str) -> tuple[str, str]:
        """(a file or directory of the host, a path beneath it that is not trusted)."""
        if "\0" in path:
            raise BadRequest(f"{path!r} is no path")
        for virtual, top in self._attached.items():
            if path == virtual or path.startswith(f"{virtual}/"):
                return top, path[len(virtual) :]
        if path.startswith(_CONTAINERS):
            name, _, rest = path.removeprefix(_CONTAINERS).partition("/")
            with contextlib.suppress(InvalidRequest):
                return self._paths.sandbox(ContainerId.parse(name)), rest
        raise NotFound(f"no file {path!r}")


def container_of(path: str) -> ContainerId | None:
    """Whose sandbox a virtual path is in; None for what is in none."""
    name = path.removeprefix(_CONTAINERS).partition("/")[0]
    if path.startswith(_CONTAINERS):
        with contextlib.suppress(InvalidRequest):
            return ContainerId.parse(name)
    return None


def _open(top: str, rest: str) -> int:
    """Never blocks, as a fifo or a device would; those are not found."""
    if not rest.strip("/"):
        return os.open(top, os.O_RDONLY | os.O_CLOEXEC)
    directory = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        node = open_beneath(directory, rest.lstrip("/"), os.O_PATH)
    finally:
        os.close(directory)
    try:
        mode = os.fstat(node).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(errno.ENOENT, "no regular file", rest)
        return os.open(f"/proc/self/fd/{node}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(node)


def _is_anothers(top: str, descriptor: int) -> bool:
    """Whether it is in the sandbox of a nested container, whose own path is what access is ruled by.

    Whatever links a task has made: by where the descriptor is now.
    """
    nested = os.path.join(os.path.realpath(top), NESTED)
    return f"{os.readlink(f'/proc/self/fd/{descriptor}')}/".startswith(f"{nested}/")


def _inside(directory: int, path: str) -> Iterator[Found]:
    for name in sorted(os.listdir(directory)):
        with contextlib.suppress(FileNotFoundError):  # gone since
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            yield Found(path=f"{path.rstrip('/')}/{name}", status=status)


@functools.lru_cache(maxsize=256)
def user_name(uid: int) -> str:
    """Its name on the host, or the number."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.lru_cache(maxsize=256)
def group_name(gid: int) -> str:
    """As `user_name`."""
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
