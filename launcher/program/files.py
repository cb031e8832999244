"""Files as instructions of the launch program."""

from __future__ import annotations

import os

from launcher.kernel.libc import AT_FDCWD
from launcher.program.assembler import Program


def write_file(program: Program, path: str, content: bytes) -> None:
    """In one write(2), as the kernel wants its interface files written; the file has to be there."""
    file = program.call("openat", AT_FDCWD, os.fsencode(path), os.O_WRONLY | os.O_CLOEXEC, on=path)
    program.call("write", file, program.constant(content, 1), len(content), on=path)
    program.call("close", file)
