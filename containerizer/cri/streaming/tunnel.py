"""SPDY within the messages of a WebSocket, as clients that forward ports speak it since Kubernetes 1.30.

Where a message ends means nothing: https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/
4006-transition-spdy-to-websockets.
"""

from __future__ import annotations

from wsproto.events import BytesMessage

from containerizer.cri.streaming.websockets import Messages

PREFIX = "SPDY/3.1+"  # of the protocol that is spoken within


class Tunnel:
    """Both ends of the connection that SPDY would have had (spdy.Reader, spdy.Writer)."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._incoming = messages.whole()
        self._unsent = b""

    async def read(self, _: int) -> bytes:
        """The next message; b"" at the end. Raises ConnectionError."""
        async for message in self._incoming:
            if message:
                return message
        return b""

    def write(self, data: bytes) -> None:
        self._unsent += data

    async def drain(self) -> None:
        """Raises ConnectionError, TimeoutError for a client that does not read."""
        data, self._unsent = self._unsent, b""
        if data:
            await self._messages.send(BytesMessage(data=data))
