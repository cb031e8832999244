"""The trampoline: an executable of a few instructions through which the child becomes the task.

Until it executes the task, the child's /proc/self/exe is the host's Python interpreter. A hostile
image can name that link as its command, or in the first line of a script, and would then run with
the host's file as its own executable: as the file's owner it may change its mode or its extended
attributes, whatever the kernel does against writing to it (CVE-2019-5736 and what is left of it).
So the child first executes this, from a sealed file that lives in memory and belongs to nobody
else; what /proc/self/exe then leads to is worth nothing.

    argv of the trampoline: the path to execute, then the task's own argv

Should that fail, it writes the negative errno, 4 bytes, to the channel (descriptor 3).
"""

from __future__ import annotations

import fcntl
import os
import struct

_X86_64 = """
    48 89 e3          mov  rbx, rsp                 ; argc, argv[0] …
    b8 48 00 00 00    mov  eax, 72                  ; fcntl
    bf 03 00 00 00    mov  edi, 3                   ; the channel
    be 02 00 00 00    mov  esi, 2                   ; F_SETFD
    ba 01 00 00 00    mov  edx, 1                   ; FD_CLOEXEC
    0f 05             syscall
    48 8b 7b 08       mov  rdi, [rbx + 8]           ; argv[0]: the path
    48 8d 73 10       lea  rsi, [rbx + 16]          ; argv + 1
    48 8b 0b          mov  rcx, [rbx]
    48 8d 54 cb 10    lea  rdx, [rbx + rcx*8 + 16]  ; envp
    b8 3b 00 00 00    mov  eax, 59                  ; execve
    0f 05             syscall
    50                push rax
    48 89 e6          mov  rsi, rsp
    bf 03 00 00 00    mov  edi, 3
    ba 04 00 00 00    mov  edx, 4
    b8 01 00 00 00    mov  eax, 1                   ; write
    0f 05             syscall
    bf 7f 00 00 00    mov  edi, 127
    b8 3c 00 00 00    mov  eax, 60                  ; exit
    0f 05             syscall
"""

_AARCH64 = """
    f3 03 00 91    mov  x19, sp                     ; argc, argv[0] …
    28 03 80 d2    mov  x8, 25                      ; fcntl
    60 00 80 d2    mov  x0, 3                       ; the channel
    41 00 80 d2    mov  x1, 2                       ; F_SETFD
    22 00 80 d2    mov  x2, 1                       ; FD_CLOEXEC
    01 00 00 d4    svc  0
    74 02 40 f9    ldr  x20, [x19]
    60 06 40 f9    ldr  x0, [x19, 8]                ; argv[0]: the path
    61 42 00 91    add  x1, x19, 16                 ; argv + 1
    22 0c 14 8b    add  x2, x1, x20, lsl 3          ; envp
    a8 1b 80 d2    mov  x8, 221                     ; execve
    01 00 00 d4    svc  0
    e0 0f 1f f8    str  x0, [sp, -16]!
    60 00 80 d2    mov  x0, 3
    e1 03 00 91    mov  x1, sp
    82 00 80 d2    mov  x2, 4
    08 08 80 d2    mov  x8, 64                      ; write
    01 00 00 d4    svc  0
    e0 0f 80 d2    mov  x0, 127
    a8 0b 80 d2    mov  x8, 93                      ; exit
    01 00 00 d4    svc  0
"""

_LISTINGS = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}  # machine → e_machine, instructions

_BASE = 0x400000
_HEADERS = 64 + 2 * 56  # an ELF header and two program headers: elf(5)
_PAGE = 0x10000  # the largest page size of either machine
_READ_EXECUTE = 5
_READ_WRITE = 6
_PT_LOAD = 1
_PT_GNU_STACK = 0x6474E551

_MFD_EXEC = 0x10  # Linux 6.3; before, every memfd can be executed


def _assemble(listing: str) -> bytes:
    lines = (line.split("  ")[2] for line in listing.splitlines() if line)
    return bytes.fromhex("".join(lines))


def _elf(machine: str) -> bytes:
    """A static executable of one segment, without sections."""
    number, listing = _LISTINGS[machine]
    code = _assemble(listing)
    size = _HEADERS + len(code)
    identification = b"\x7fELF\2\1\1".ljust(16, b"\0")  # 64 bits, little-endian
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )  # ET_EXEC; the entry is right behind the headers
    load = struct.pack("<IIQQQQQQ", _PT_LOAD, _READ_EXECUTE, 0, _BASE, _BASE, size, size, _PAGE)
    stack = struct.pack("<IIQQQQQQ", _PT_GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16)
    return identification + header + load + stack + code


_EXECUTABLE = _elf(os.uname().machine) if os.uname().machine in _LISTINGS else None


def make() -> int | None:
    """A descriptor of the trampoline, sealed; close-on-exec. None on a machine it is not written for.

    Raises OSError (EACCES) where vm.memfd_noexec forbids executables in memory.
    """
    if _EXECUTABLE is None:
        return None
    try:
        descriptor = os.memfd_create("task", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_EXEC)
    except OSError:
        descriptor = os.memfd_create("task", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, _EXECUTABLE)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def failure(packet: bytes) -> int | None:
    """The errno in what the trampoline wrote; None if the packet is no such thing."""
    if len(packet) != 4:
        return None
    (result,) = struct.unpack("<i", packet)
    return -result if -4096 < result < 0 else None
