"""Start the machine in a new process: clone3(2) as vfork(2) does it, and execveat(2), without a fork.

A fork would copy the page tables of an interpreter that the next instruction throws away. Here the
new process borrows the parent's memory until it has executed the machine, and writes none of it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import NoReturn

from launcher.kernel.clone import CLONE_INTO_CGROUP, CLONE_PARENT, CLONE_PIDFD, CloneArgs, clone_sibling
from launcher.kernel.libc import SyscallError
from launcher.program import listings, machine

_CLONE_VM = 0x00000100
_CLONE_VFORK = 0x00004000
_VFORK = _CLONE_VM | _CLONE_VFORK | CLONE_PIDFD | CLONE_PARENT

_PROT_READ_WRITE = 3
_PROT_READ_EXECUTE = 5
_MAP_PRIVATE_ANONYMOUS = 0x22
_PAGE = 4096


class Spawner:
    """Starts machines. Make it once, before the first fork; it lasts as long as the process."""

    def __init__(self, *, force_engine: bool = False) -> None:
        """With `force_engine`, or where there can be no machine, it starts engines. Raises OSError."""
        self.executable, self._argv, self._environment = _engine() if force_engine else _machine_or_engine()
        self._call = _function()

    def spawn(self, executable: int, flags: int, cgroup: int | None = None) -> tuple[int, int]:
        """A machine in the namespaces of `flags`, whose parent is the caller's: (pid, pidfd).

        It runs the program of descriptor 4. `executable`: a descriptor of it, which may be a copy of
        ours. `cgroup`: the descriptor of a v2 cgroup's directory that it begins in. The pidfd is
        close-on-exec. For a single-threaded process. Raises SyscallError.
        """
        if self._call is None:
            pid, pidfd = clone_sibling(flags, cgroup)
            if pid == 0:
                self._execute(executable)
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

    def _execute(self, executable: int) -> NoReturn:
        libc = ctypes.PyDLL(None)
        try:
            libc.fexecve(executable, self._argv, self._environment)
        finally:
            os._exit(127)


_Strings = ctypes.Array[ctypes.c_char_p]


def _machine_or_engine() -> tuple[int, _Strings, _Strings]:
    try:
        return machine.make(), _strings(machine.ARGV), _strings(())
    except OSError:
        return _engine()


def _engine() -> tuple[int, _Strings, _Strings]:
    """Descriptor, arguments and environment. In a mount of its own: launcher/program/engine.py says why."""
    from launcher.kernel import mounts  # both are rarely needed
    from launcher.program import engine

    executable = mounts.clone_tree(engine.EXECUTABLE, ("ro", "nosuid", "nodev"))
    variables = (f"{name}={value}" for name, value in engine.ENVIRONMENT.items())
    return executable, _strings(engine.ARGV), _strings(variables)


def _strings(strings: Iterable[str]) -> _Strings:
    encoded = [os.fsencode(text) for text in strings]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _function() -> ctypes._FuncPointer | None:
    """The machine code as a function, called with the GIL held as PyDLL does; None if there can be none."""
    own = listings.own()
    if own is None:
        return None
    code = listings.assemble(own.spawn)
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    address = libc.mmap(None, _PAGE, _PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS, -1, 0)
    if address == ctypes.c_void_p(-1).value:
        raise SyscallError("mmap", ctypes.get_errno(), "a page for code")
    ctypes.memmove(address, code, len(code))
    # Never executed before, so that the kernel makes the instruction cache see it.
    if libc.mprotect(address, _PAGE, _PROT_READ_EXECUTE) < 0:
        return None  # a security module forbids it
    kind = ctypes.PYFUNCTYPE(
        ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
    )
    return kind(address)
