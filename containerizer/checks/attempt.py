"""Attempt: one try of a check, which somebody waits for with many others; each has a descriptor to poll."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable

from containerizer.checks.check import Result


class Attempt:
    """Polls readable when it has ended. Close it, whatever its end."""

    def fileno(self) -> int:
        raise NotImplementedError

    def result(self) -> Result:
        """How it ended; for one that polls readable."""
        raise NotImplementedError

    def close(self) -> None:
        """Give it up if it has not ended; returns when nothing of it is left."""
        raise NotImplementedError


class Deadline:
    """The sockets of a try, to be hung up when it takes too long or is given up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._over = False

    def watch(self, connection: socket.socket) -> None:
        """This one is used from now on. Raises TimeoutError if it is too late for any."""
        with self._lock:
            if self._over:
                raise TimeoutError("timed out")
            # A duplicate: TLS takes the socket itself away.
            self._forget()
            self._socket = connection.dup()

    def pass_by(self) -> None:
        """Whoever reads or writes, or connects, fails at once."""
        with self._lock:
            self._over = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # not connected yet, or not any more
                    self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def over(self) -> bool:
        return self._over

    def close(self) -> None:
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class ThreadAttempt(Attempt):
    """A function that blocks, in a thread of its own."""

    def __init__(self, what: Callable[[Deadline], Result]) -> None:
        """`what` raises OSError for what fails, and uses sockets that are watched by its Deadline only."""
        self._what = what
        self._deadline = Deadline()
        self._result: Result | None = None
        self._reader, self._writer = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._reader

    def result(self) -> Result:
        self._thread.join()
        assert self._result is not None
        return self._result

    def close(self) -> None:
        self._deadline.pass_by()
        self._thread.join()
        self._deadline.close()
        os.close(self._reader)

    def _run(self) -> None:
        try:
            self._result = self._what(self._deadline)
        except Exception as error:  # whatever a hostile server has made a library raise
            self._result = Result(success=False, message=_reason(error))
        finally:
            os.close(self._writer)  # which polls as readable at the other end


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text or type(error).__name__).lower()
