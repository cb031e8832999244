"""The machine that runs a launch program: an executable of some hundred instructions, in memory.

Supervisor and child are this, from their first moment: what a child shares with the host is neither
memory nor a file (a task can reach its launcher's executable through /proc/<pid>/exe: CVE-2019-5736; and
what is in its memory when it enters a PID namespace: CVE-2016-9962). It depends on no file that could
be missing once the root has changed, and it costs a page or two where a forked interpreter costs
hundreds.

    descriptor 3: the channel to the launcher
    descriptor 4: the program: the size of its instructions in 8 bytes, they, and its data

It reads the program to where it was written for, and makes one system call after the other as
launcher/program/assembler.py describes. A failure is written to the channel (launcher/program/messages.py);
then the process ends with status 127.

An instruction with the number INIT is no system call: from there on the process is the container's
PID 1 for the task whose pid is its argument (launcher/init.py). It collects what ends, hands on signals,
and ends as the task does.

Its instructions are in launcher/program/listings.py. Where it is not written for the processor, or
nothing in memory may be executed, launcher/program/engine.py does the same.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from launcher.kernel import memfd
from launcher.kernel.libc import AT_EMPTY_PATH, syscall
from launcher.program import listings
from launcher.program.assembler import DATA, INSTRUCTIONS, MAX_DATA, ROOM
from launcher.program.listings import Listing, assemble

ARGV = ("containerizer", "init")  # for ps, as long as it is not the task

_BASE = 0x400000
_SEGMENTS = 4
_HEADERS = 64 + _SEGMENTS * 56  # an ELF header and the program headers: elf(5)
_PAGE = 0x10000  # the largest page size of any machine here
_READ_EXECUTE = 5
_READ_WRITE = 6
_PT_LOAD = 1
_PT_GNU_STACK = 0x6474E551

_F_SEAL_EXEC = 0x20  # Linux 6.3: no chmod(2), or root in a container could end every later launch
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

_FACCESSAT2 = 439
_X_OK = 1


def obstacle() -> str | None:
    """Why this host cannot run it, as a clause; None if it can."""
    try:
        os.close(make())
    except OSError as error:
        return ": ".join(part for part in (error.filename, str(error.strerror).lower()) if part)
    return None


def make() -> int:
    """A sealed, close-on-exec descriptor of the executable.

    Raises OSError: ENOTSUP where it is not written for the processor; EACCES where what is in memory
    must not be executed, by vm.memfd_noexec or by the rules of a security module.
    """
    own = listings.own()
    if own is None:
        raise OSError(errno.ENOTSUP, f"no machine code for {os.uname().machine}")
    descriptor = memfd.create("child", executable=True)
    try:
        memfd.fill(descriptor, elf(own))
        _seal(descriptor)
        syscall("faccessat2", _FACCESSAT2, "executables in memory", descriptor, b"", _X_OK, AT_EMPTY_PATH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _seal(descriptor: int) -> None:
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS | _F_SEAL_EXEC)
    except OSError:  # EINVAL: Linux before 6.3
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)


def elf(listing: Listing) -> bytes:
    """A static executable without sections: its code, and room for a program."""
    code = assemble(listing.machine)
    size = _HEADERS + len(code)
    identification = b"\x7fELF\2\1\1".ljust(16, b"\0")  # 64 bits, little-endian
    header = struct.pack(
        "<HHIQQQIHHHHHH", *(2, listing.elf_machine, 1, _BASE + _HEADERS, 64), 0, 0, 64, 56, _SEGMENTS, 0, 0, 0
    )  # ET_EXEC; the entry is right behind the headers
    return b"".join(
        (
            identification + header,
            _segment(_PT_LOAD, _READ_EXECUTE, _BASE, size, size),
            _segment(_PT_LOAD, _READ_WRITE, INSTRUCTIONS, 0, ROOM),
            _segment(_PT_LOAD, _READ_WRITE, DATA, 0, MAX_DATA),
            _segment(_PT_GNU_STACK, _READ_WRITE, 0, 0, 0),
            code,
        )
    )


def _segment(kind: int, access: int, address: int, in_file: int, in_memory: int) -> bytes:
    align = _PAGE if kind == _PT_LOAD else 16
    return struct.pack("<IIQQQQQQ", kind, access, 0, address, address, in_file, in_memory, align)
