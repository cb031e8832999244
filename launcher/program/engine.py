"""The engine: what runs a launch program where the machine (launcher/program/machine.py) cannot.

That is on processors for which there is no machine code, and where the host lets nothing in memory be
executed. It does just what the machine does, call by call, at the price of an interpreter: 20 ms to
start it, and 6 MB, for as long as the container runs if it stays as PID 1. A child that is cloned into
its v2 cgroup has them counted against the container's limit.

It is executed, not forked: a PID namespace gets none of the launcher's memory (CVE-2016-9962). What is
executed is the host's interpreter, through a read-only mount of it alone, which is attached nowhere.
A task that turns /proc/self/exe into its own image, or opens another's, finds a file that can be
neither written nor changed in its mode or owner (CVE-2019-5736). A sealed copy in memory, as runc
makes one, would do as well only where it may be executed, which is not what an engine is for.

All that it needs is imported before the first call, after which there may be no file of the host.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import mmap
import os
import signal
import sys
from typing import NoReturn

from launcher.program import machine
from launcher.program.assembler import (
    ANY,
    CHANNEL,
    DATA,
    INIT_NUMBER,
    INSTRUCTION,
    INSTRUCTIONS,
    MAX_DATA,
    MAX_INSTRUCTIONS,
    PROGRAM,
    RESULT,
    SIZE,
)
from launcher.program.messages import PACKET
from launcher.program.numbers import NUMBERS

# Isolated and without site, as the fork server; -B: what becomes a container writes nothing on the host.
_BOOTSTRAP = "import sys; sys.path.insert(0, sys.argv[1]); from launcher.program import engine; engine.main()"
_IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ARGV = (sys.executable, "-I", "-S", "-B", "-c", _BOOTSTRAP, _IMPORT_ROOT)
# Of an executable without a path the dynamic linker cannot tell that its library lies beside it.
ENVIRONMENT = {"LD_LIBRARY_PATH": f"{sys.base_exec_prefix}/lib"}
EXECUTABLE = "/proc/self/exe"

_MAP_FIXED_NOREPLACE = 0x100000  # asm-generic/mman-common.h
_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0) | _MAP_FIXED_NOREPLACE
_SIGNAL_SET = 8  # bytes
_FAILED = 127
_TITLE = b"\0".join(os.fsencode(word) for word in machine.ARGV)
_ARG_START = 45  # fields after the name in /proc/self/stat: proc(5)

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (ctypes.c_long, *[ctypes.c_ulong] * 6)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)


def main() -> NoReturn:
    """Run the program of descriptor 4; a failure is told on descriptor 3."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()
    _take_title()
    instructions, data = _memory(INSTRUCTIONS, MAX_INSTRUCTIONS), _memory(DATA, MAX_DATA)
    size = bytearray(8)
    os.readv(PROGRAM, [size])
    os.readv(PROGRAM, [instructions[: int.from_bytes(size, sys.byteorder)]])
    os.readv(PROGRAM, [data])
    _run(instructions)


def _take_title() -> None:
    """As PID 1 its arguments can be read by anybody: none of the host's paths among them."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/stat", "rb") as file:
        start, end = map(int, file.read().rpartition(b")")[2].split()[_ARG_START : _ARG_START + 2])
        if end - start > len(_TITLE):  # who emulates Linux may leave it out, or have zeros there
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(start, _TITLE, len(_TITLE))


def _memory(address: int, size: int) -> memoryview:
    """New memory there. Where this process has something by chance, it begins again and lies elsewhere."""
    if _libc.mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, _FLAGS, -1, 0) != address:
        if ctypes.get_errno() != errno.EEXIST:
            _fail(INSTRUCTIONS, ctypes.get_errno())
        os.execv(EXECUTABLE, sys.orig_argv)  # noqa: S606 - this program
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def _run(instructions: memoryview) -> NoReturn:
    address = INSTRUCTIONS
    while True:
        number, indirect, *arguments = INSTRUCTION.unpack_from(instructions, address - INSTRUCTIONS)
        _, store, then, otherwise, equals, *tolerated = arguments[6:]
        values = [
            _word(argument).value if indirect >> index & 1 else argument
            for index, argument in enumerate(arguments[:6])
        ]
        if number == INIT_NUMBER:
            _stay(values[0])
        result = _libc.syscall(number, *values)
        jump = then if (result == _word(equals).value if equals else result) else 0
        if result == -1:
            reason = ctypes.get_errno()
            _word(address + RESULT).value = -reason
            if reason not in tolerated and ANY not in tolerated:
                _fail(address, reason)
            jump = otherwise
        else:
            _word(address + RESULT).value = result
            if store:
                _word(store).value = result
        address = jump or address + SIZE


def _word(address: int) -> ctypes.c_int32:
    return ctypes.c_int32.from_address(address)


def _fail(address: int, reason: int) -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(CHANNEL, PACKET.pack(address, reason))
    os._exit(_FAILED)


def _stay(task: int) -> NoReturn:
    """Be PID 1: launcher/init.py."""
    every = (ctypes.c_ubyte * _SIGNAL_SET)(*[0xFF] * _SIGNAL_SET)
    wait = (NUMBERS["rt_sigtimedwait"], ctypes.addressof(every), 0, 0, _SIGNAL_SET, 0, 0)
    while True:
        number = _libc.syscall(*wait)
        if number == signal.SIGCHLD:
            _collect(task)
        elif number > 0:
            with contextlib.suppress(OSError):
                os.kill(task, number)


def _collect(task: int) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == task:
                number = os.WTERMSIG(status)
                os._exit(128 + number if number else os.WEXITSTATUS(status))
