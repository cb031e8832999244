"""memfd_create(2): files in memory, which say since Linux 6.3 whether they may be executed.

Whoever says nothing is refused where vm.memfd_noexec is 2: Documentation/userspace-api/mfd_noexec.rst.
"""

from __future__ import annotations

import errno
import fcntl
import os

MFD_NOEXEC_SEAL = 0x8
MFD_EXEC = 0x10


def create(name: str, *, executable: bool = False, sealable: bool = False) -> int:
    """A new file in memory, close-on-exec; one that can be executed can be sealed. Raises OSError."""
    flags = os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if executable or sealable else 0)
    try:
        return os.memfd_create(name, flags | (MFD_EXEC if executable else MFD_NOEXEC_SEAL))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise OSError(error.errno, error.strerror, "files in memory") from None
        return os.memfd_create(name, flags)  # an older kernel


def fill(descriptor: int, content: bytes) -> None:
    """Have it begin with this, to be read.

    Raises OSError: EFBIG where the limit of the size of files is less, setrlimit(2).
    """
    if os.pwrite(descriptor, content, 0) < len(content):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), "files in memory")


def holding(name: str, content: bytes) -> int:
    """One to read this from. Raises OSError."""
    descriptor = create(name)
    try:
        fill(descriptor, content)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def with_room(name: str, size: int) -> int:
    """One to write so many bytes to: who writes more gets an error. Raises OSError."""
    descriptor = create(name, sealable=True)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def written(descriptor: int) -> bytes:
    """What others have written to it: the position is shared with them."""
    return os.pread(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR), 0)
