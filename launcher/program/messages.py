"""What the machine sends on its channel: packets of two 64-bit numbers, some with a descriptor.

(address of an instruction, errno)   it failed
(REPORT, number)                     something that the launcher has numbered has come to pass
(TERMINAL_OPENED, 0) + master        the child has made its terminal
(CLONED, 0) + pidfd                  the intermediate has cloned the child
(EXECUTING, 0)                       all that is left is execve(2): the end of the channel tells of it
"""

from __future__ import annotations

import struct

from launcher.program.assembler import CHANNEL, INSTRUCTIONS, Program, Slot

REPORT = 1
TERMINAL_OPENED = 2
CLONED = 3
EXECUTING = 4
OPENED = 5

PACKET = struct.Struct("=QQ")

_SOL_SOCKET = 1
_SCM_RIGHTS = 1
_CMSG = struct.Struct("=QiiiI")  # struct cmsghdr with one descriptor, padded
_MSGHDR = struct.Struct("=QIIQQQQII")  # name, its length, iov, their number, control, its length, flags
_IOVEC = struct.Struct("=QQ")
_DESCRIPTOR = 16  # where it lies in _CMSG


def tell(program: Program, kind: int, number: int = 0) -> None:
    """Send a packet without a descriptor."""
    program.call("write", CHANNEL, program.constant(PACKET.pack(kind, number)), PACKET.size)


def message_with_descriptor(program: Program, kind: int) -> tuple[int, Slot]:
    """A message for sendmsg(2), and the slot where its descriptor has to be stored before."""
    control = program.buffer(_CMSG.pack(_DESCRIPTOR + 4, _SOL_SOCKET, _SCM_RIGHTS, -1, 0))
    body = program.constant(PACKET.pack(kind, 0))
    iovec = program.constant(_IOVEC.pack(body, PACKET.size))
    header = program.buffer(_MSGHDR.pack(0, 0, 0, iovec, 1, control, _CMSG.size, 0, 0))
    return header, Slot(control + _DESCRIPTOR)


def is_failure(kind: int) -> bool:
    """Whether the first number of a packet is the address of an instruction."""
    return kind >= INSTRUCTIONS
