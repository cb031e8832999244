"""A launch program: system calls with their arguments, laid out in memory for `launcher.program.machine`.

The launcher writes the program, with all its paths, structures and decisions, in a process that is
warm and has time. The child only makes the calls: it allocates nothing, decides nothing that is not
written here, and shares no memory with anybody.

What an instruction can do beyond its call:

- an argument may be a `Slot`: the 32-bit number that lies there by then, such as a descriptor that an
  earlier call returned;
- `store`: a further place for its result;
- `then`: where to go on after a result that is not zero, or with `equals` after one that is the number
  which lies there by then;
- `tolerate`: errors that are no failure, and `otherwise`: where to go on after one of them.

Any other error ends the program; the address of its instruction tells what failed.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable, Sequence

from launcher.program.numbers import NUMBERS

CHANNEL = 3  # the child's descriptor of its channel to the launcher; of the supervisor, of its own
PROGRAM = 4  # of the program, which is read before all else
ALIVE = 4  # and then, of a channel between supervisor and child whose end tells of the other's
KEPT = 7  # and up, of the supervisor: what the relay reads, for the next relay
SECRETS = 9  # of the supervisor: variables for later commands, launcher/secret_file.py
FIRST_STDIO = 5  # what is to be the task's stdin, stdout and stderr, unless it gets a terminal
FIRST_PASSED = 8  # descriptors that the launcher passes along begin here

INSTRUCTIONS = 0x10000000  # where the machine puts them
DATA = 0x20000000
ROOM = 1 << 20  # bytes for them
MAX_DATA = 1 << 24

ANY = -1  # tolerate every error
INIT = "init"  # no system call: stay as the container's PID 1, for the task of this pid
INIT_NUMBER = 0xFFFFFFFF

# number, indirect arguments, 6 arguments, result, store, then, otherwise, equals, 4 tolerated errors
INSTRUCTION = struct.Struct("=II6QqIIIIhhhh")
SIZE = INSTRUCTION.size
LOADER_SIZE = 3 * SIZE
LOADER = INSTRUCTIONS + ROOM - LOADER_SIZE  # of a fork server: launcher/machine_server.py
MAX_INSTRUCTIONS = ROOM - LOADER_SIZE  # bytes
# By the number of arguments: to name those that are not there costs more than all else.
_PACK = [struct.Struct(f"=II{count}q{8 * (6 - count)}xqIIIIhhhh").pack for count in range(7)]
_NONE = (0, 0, 0, 0)
RESULT = 56
_THEN = 68
_OTHERWISE = 72


class Slot(int):
    """The address of a 32-bit number that is known when the program runs."""


ROOT = Slot(DATA + 8)  # descriptor of the root filesystem, for the routine,
EMPTY = Slot(DATA + 12)  # and of a mount that shows an empty directory
DATA_BEGINS = 16  # what is before has its place in every program; at 0 nothing is


class Label:
    """A place in the program that is jumped to before it is known where it is."""

    __slots__ = ("address", "pending")

    def __init__(self) -> None:
        self.address = 0
        self.pending: list[int] = []


class TooLarge(Exception):
    """The program does not fit."""


Argument = int | bytes


class Program:
    """A program being written. `stage` names, in the errors, the calls that follow."""

    def __init__(self) -> None:
        self.stage = ""
        self.passed: list[int] = []  # descriptors that go to the child, numbered from FIRST_PASSED
        self._instructions = bytearray()
        self._data = bytearray(DATA_BEGINS)
        self._placed: dict[bytes, int] = {}
        self._strings: dict[bytes, int] = {}
        self._aside: list[tuple[Label, str, Callable[[], None]]] = []
        self._origins: list[tuple[str, str, object]] = []  # stage, system call, object; one an instruction
        self._routine_ends = 0  # the offset of its last instruction

    def call(
        self,
        name: str,
        *arguments: Argument,
        on: object = "",
        store: int = 0,
        then: Label | None = None,
        equals: int = 0,
        tolerate: Sequence[int] = (),
        otherwise: Label | None = None,
    ) -> Slot:
        """Add a system call on the object `on`. Returns the slot of its result."""
        offset = len(self._instructions)
        values = list(arguments)
        indirect = 0
        for index, argument in enumerate(arguments):
            kind = type(argument)
            if kind is bytes:
                values[index] = self._strings.get(argument) or self.string(argument)  # type: ignore[arg-type]
            elif kind is Slot:
                indirect |= 1 << index
        errors = (*tolerate, 0, 0, 0)[:4] if tolerate else _NONE
        number = INIT_NUMBER if name == INIT else NUMBERS[name]
        pack = _PACK[len(values)]
        self._instructions += pack(number, indirect, *values, 0, store, 0, 0, equals, *errors)
        self._origins.append((self.stage, name, on))
        if then is not None:
            self._refer(then, offset + _THEN)
        if otherwise is not None:
            self._refer(otherwise, offset + _OTHERWISE)
        return Slot(INSTRUCTIONS + offset + RESULT)

    @classmethod
    def beginning_with(cls, stage: str, write: Callable[[Program], None]) -> Program:
        """A program with one routine, which `write` writes; it is run where `run_routine` stands.

        `copy` of it begins further programs: then the routine is written once for all of them.
        """
        program, rest = cls(), Label()
        program.jump(rest)
        program.stage = stage
        write(program)
        program._routine_ends = len(program._instructions)
        program.jump(Label())
        program.place(rest)
        return program

    def copy(self) -> Program:
        """Another program that begins with the same; for one without open labels. It passes no descriptor."""
        other = Program()
        other._instructions += self._instructions
        other._origins += self._origins
        other._data[:] = self._data
        other._placed |= self._placed
        other._strings |= self._strings
        other._routine_ends = self._routine_ends
        return other

    def run_routine(self) -> None:
        """Once."""
        back, routine = Label(), Label()
        routine.address = INSTRUCTIONS + SIZE  # after the jump past it
        self.jump(routine)
        self._refer(back, self._routine_ends + _THEN)
        self.place(back)

    def place(self, label: Label) -> None:
        """Jumps to `label` go to the instruction that comes next."""
        label.address = INSTRUCTIONS + len(self._instructions)
        for offset in label.pending:
            struct.pack_into("=I", self._instructions, offset, label.address)
        label.pending.clear()

    def aside(self, label: Label, write: Callable[[], None]) -> None:
        """Have `write` write what comes at `label` after everything else: rarely does a program go there."""
        self._aside.append((label, self.stage, write))

    def jump(self, label: Label) -> None:
        """Go on there, always."""
        self.call("getpid", then=label)

    def string(self, text: bytes) -> int:
        """The address of `text`, ended by a null byte. Raises OSError for one that has such a byte."""
        address = self._strings.get(text)
        if address is None:
            if b"\0" in text:
                raise OSError(errno.EINVAL, "embedded null byte", os.fsdecode(text))
            address = self._strings[text] = self.buffer(text + b"\0", 1)
        return address

    def constant(self, data: bytes, align: int = 8) -> int:
        """The address of `data`, which the program does not change; equal ones are kept once."""
        address = self._placed.get(data)
        if address is None or address % align:
            address = self._placed[data] = self.buffer(data, align)
        return address

    def buffer(self, data: bytes, align: int = 8) -> int:
        """The address of memory of its own, with `data` in it."""
        self._data += bytes(-len(self._data) % align)
        address = DATA + len(self._data)
        self._data += data
        return address

    def slot(self) -> Slot:
        """A new slot, for `store`."""
        return Slot(self.buffer(bytes(4), 4))

    def pointers(self, strings: Iterable[bytes]) -> int:
        """The address of an array as execve(2) takes it."""
        addresses = [self.string(text) for text in strings]
        return self.buffer(struct.pack(f"={len(addresses) + 1}Q", *addresses, 0))

    def pass_descriptor(self, descriptor: int) -> int:
        """The number under which the child will have this descriptor of ours, inheritable."""
        self.passed.append(descriptor)
        return FIRST_PASSED + len(self.passed) - 1

    def _write_asides(self) -> None:
        while self._aside:
            label, self.stage, write = self._aside.pop(0)
            self.place(label)
            write()

    def assemble(self, renamed: tuple[bytes, bytes] | None = None) -> bytes:
        """The program as the machine reads it; nothing is added after that. Raises TooLarge.

        `renamed`: a text, and one of its length that is to be in its place.
        """
        self._write_asides()
        if len(self._instructions) > MAX_INSTRUCTIONS or len(self._data) > MAX_DATA:
            raise TooLarge(f"{len(self._origins)} system calls and {len(self._data)} bytes of data")
        data = self._data.replace(*renamed) if renamed else self._data
        return struct.pack("=Q", len(self._instructions)) + self._instructions + data

    def origin(self, address: int) -> tuple[str, str, object]:
        """(stage, system call, object) of the instruction there, for the error."""
        return self._origins[(address - INSTRUCTIONS) // SIZE]

    def _refer(self, label: Label, offset: int) -> None:
        if label.address:
            struct.pack_into("=I", self._instructions, offset, label.address)
        else:
            label.pending.append(offset)
