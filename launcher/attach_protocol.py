"""The frames between a relay and whoever attaches to one of its tasks.

A Unix socket of type SOCK_SEQPACKET in the container's state directory; a frame is a packet: one
byte for its kind, then its body. Numbers are in network byte order.

    client                                            relay
      |-- connect(2) --------------------------------->|
      |<-- HELLO: what the task has --------------------|
      |                                                 |
      |-- ATTACH: how ---------------------------------->|   only whoever wants output
      |<-- STDOUT, STDERR: bytes, first the last 64 KiB -|
      |<-- SKIPPED: as many bytes came too fast ---------|   a reader that is too slow loses some
      |                                                 |
      |-- STDIN: bytes; STDIN_END ---------------------->|   at any time, from any number of clients
      |-- RESIZE: rows, columns ------------------------>|
      |-- SIGNAL: number ------------------------------->|
      |-- REOPEN_LOG ----------------------------------->|   somebody has renamed it
      |<-- LOG_REOPENED: why not, if it failed -----------|
      |                                                 |
      |<-- EXITED: code, signal -------------------------|   to everyone who is connected
      |<-- end ------------------------------------------|

To detach is to disconnect. STDIN_END closes the pipe of a task's stdin; in a terminal it types the
character for the end of the file. A relay that reads no more STDIN for now, because the task
does not read it, reads nothing else of that task's clients either.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

# Kinds of frames. STDOUT and STDERR are the numbers of the streams as well.
STDIN, STDOUT, STDERR = 0, 1, 2
HELLO, ATTACH, SKIPPED, STDIN_END, RESIZE, SIGNAL, EXITED, REOPEN_LOG, LOG_REOPENED = range(3, 12)

# Flags of HELLO.
HAS_TERMINAL = 1
HAS_STDIN = 2

# Flags of ATTACH.
REPLAY = 1  # begin with the last 64 KiB; otherwise with what comes from now on
PACED = 2  # hold the task back for a moment rather than skip output

CHUNK = 16 * 1024  # bytes of STDIN, STDOUT or STDERR in a frame, at most

FLAGS = struct.Struct("!B")
COUNT = struct.Struct("!Q")
SIZE = struct.Struct("!HH")
NUMBER = struct.Struct("!B")  # of a signal
STATUS = struct.Struct("!ii")  # -1 for the one that does not apply

_LONGEST_PATH = 107  # bytes in sockaddr_un, unix(7)


def at_path(path: str, operation: Callable[[str], None]) -> None:
    """Call bind or connect of a socket with a path that may be longer than an address has room for."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        operation(path)
        return
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        operation(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)


def new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(peer: socket.socket, kind: int, body: bytes = b"") -> None:
    """Send one frame. Raises BlockingIOError where there is no room now, ConnectionError at the end."""
    peer.sendmsg([bytes((kind,)), body], (), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
