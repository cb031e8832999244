"""To come back to a container after its agent has gone: what is replayed then has been seen in part.

A container's stdio outlives the agent (launcher/io/relay.py), and so does the last of its output, which is
replayed to whoever attaches. What of it was seen is known by what it says: the longest end of what we have
seen that the replay begins with.
"""

from __future__ import annotations

import threading
import time

from containerizer.api.proto.process_io_pb2 import ProcessIO
from containerizer.client.client import AgentClient, Stream
from containerizer.client.transport import AgentFailed, AgentUnreachable
from launcher.io.ring import SIZE as REPLAYED

_HEAD = 32  # bytes that are looked for first
_AWAY = 60.0  # seconds that an agent may be away: an upgrade, with a recovery
PAUSE = 0.2  # seconds between two tries
_RECOVERING = 503


def attach_again(client: AgentClient, container: str, leaving: threading.Event) -> Stream[ProcessIO] | None:
    """The container's output, once there is an agent; None if we leave meanwhile.

    Raises AgentUnreachable if it takes too long, and AgentFailed: the container has ended, say.
    """
    until = time.monotonic() + _AWAY
    while not leaving.wait(PAUSE):
        try:
            return client.output(container)
        except AgentUnreachable:
            if time.monotonic() > until:
                raise
        except AgentFailed as error:
            if error.status != _RECOVERING or time.monotonic() > until:
                raise
    return None


class Seen:
    """The last of each stream that somebody has seen."""

    def __init__(self) -> None:
        self._last: dict[int, bytes] = {}
        self._replayed: set[int] = set()  # streams of which nothing has come since we are back
        self._left: dict[int, int] = {}  # bytes of the replay that are still to be passed over

    def come_back(self) -> None:
        """What comes from here on begins with a replay."""
        self._replayed = set(self._last)

    def fresh(self, stream: int, data: bytes) -> bytes:
        """Of what has come, what has not been seen."""
        if stream in self._replayed:
            self._replayed.discard(stream)
            self._left[stream] = overlap(self._last[stream], data)
        known = min(self._left.get(stream, 0), len(data))
        if known:
            self._left[stream] -= known
        data = data[known:]
        self._last[stream] = (self._last.get(stream, b"") + data)[-REPLAYED:]
        return data


def overlap(seen: bytes, replay: bytes) -> int:
    """How many bytes at the end of what was seen the replay, which begins so, repeats; it may go on."""
    head = replay[:_HEAD]
    start = seen.find(head)
    while start >= 0:
        if seen[start : start + len(replay)] == replay[: len(seen) - start]:
            return len(seen) - start
        start = seen.find(head, start + 1)
    shorter = range(min(len(head) - 1, len(seen)), 0, -1)
    return next((length for length in shorter if seen.endswith(head[:length])), 0)
