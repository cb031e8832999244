"""A task that a relay tends: its stdio is served, a note is kept for the next relay, and a defect of
ours in that costs no more than what a killed relay does (launcher/io/adoption.py).

After such a defect the task's stdio is taken up again, as if by the next relay; after the third one
what the task writes is read and dropped, so that it does not wait for ever. The log tells of it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from socket import socket

from launcher import attach_protocol
from launcher.io import adoption
from launcher.io.adoption import Note, Notes, StandIn
from launcher.io.guarded import GuardedLoop
from launcher.io.loop import IN, Watching
from launcher.io.served import ServedIO
from launcher.protocol import Serve
from launcher.stdio import Inherit, Pipes, Service, Terminal, from_json

_MOST_DEFECTS = 3
_CHUNK = 64 * 1024  # bytes


class Tended:
    """From the launch, or from its adoption, to its end."""

    def __init__(
        self,
        request: Serve | Note,
        loop: Watching,
        notes: Notes,
        ended: Callable[[Tended], None],
        serving: Callable[[], None] | None = None,
    ) -> None:
        """`serving` is called when there is a note, or there will be none; `ended` in the end."""
        asked = from_json(request.stdio)
        assert not isinstance(asked, Inherit)
        self._asked: Pipes | Terminal = asked
        self._request = request
        self._service = Service(**request.service)
        self._loop = GuardedLoop(loop, self._failed)
        self._notes = notes
        self._note: Note | None = request if isinstance(request, Note) else None
        self._stand_in: StandIn | None = None
        self._io: ServedIO | None = None
        self._defects = 0
        self._tell_end = ended
        self._serving = serving

    def serve(self, link: socket, ends: Sequence[int]) -> None:
        """See launcher.io.served. Raises OSError."""
        self._io = ServedIO(
            self._asked, self._service, self._loop, link, ends, cloned=self._cloned, ended=self._ended
        )

    def adopt(self) -> bool:
        """Take what the supervisor has kept. False, and all is over, if that has ended."""
        assert self._note
        try:
            self._adopt(StandIn(self._note, self._loop))
        except OSError as error:
            if not isinstance(error, ProcessLookupError):
                print(f"cannot adopt {self._service.socket}: {error}", file=sys.stderr, flush=True)
            self._release()
            _remove_socket(self._service.socket)
            return False
        return True

    def _adopt(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._service.socket)
        ends = stand_in.take_pipes() if isinstance(self._asked, Pipes) else ()
        self.serve(stand_in.link, ends)
        stand_in.tell(terminal=isinstance(self._asked, Terminal))

    def _cloned(self, pidfd: int) -> None:
        if self._note is None:
            request = self._request
            self._note = adoption.note_of(request.stdio, request.service, request.exit_status_path, pidfd)
            if self._note:
                self._notes.write(self._note)
            self._tell_serving()

    def _tell_serving(self) -> None:
        serving, self._serving = self._serving, None
        if serving:
            serving()

    def _ended(self) -> None:
        self._tell_serving()
        self._release()
        self._tell_end(self)

    def _release(self) -> None:
        if self._stand_in:
            self._stand_in.close()
        if self._note:
            self._notes.remove(self._note)

    # Defects ------------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        self._tell_serving()
        sys.__excepthook__(type(error), error, error.__traceback__)
        self._defects += 1
        self._loop.let_go()
        if self._io:
            self._io.abandon(f"the relay has failed: {error!r}")
        if self._stand_in:
            self._stand_in.close()
        if self._note is None:
            self._tell_end(self)
        elif self._defects < _MOST_DEFECTS:
            if not self.adopt():
                self._tell_end(self)
        else:
            self._drop_output(self._note)

    def _drop_output(self, note: Note) -> None:
        try:
            stand_in = StandIn(note, self._loop)
            ends = stand_in.take_pipes() if isinstance(self._asked, Pipes) else (stand_in.take_terminal(),)
            stand_in.close()
        except OSError:
            self._ended()
            return
        left = set(ends)
        for end in ends:
            self._loop.watch(end, IN, lambda end=end: self._drop(end, left))  # type: ignore[misc]

    def _drop(self, end: int, left: set[int]) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                ended = not os.read(end, _CHUNK)
            except OSError as error:
                if isinstance(error, BlockingIOError):
                    raise
                ended = True
            if ended:
                self._loop.forget(end)
                os.close(end)
                left.discard(end)
                if not left:
                    self._ended()


def _remove_socket(path: str) -> None:
    """Unless somebody listens there: another container may have the name by now."""
    with attach_protocol.new_socket() as client:
        try:
            attach_protocol.at_path(path, client.connect)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return
