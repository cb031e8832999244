"""The machine that runs a launch program: an executable of some sixty instructions, in memory.

The child is this, from its first moment: what it shares with the host is neither memory nor a file
(a task can reach its launcher's executable through /proc/<pid>/exe: CVE-2019-5736; and what is in its
memory when it enters a PID namespace: CVE-2016-9962). It depends on no file that could be missing
once the root has changed, and it costs a page or two where a forked interpreter costs hundreds.

    descriptor 3: the channel to the supervisor
    descriptor 4: the program: the size of its instructions in 8 bytes, they, and its data

It reads the program to where it was written for, and makes one system call after the other as
launcher/program/assembler.py describes. A failure is written to the channel (launcher/program/messages.py);
then the process ends with status 127.

An instruction with the number INIT is no system call: from there on the process is the container's
PID 1 for the task whose pid is its argument (launcher/init.py). It collects what ends, hands on signals,
and ends as the task does.
"""

from __future__ import annotations

import fcntl
import os
import struct

from launcher.program.assembler import DATA, INSTRUCTIONS, MAX_DATA, MAX_INSTRUCTIONS

_X86_64 = """
    be 00 00 00 10                 mov    esi, 0x10000000             ; INSTRUCTIONS
    ba 08 00 00 00                 mov    edx, 8                      ; first, how long they are
    e8 b3 00 00 00                 call   load
    67 8b 16                       mov    edx, [esi]
    e8 ab 00 00 00                 call   load
    be 00 00 00 20                 mov    esi, 0x20000000             ; DATA
    ba 00 00 00 01                 mov    edx, 0x1000000              ; MAX_DATA: all the rest
    e8 9c 00 00 00                 call   load
    bb 00 00 00 10                 mov    ebx, 0x10000000             ; rbx: the instruction
    8b 4b 04                 next: mov    ecx, [rbx + 4]              ; which arguments are slots
    ba 05 00 00 00                 mov    edx, 5
    48 8b 44 d3 08            one: mov    rax, [rbx + rdx*8 + 8]      ; the last argument first
    0f a3 d1                       bt     ecx, edx
    73 03                          jnc    push
    48 63 00                       movsxd rax, [rax]
    50                       push: push   rax
    ff ca                          dec    edx
    79 ee                          jns    one
    5f                             pop    rdi
    5e                             pop    rsi
    5a                             pop    rdx
    41 5a                          pop    r10
    41 58                          pop    r8
    41 59                          pop    r9
    8b 03                          mov    eax, [rbx]
    85 c0                          test   eax, eax                    ; INIT is no system call
    78 78                          js     init
    0f 05                          syscall
    48 89 43 38                    mov    [rbx + 56], rax             ; its slot
    48 3d 01 f0 ff ff              cmp    rax, -4095
    73 1d                          jae    failed
    8b 4b 40                       mov    ecx, [rbx + 64]             ; store
    e3 02                          jrcxz  kept
    89 01                          mov    [rcx], eax
    8b 4b 44                 kept: mov    ecx, [rbx + 68]             ; then
    48 85 c0                       test   rax, rax
    75 02                          jnz    jump
    31 c9                          xor    ecx, ecx
    e3 04                    jump: jrcxz  on
    89 cb                          mov    ebx, ecx
    eb b2                          jmp    next
    48 83 c3 58                on: add    rbx, 88                     ; SIZE
    eb ac                          jmp    next
    f7 d8                  failed: neg    eax                         ; the errno
    48 8d 73 50                    lea    rsi, [rbx + 80]             ; tolerated
    ba 04 00 00 00                 mov    edx, 4
    8b 4b 48                   is: mov    ecx, [rbx + 72]             ; otherwise
    66 39 06                       cmp    word [rsi], ax
    74 e1                          je     jump
    66 83 3e ff                    cmp    word [rsi], -1              ; ANY
    74 db                          je     jump
    48 83 c6 02                    add    rsi, 2
    ff ca                          dec    edx
    75 ea                          jne    is
    50                             push   rax
    53                             push   rbx
    48 89 e6                       mov    rsi, rsp
    ba 10 00 00 00                 mov    edx, 16
    bf 03 00 00 00                 mov    edi, 3                      ; the channel
    b8 01 00 00 00                 mov    eax, 1                      ; write
    0f 05                          syscall
    bf 7f 00 00 00                 mov    edi, 127
    b8 e7 00 00 00                 mov    eax, 231                    ; exit_group
    0f 05                          syscall
    bf 04 00 00 00           load: mov    edi, 4                      ; the program
    31 c0                          xor    eax, eax                    ; read
    0f 05                          syscall
    c3                             ret
    49 89 fc                 init: mov    r12, rdi                    ; the task
    6a ff                          push   -1                          ; every signal
    48 89 e7                 wait: mov    rdi, rsp
    31 f6                          xor    esi, esi
    31 d2                          xor    edx, edx
    41 ba 08 00 00 00              mov    r10d, 8
    b8 80 00 00 00                 mov    eax, 128                    ; rt_sigtimedwait
    0f 05                          syscall
    85 c0                          test   eax, eax
    78 e8                          js     wait
    83 f8 11                       cmp    eax, 17                     ; SIGCHLD
    74 0e                          je     reap
    44 89 e7                       mov    edi, r12d
    89 c6                          mov    esi, eax
    b8 3e 00 00 00                 mov    eax, 62                     ; kill
    0f 05                          syscall
    eb d5                          jmp    wait
    48 c7 c7 ff ff ff ff     reap: mov    rdi, -1
    48 8d 74 24 f0                 lea    rsi, [rsp - 16]
    ba 01 00 00 00                 mov    edx, 1                      ; WNOHANG
    45 31 d2                       xor    r10d, r10d
    b8 3d 00 00 00                 mov    eax, 61                     ; wait4
    0f 05                          syscall
    85 c0                          test   eax, eax
    7e b6                          jle    wait
    44 39 e0                       cmp    eax, r12d
    75 dc                          jne    reap
    8b 7c 24 f0                    mov    edi, [rsp - 16]
    c1 ef 08                       shr    edi, 8                      ; exit status
    8b 44 24 f0                    mov    eax, [rsp - 16]
    83 e0 7f                       and    eax, 127                    ; or a signal
    74 06                          je     exit
    8d b8 80 00 00 00              lea    edi, [rax + 128]
    b8 e7 00 00 00           exit: mov    eax, 231                    ; exit_group
    0f 05                          syscall
"""

_LISTINGS = {"x86_64": (62, _X86_64)}  # machine → e_machine, instructions

_BASE = 0x400000
_SEGMENTS = 4
_HEADERS = 64 + _SEGMENTS * 56  # an ELF header and the program headers: elf(5)
_PAGE = 0x10000  # the largest page size of any machine here
_READ_EXECUTE = 5
_READ_WRITE = 6
_PT_LOAD = 1
_PT_GNU_STACK = 0x6474E551

_MFD_EXEC = 0x10  # Linux 6.3; before, every memfd can be executed
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def is_available() -> bool:
    """Whether it is written for this machine."""
    return os.uname().machine in _LISTINGS


def make() -> int:
    """A sealed, close-on-exec descriptor of the executable.

    Raises OSError (EACCES) where vm.memfd_noexec forbids executables in memory.
    """
    try:
        descriptor = os.memfd_create("child", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_EXEC)
    except OSError:
        descriptor = os.memfd_create("child", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, _elf(*_LISTINGS[os.uname().machine]))
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


def _assemble(listing: str) -> bytes:
    lines = (line[4:26] for line in listing.splitlines() if line)
    return bytes.fromhex("".join(lines))


def _elf(number: int, listing: str) -> bytes:
    """A static executable without sections: its code, and room for a program."""
    code = _assemble(listing)
    size = _HEADERS + len(code)
    identification = b"\x7fELF\2\1\1".ljust(16, b"\0")  # 64 bits, little-endian
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, _SEGMENTS, 0, 0, 0
    )  # ET_EXEC; the entry is right behind the headers
    return b"".join(
        (
            identification + header,
            _segment(_PT_LOAD, _READ_EXECUTE, _BASE, size, size),
            _segment(_PT_LOAD, _READ_WRITE, INSTRUCTIONS, 0, MAX_INSTRUCTIONS),
            _segment(_PT_LOAD, _READ_WRITE, DATA, 0, MAX_DATA),
            _segment(_PT_GNU_STACK, _READ_WRITE, 0, 0, 0),
            code,
        )
    )


def _segment(kind: int, access: int, address: int, in_file: int, in_memory: int) -> bytes:
    align = _PAGE if kind == _PT_LOAD else 16
    return struct.pack("<IIQQQQQQ", kind, access, 0, address, address, in_file, in_memory, align)
