"""The machine code: what `launcher.program.machine` is made of.

Each line has the bytes, in the order in which they lie in memory, a label and the instruction as the
GNU assembler reads it (x86_64: `.intel_syntax noprefix`); tests/launcher/test_program.py compares them.
"""

from __future__ import annotations

import os

from launcher.data import Data

_X86_64_MACHINE = """
    be 00 00 00 10                 mov    esi, 0x10000000        ; INSTRUCTIONS
    ba 08 00 00 00                 mov    edx, 8                 ; first, how long they are
    e8 c2 00 00 00                 call   load
    67 8b 16                       mov    edx, [esi]
    e8 ba 00 00 00                 call   load
    be 00 00 00 20                 mov    esi, 0x20000000        ; DATA
    ba 00 00 00 01                 mov    edx, 0x1000000         ; MAX_DATA: all the rest
    e8 ab 00 00 00                 call   load
    bb 00 00 00 10                 mov    ebx, 0x10000000        ; rbx: the instruction
    8b 4b 04                 next: mov    ecx, [rbx + 4]         ; which arguments are slots
    ba 05 00 00 00                 mov    edx, 5
    48 8b 44 d3 08            one: mov    rax, [rbx + rdx*8 + 8] ; the last argument first
    0f a3 d1                       bt     ecx, edx
    73 03                          jnc    push
    48 63 00                       movsxd rax, dword ptr [rax]
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
    85 c0                          test   eax, eax               ; INIT is no system call
    0f 88 83 00 00 00              js     init
    0f 05                          syscall
    48 89 43 38                    mov    [rbx + 56], rax        ; its slot
    48 3d 01 f0 ff ff              cmp    rax, -4095
    73 28                          jae    failed
    8b 4b 40                       mov    ecx, [rbx + 64]        ; store
    e3 02                          jrcxz  kept
    89 01                          mov    [rcx], eax
    8b 4b 44                 kept: mov    ecx, [rbx + 68]        ; then
    8b 53 4c                       mov    edx, [rbx + 76]        ; equals
    85 d2                          test   edx, edx
    74 06                          jz     any
    3b 02                          cmp    eax, [rdx]
    74 07                          je     jump
    eb 0b                          jmp    on
    48 85 c0                  any: test   rax, rax
    74 06                          jz     on
    e3 04                    jump: jrcxz  on
    89 cb                          mov    ebx, ecx
    eb a3                          jmp    next
    48 83 c3 58                on: add    rbx, 88                ; SIZE
    eb 9d                          jmp    next
    f7 d8                  failed: neg    eax                    ; the errno
    48 8d 73 50                    lea    rsi, [rbx + 80]        ; tolerated
    ba 04 00 00 00                 mov    edx, 4
    8b 4b 48                   is: mov    ecx, [rbx + 72]        ; otherwise
    66 39 06                       cmp    word ptr [rsi], ax
    74 e1                          je     jump
    66 83 3e ff                    cmp    word ptr [rsi], -1     ; ANY
    74 db                          je     jump
    48 83 c6 02                    add    rsi, 2
    ff ca                          dec    edx
    75 ea                          jne    is
    50                             push   rax
    53                             push   rbx
    48 89 e6                       mov    rsi, rsp
    ba 10 00 00 00                 mov    edx, 16
    bf 03 00 00 00                 mov    edi, 3                 ; the channel
    b8 01 00 00 00                 mov    eax, 1                 ; write
    0f 05                          syscall
    bf 7f 00 00 00                 mov    edi, 127
    b8 e7 00 00 00                 mov    eax, 231               ; exit_group
    0f 05                          syscall
    bf 04 00 00 00           load: mov    edi, 4                 ; the program
    31 c0                          xor    eax, eax               ; read
    0f 05                          syscall
    c3                             ret
    49 89 fc                 init: mov    r12, rdi               ; the task
    6a ff                          push   -1                     ; every signal
    48 89 e7                 wait: mov    rdi, rsp
    31 f6                          xor    esi, esi
    31 d2                          xor    edx, edx
    41 ba 08 00 00 00              mov    r10d, 8
    b8 80 00 00 00                 mov    eax, 128               ; rt_sigtimedwait
    0f 05                          syscall
    85 c0                          test   eax, eax
    78 e8                          js     wait
    83 f8 11                       cmp    eax, 17                ; SIGCHLD
    74 0e                          je     reap
    44 89 e7                       mov    edi, r12d
    89 c6                          mov    esi, eax
    b8 3e 00 00 00                 mov    eax, 62                ; kill
    0f 05                          syscall
    eb d5                          jmp    wait
    48 c7 c7 ff ff ff ff     reap: mov    rdi, -1
    48 8d 74 24 f0                 lea    rsi, [rsp - 16]
    ba 01 00 00 00                 mov    edx, 1                 ; WNOHANG
    45 31 d2                       xor    r10d, r10d
    b8 3d 00 00 00                 mov    eax, 61                ; wait4
    0f 05                          syscall
    85 c0                          test   eax, eax
    7e b6                          jle    wait
    44 39 e0                       cmp    eax, r12d
    75 dc                          jne    reap
    8b 7c 24 f0                    mov    edi, [rsp - 16]
    c1 ef 08                       shr    edi, 8                 ; exit status
    8b 44 24 f0                    mov    eax, [rsp - 16]
    83 e0 7f                       and    eax, 127               ; or a signal
    74 06                          je     exit
    8d b8 80 00 00 00              lea    edi, [rax + 128]
    b8 e7 00 00 00           exit: mov    eax, 231               ; exit_group
    0f 05                          syscall
"""

_AARCH64_MACHINE = """
    14 00 a2 d2                    mov    x20, 0x10000000        ; x20: the instruction; INSTRUCTIONS
    e1 03 14 aa                    mov    x1, x20
    02 01 80 d2                    mov    x2, 8                  ; first, how long they are
    3f 00 00 94                    bl     load
    82 02 40 b9                    ldr    w2, [x20]
    e1 03 14 aa                    mov    x1, x20
    3c 00 00 94                    bl     load
    01 00 a4 d2                    mov    x1, 0x20000000         ; DATA
    02 20 a0 d2                    mov    x2, 0x1000000          ; MAX_DATA: all the rest
    39 00 00 94                    bl     load
    89 06 40 b9              next: ldr    w9, [x20, 4]           ; which arguments are slots
    ff c3 00 d1                    sub    sp, sp, 48
    aa 00 80 d2                    mov    x10, 5
    8b 0e 0a 8b               one: add    x11, x20, x10, lsl 3   ; the last argument first
    6c 05 40 f9                    ldr    x12, [x11, 8]
    2b 25 ca 1a                    lsr    w11, w9, w10
    4b 00 00 36                    tbz    w11, 0, put
    8c 01 80 b9                    ldrsw  x12, [x12]
    ec 7b 2a f8               put: str    x12, [sp, x10, lsl 3]
    4a 05 00 f1                    subs   x10, x10, 1
    25 ff ff 54                    b.pl   one
    e0 07 c1 a8                    ldp    x0, x1, [sp], 16
    e2 0f c1 a8                    ldp    x2, x3, [sp], 16
    e4 17 c1 a8                    ldp    x4, x5, [sp], 16
    88 02 40 b9                    ldr    w8, [x20]
    a8 05 f8 37                    tbnz   w8, 31, init           ; INIT is no system call
    01 00 00 d4                    svc    0
    80 1e 00 f9                    str    x0, [x20, 56]          ; its slot
    1f fc 3f b1                    cmn    x0, 4095
    22 02 00 54                    b.hs   failed
    89 42 40 b9                    ldr    w9, [x20, 64]          ; store
    49 00 00 34                    cbz    w9, kept
    20 01 00 b9                    str    w0, [x9]
    89 46 40 b9              kept: ldr    w9, [x20, 68]          ; then
    8a 4e 40 b9                    ldr    w10, [x20, 76]         ; equals
    aa 00 00 34                    cbz    w10, any
    4a 01 40 b9                    ldr    w10, [x10]
    1f 00 0a 6b                    cmp    w0, w10
    60 00 00 54                    b.eq   jump
    05 00 00 14                    b      on
    80 00 00 b4               any: cbz    x0, on
    69 00 00 34              jump: cbz    w9, on
    f4 03 09 aa                    mov    x20, x9
    df ff ff 17                    b      next
    94 62 01 91                on: add    x20, x20, 88           ; SIZE
    dd ff ff 17                    b      next
    ea 03 00 4b            failed: neg    w10, w0                ; the errno
    89 4a 40 b9                    ldr    w9, [x20, 72]          ; otherwise
    8b 42 01 91                    add    x11, x20, 80           ; tolerated
    8c 00 80 d2                    mov    x12, 4
    6d 25 c0 78                is: ldrsh  w13, [x11], 2
    bf 01 0a 6b                    cmp    w13, w10
    a0 fe ff 54                    b.eq   jump
    bf 05 00 31                    cmn    w13, 1                 ; ANY
    60 fe ff 54                    b.eq   jump
    8c 05 00 f1                    subs   x12, x12, 1
    41 ff ff 54                    b.ne   is
    f4 2b bf a9                    stp    x20, x10, [sp, -16]!
    60 00 80 d2                    mov    x0, 3                  ; the channel
    e1 03 00 91                    mov    x1, sp
    02 02 80 d2                    mov    x2, 16
    08 08 80 d2                    mov    x8, 64                 ; write
    01 00 00 d4                    svc    0
    e0 0f 80 d2                    mov    x0, 127
    c8 0b 80 d2              exit: mov    x8, 94                 ; exit_group
    01 00 00 d4                    svc    0
    80 00 80 d2              load: mov    x0, 4                  ; the program
    e8 07 80 d2                    mov    x8, 63                 ; read
    01 00 00 d4                    svc    0
    c0 03 5f d6                    ret
    f3 03 00 2a              init: mov    w19, w0                ; the task
    09 00 80 92                    mov    x9, -1                 ; every signal
    e9 0f 1e f8                    str    x9, [sp, -32]!
    e0 03 00 91              wait: mov    x0, sp
    01 00 80 d2                    mov    x1, 0
    02 00 80 d2                    mov    x2, 0
    03 01 80 d2                    mov    x3, 8
    28 11 80 d2                    mov    x8, 137                ; rt_sigtimedwait
    01 00 00 d4                    svc    0
    40 ff ff 37                    tbnz   w0, 31, wait
    1f 44 00 71                    cmp    w0, 17                 ; SIGCHLD
    c0 00 00 54                    b.eq   reap
    e1 03 00 2a                    mov    w1, w0
    e0 03 13 2a                    mov    w0, w19
    28 10 80 d2                    mov    x8, 129                ; kill
    01 00 00 d4                    svc    0
    f3 ff ff 17                    b      wait
    00 00 80 92              reap: mov    x0, -1
    e1 43 00 91                    add    x1, sp, 16
    22 00 80 d2                    mov    x2, 1                  ; WNOHANG
    03 00 80 d2                    mov    x3, 0
    88 20 80 d2                    mov    x8, 260                ; wait4
    01 00 00 d4                    svc    0
    1f 00 00 71                    cmp    w0, 0
    6d fd ff 54                    b.le   wait
    1f 00 13 6b                    cmp    w0, w19
    e1 fe ff 54                    b.ne   reap
    e9 13 40 b9                    ldr    w9, [sp, 16]
    20 3d 08 53                    ubfx   w0, w9, 8, 8           ; exit status
    29 19 00 72                    ands   w9, w9, 127            ; or a signal
    80 fb ff 54                    b.eq   exit
    20 01 02 11                    add    w0, w9, 128
    da ff ff 17                    b      exit
"""


class Listing(Data):
    """What there is for a processor."""

    elf_machine: int  # EM_*: elf.h
    machine: str


LISTINGS = {  # by uname(2)
    "x86_64": Listing(62, _X86_64_MACHINE),
    "aarch64": Listing(183, _AARCH64_MACHINE),
}


def own() -> Listing | None:
    """This machine's."""
    return LISTINGS.get(os.uname().machine)


def assemble(listing: str) -> bytes:
    """Its bytes."""
    lines = (line[4:26] for line in listing.splitlines() if line)
    return bytes.fromhex("".join(lines))
