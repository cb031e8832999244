"""What the machine sends on its channel: packets of two 64-bit numbers, some with a descriptor.

(address of an instruction, errno)   it failed
(REPORT, number)                     something that the launcher has numbered has come to pass
(TERMINAL_OPENED, 0) + master        the child has made its terminal
(CLONED, pid) + pidfd                the child is there; 0 is a pid that who cloned it does not know
(ENDED, 0)                           of the supervisor: the child has ended before it was the task
(HOOKS, number)                      the child waits for a byte: launcher/hooks.py
(NOT_STARTED, -errno)                of the fork server: it could not fork the supervisor
(LISTENER, number)                   the child waits for a byte, while its descriptor of this number is taken
                                     to who answers for its filter: launcher/seccomp_listener.py
(EXECUTING, 0)                       all that is left is execve(2): the end of the channel tells of it

The end of a task is no such packet, but its record: launcher/exit_record.py.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from launcher.data import Data
from launcher.program.assembler import ALIVE, ANY, CHANNEL, INSTRUCTIONS, Argument, Label, Program, Slot

REPORT = 1
TERMINAL_OPENED = 2
CLONED = 3
EXECUTING = 4
OPENED = 5
ENDED = 6
HOOKS = 7
NOT_STARTED = 8
LISTENER = 9

PACKET = struct.Struct("=QQ")

_SOL_SOCKET = 1
_SCM_RIGHTS = 1
_MSG_NOSIGNAL = 0x4000
_CMSG = struct.Struct("=Qii")  # struct cmsghdr, before its data
_MSGHDR = struct.Struct("=QIIQQQQII")  # name, its length, iov, their number, control, its length, flags
_IOVEC = struct.Struct("=QQ")
_NUMBER = 8  # where it lies in PACKET
_CONTROL_SIZE = 40  # where it lies in _MSGHDR


class Message(Data):
    """One for sendmsg(2), and what has to be stored in it before."""

    header: int
    number: Slot
    descriptor: Slot


def tell(program: Program, kind: int, number: int = 0) -> None:
    """Send a packet without a descriptor."""
    program.call("write", CHANNEL, program.constant(PACKET.pack(kind, number)), PACKET.size)


def say_to_supervisor(program: Program) -> None:
    """One byte. Where it is gone this process ends, by itself if the kernel has not killed it yet."""
    said, byte = Label(), program.constant(bytes(1))
    program.call("sendto", ALIVE, byte, 1, _MSG_NOSIGNAL, 0, 0, then=said, tolerate=(ANY,))
    program.call("exit_group", 1)
    program.place(said)


def message_with_descriptor(program: Program, kind: int) -> Message:
    """A packet that brings a descriptor."""
    control = program.buffer(_CMSG.pack(_CMSG.size + 4, _SOL_SOCKET, _SCM_RIGHTS) + bytes(8))
    body = program.buffer(PACKET.pack(kind, 0))
    header = _header(program, body, PACKET.size, control, _CMSG.size + 8)
    return Message(header, Slot(body + _NUMBER), Slot(control + _CMSG.size))


def receive(program: Program, channel: Argument, room: int, then: Label) -> int:
    """Wait for one byte that brings up to `room` bytes of ancillary data. Returns their address.

    After it the program goes on at `then`, after the end of the channel with what comes next.
    """
    room += -room % 8
    control = program.buffer(bytes(_CMSG.size + room))
    header = _header(program, program.buffer(bytes(1)), 1, control, _CMSG.size + room)
    program.call("recvmsg", channel, header, 0, then=then)
    return control + _CMSG.size


class Receiver(Data):
    """For recvmsg(2): a byte with descriptors."""

    header: int
    descriptors: Sequence[Slot]
    told: Slot  # how many bytes of ancillary data came, by then
    size: int  # those of all the descriptors


def receiver(program: Program, descriptors: int) -> Receiver:
    """For so many of them. To be used again it must have received them all."""
    size = _CMSG.size + 4 * descriptors
    size += -size % 8
    control = program.buffer(bytes(size))
    header = _header(program, program.buffer(bytes(1)), 1, control, size)
    places = tuple(Slot(control + _CMSG.size + 4 * place) for place in range(descriptors))
    return Receiver(header, places, Slot(header + _CONTROL_SIZE), size)


def not_started(program: Program, forked: Slot) -> int:
    """The header of a packet NOT_STARTED, with the result of a call that has failed."""
    kind = program.constant(NOT_STARTED.to_bytes(8, "little"))
    parts = program.constant(_IOVEC.pack(kind, 8) + _IOVEC.pack(forked, 8))
    return program.buffer(_MSGHDR.pack(0, 0, 0, parts, 2, 0, 0, 0, 0))


def _header(program: Program, body: int, size: int, control: int, control_size: int) -> int:
    iovec = program.constant(_IOVEC.pack(body, size))
    return program.buffer(_MSGHDR.pack(0, 0, 0, iovec, 1, control, control_size, 0, 0))


def is_failure(kind: int) -> bool:
    """Whether the first number of a packet is the address of an instruction."""
    return kind >= INSTRUCTIONS


def await_release(program: Program) -> None:
    """Wait for a byte of the launcher's; at the end of the channel, end: there is no launcher any more."""
    released = Label()
    byte = program.buffer(bytes(1), 1)
    program.call("read", CHANNEL, byte, 1, then=released)
    program.call("exit_group", 1)
    program.place(released)
