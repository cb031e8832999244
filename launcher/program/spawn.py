"""Start the machine in a new process: clone3(2) as vfork(2) does it, and execveat(2), without a fork.

A fork would copy the page tables of an interpreter that the next instruction throws away. Here the
new process borrows the parent's memory until it has executed the machine, and writes none of it.
"""

from __future__ import annotations

import ctypes
import os
from typing import NoReturn

from launcher.kernel.clone import CLONE_INTO_CGROUP, CLONE_PARENT, CLONE_PIDFD, CloneArgs, clone_sibling
from launcher.kernel.libc import SyscallError
from launcher.program import machine

_CLONE_VM = 0x00000100
_CLONE_VFORK = 0x00004000
_VFORK = _CLONE_VM | _CLONE_VFORK | CLONE_PIDFD | CLONE_PARENT

_ARGV = (b"containerizer", b"init")  # for ps, as long as it is not the task

_X86_64 = bytes.fromhex(
    "4989c9"  # mov  r9, rcx           ; spawn(clone_args, size, executable, argv, envp)
    "b8b3010000"  # mov  eax, 435          ; clone3
    "0f05"  # syscall
    "4885c0"  # test rax, rax
    "7401"  # jz   child
    "c3"  # ret
    "89d7"  # child: mov edi, edx      ; executable
    "488d351f000000"  # lea  rsi, [rip + 31]   ; ""
    "4c89ca"  # mov  rdx, r9           ; argv
    "4d89c2"  # mov  r10, r8           ; envp
    "41b800100000"  # mov  r8d, 0x1000       ; AT_EMPTY_PATH
    "b842010000"  # mov  eax, 322          ; execveat
    "0f05"  # syscall
    "bf7f000000"  # mov  edi, 127
    "b8e7000000"  # mov  eax, 231          ; exit_group
    "0f05"  # syscall
    "00"
)
_CODE = {"x86_64": _X86_64}

_PROT_READ_WRITE = 3
_PROT_READ_EXECUTE = 5
_MAP_PRIVATE_ANONYMOUS = 0x22
_PAGE = 4096


class Spawner:
    """Starts machines. Make it once, before the first fork; it lasts as long as the process."""

    def __init__(self) -> None:
        """Raises OSError."""
        self.executable = machine.make()
        code = _CODE.get(os.uname().machine)
        self._call = _function(code) if code else None
        self._argv = (ctypes.c_char_p * 3)(*_ARGV, None)
        self._environment = (ctypes.c_char_p * 1)(None)

    def spawn(self, executable: int, flags: int, cgroup: int | None = None) -> tuple[int, int]:
        """A machine in the namespaces of `flags`, whose parent is the caller's: (pid, pidfd).

        It runs the program of descriptor 4. `executable`: a descriptor of it, which may be a copy of
        ours. `cgroup`: the descriptor of a v2 cgroup's directory that it begins in. The pidfd is
        close-on-exec. For a single-threaded process. Raises SyscallError.
        """
        if self._call is None:
            pid, pidfd = clone_sibling(flags, cgroup)
            if pid == 0:
                _execute(executable)
            return pid, pidfd
        pidfd_place = ctypes.c_int(-1)
        args = CloneArgs(
            flags=flags | _VFORK | (0 if cgroup is None else CLONE_INTO_CGROUP),
            pidfd=ctypes.addressof(pidfd_place),
            cgroup=cgroup or 0,
        )
        size = ctypes.sizeof(args)
        pid = self._call(ctypes.addressof(args), size, executable, self._argv, self._environment)
        if pid < 0:
            raise SyscallError("clone3", -pid, f"flags {flags:#x}")
        return pid, pidfd_place.value


def _execute(executable: int) -> NoReturn:
    try:
        os.execve(executable, _ARGV, {})  # noqa: S606 - the machine
    finally:
        os._exit(127)


def _function(code: bytes) -> ctypes._FuncPointer:
    """The machine code as a function. It is called with the GIL held, as PyDLL does."""
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    address = libc.mmap(None, _PAGE, _PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS, -1, 0)
    if address == ctypes.c_void_p(-1).value:
        raise SyscallError("mmap", ctypes.get_errno(), "a page for code")
    ctypes.memmove(address, code, len(code))
    if libc.mprotect(address, _PAGE, _PROT_READ_EXECUTE) < 0:
        raise SyscallError("mprotect", ctypes.get_errno(), "a page for code")
    kind = ctypes.PYFUNCTYPE(
        ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
    )
    return kind(address)
