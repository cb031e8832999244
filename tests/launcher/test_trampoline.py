"""The trampoline: the code in its listings, and what it leaves of the host's interpreter to a task."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import trampoline
from tests.launcher.support import Launches


class Channel:
    """The reading end, and a way to run the trampoline with the other end as its descriptor 3."""

    def __init__(self) -> None:
        self.own, self._other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.own.settimeout(10)

    def run(self, *argv: str) -> tuple[bytes, int]:
        """Execute the trampoline with `argv`; what was printed, and the exit code."""
        descriptor = trampoline.make()
        assert descriptor is not None
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(writer, 1)
            os.dup2(self._other.fileno(), 3)
            os.execve(descriptor, argv, {"A": "1"})
        os.close(descriptor)
        os.close(writer)
        with open(reader, "rb") as output:
            printed = output.read()
        return printed, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def close(self) -> None:
        self.own.close()
        self._other.close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    pair = Channel()
    yield pair
    pair.close()


def test_it_executes_with_the_rest_of_its_arguments(channel: Channel) -> None:
    printed, code = channel.run(
        "/bin/sh", "name", "-c", "echo $0 $1 $A; [ -e /proc/self/fd/3 ] || echo closed", "zero", "one"
    )
    assert (printed, code) == (b"zero one 1\nclosed\n", 0)


@pytest.mark.parametrize(
    ("path", "number"),
    [("/nonexistent", errno.ENOENT), ("/etc", errno.EACCES), ("/etc/passwd", errno.EACCES)],
)
def test_it_tells_why_it_could_not(channel: Channel, path: str, number: int) -> None:
    assert channel.run(path, "name") == (b"", 127)
    assert trampoline.failure(channel.own.recv(64)) == number


@pytest.mark.parametrize("packet", [b"", b"{}", b'{"a"', b"\0\0\0\0", b"\1\0\0\0", b"\0\xf0\xff\xff"])
def test_nothing_else_is_taken_for_a_failure(packet: bytes) -> None:
    assert trampoline.failure(packet) is None


def test_its_file_cannot_be_changed() -> None:
    descriptor = trampoline.make()
    assert descriptor is not None
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 1)
    os.close(descriptor)


@pytest.mark.parametrize(("machine", "assembler"), [("x86_64", "as"), ("aarch64", "aarch64-linux-gnu-as")])
def test_the_listing_is_what_an_assembler_makes_of_it(tmp_path: Path, machine: str, assembler: str) -> None:
    if shutil.which(assembler) is None:
        pytest.skip(f"{assembler} is not installed (apt-get install binutils)")
    _, listing = trampoline._LISTINGS[machine]
    source = re.findall(r"^ {4}[0-9a-f ]+?  +([a-z].*?) *(?:;.*)?$", listing, re.MULTILINE)
    syntax = [".intel_syntax noprefix"] if machine == "x86_64" else []
    (tmp_path / "t.s").write_text("\n".join([*syntax, *source, ""]))
    subprocess.run([assembler, "t.s", "-o", "t.o"], cwd=tmp_path, check=True)
    objcopy = assembler.removesuffix("as") + "objcopy"
    subprocess.run([objcopy, "-O", "binary", "-j", ".text", "t.o", "t"], cwd=tmp_path, check=True)
    assert (tmp_path / "t").read_bytes() == trampoline._assemble(listing)


@pytest.mark.requires("root")
@pytest.mark.parametrize("way", ["command", "script"])
def test_a_task_cannot_become_the_hosts_interpreter(launches: Launches, tmp_path: Path, way: str) -> None:
    """/proc/self/exe as the command, or behind `#!`, once led to the host's Python: root in the
    container, the file's owner, could then change its mode and its attributes.
    """
    command = "/proc/self/exe"
    if way == "script":
        (tmp_path / "script").write_text("#!/proc/self/exe -c pass\n")
        (tmp_path / "script").chmod(0o755)
        command = str(tmp_path / "script")
    done = launches.run(command, "-c", "import os; print(os.readlink('/proc/self/exe'))")
    assert os.path.basename(os.path.realpath(sys.executable)) not in done.stdout
    assert done.status.exit_code != 0
