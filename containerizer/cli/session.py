"""A person's session with a task: what is typed goes in, what is written comes out, until the end.

With a terminal on both sides, ours is raw meanwhile: each key goes to the task's, which makes the
signals, and a resize of ours is one of the task's. Ours is restored on every way out.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping

from containerizer.cli.detach_keys import DetachKeys
from launcher import attach_protocol as wire
from launcher.attach import Attachment, Hello, LogReopened, Output, Skipped
from launcher.exit_status import ExitStatus
from launcher.io.loop import OUT, is_ready
from launcher.kernel import terminal

_STDIN = 0
_OUTPUTS = {wire.STDOUT: 1, wire.STDERR: 2}


class Detached(Exception):
    """The detach keys were typed."""

    def tell(self, container: str) -> int:
        """Say how to come back; the exit code."""
        text = f"containerizer: detached; `containerizer attach {container}` leads back"
        print(text, file=sys.stderr)
        return 0


class Session:
    """One attachment and this process' stdin, stdout and stderr."""

    def __init__(
        self,
        attachment: Attachment,
        *,
        stdin: bool,
        has_terminal: bool,
        detach_keys: DetachKeys,
        watches: Mapping[int, Callable[[], object]] | None = None,
    ) -> None:
        """`stdin`: pass ours on. `watches`: what else to call when it polls readable."""
        self._attachment = attachment
        self._reads = stdin
        self._raw = has_terminal and stdin and os.isatty(_STDIN)
        self._resizes = has_terminal and os.isatty(_STDIN)
        self._detach_keys = detach_keys if self._raw else DetachKeys(b"")
        self._watches = watches or {}
        self._unsent = b""
        self._ending = False  # the input has ended, which is still to be sent

    def run(self) -> ExitStatus | None:
        """The exit status; None if the supervisor was killed. Raises Detached."""
        with self._terminal():
            while True:
                event = self._turn()
                if isinstance(event, ExitStatus):
                    return event
                if event is None:
                    return None

    def _turn(self) -> ExitStatus | bool | None:
        """Handle what is ready. True: it goes on."""
        ready = self._wait()
        for descriptor in ready & self._watches.keys():
            self._watches[descriptor]()
        if self._unsent or self._ending:
            self._send()
        elif _STDIN in ready and self._reads:
            self._read()
        return self._receive() if self._attachment.fileno() in ready else True

    def _wait(self) -> set[int]:
        poll = select.poll()
        waits = bool(self._unsent or self._ending)
        poll.register(self._attachment, select.POLLIN | (select.POLLOUT if waits else 0))
        if self._reads and not waits:
            poll.register(_STDIN, select.POLLIN)
        for descriptor in self._watches:
            poll.register(descriptor, select.POLLIN | select.POLLPRI)
        attachment = self._attachment.fileno()
        return {fd for fd, events in poll.poll() if fd != attachment or events != select.POLLOUT}

    def _read(self) -> None:
        try:
            typed = os.read(_STDIN, wire.CHUNK // 2)
        except OSError:  # EIO: our terminal is gone
            typed = b""
        self._unsent, detached = self._detach_keys.feed(typed)
        self._ending = not typed
        self._reads = bool(typed)
        self._send()
        if detached:
            raise Detached

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if self._unsent:
                self._attachment.write(self._unsent)
                self._unsent = b""
            if self._ending:
                self._attachment.end_input()
                self._ending = False

    def _receive(self) -> ExitStatus | bool | None:
        event = self._attachment.receive()
        if isinstance(event, Output):
            write_all(_OUTPUTS[event.stream], event.data)
        elif isinstance(event, Skipped):
            text = f"[containerizer: {event.count} bytes of output came too fast to be shown]"
            print(text, file=sys.stderr, end="\r\n" if self._raw else "\n")
        elif isinstance(event, Hello):
            self.resize()
        elif not isinstance(event, LogReopened):  # nobody here asks for that
            return event
        return True

    def resize(self) -> None:
        """Give the task's terminal the size of ours."""
        if self._resizes:
            with contextlib.suppress(OSError):  # our terminal is gone, or the task reads nothing
                self._attachment.resize(*terminal.size(_STDIN))

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        previous = signal.signal(signal.SIGWINCH, lambda *_: self.resize())
        try:
            with terminal.raw(_STDIN) if self._raw else contextlib.nullcontext():
                yield
        finally:
            signal.signal(signal.SIGWINCH, previous)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, also to what somebody has made non-blocking."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            is_ready(descriptor, OUT, None)


def own_size() -> tuple[int, int]:
    """(rows, columns) of our terminal; zeros where there is none."""
    try:
        return terminal.size(_STDIN)
    except OSError:
        return (0, 0)
