"""Files as instructions of the launch program."""

from __future__ import annotations

import os

from launcher.kernel.libc import AT_FDCWD
from launcher.program.assembler import Program, Slot

PROC = "/proc"


def write_file(program: Program, path: str, content: bytes, proc: Slot | None = None) -> None:
    """In one write(2), as the kernel wants its interface files written; the file has to be there.

    `proc`: as of `place`.
    """
    file = program.call("openat", *place(path, proc), os.O_WRONLY | os.O_CLOEXEC, on=path)
    program.call("write", file, program.constant(content, 1), len(content), on=path)
    program.call("close", file)


def open_proc(program: Program) -> Slot:
    """The host's procfs, for who enters a container: there it would find what a task has mounted instead, and
    write to it with the host's privileges (CVE-2025-52881).
    """
    return program.call("openat", AT_FDCWD, PROC.encode(), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def place(path: str, proc: Slot | None) -> tuple[int, bytes]:
    """The first arguments of openat(2) for a file of procfs: by this descriptor of /proc, if it is one."""
    if proc is None:
        return AT_FDCWD, os.fsencode(path)
    return proc, os.fsencode(os.path.relpath(path, PROC))
