"""The side of a TCP listener that takes connections: as many as there may be, each only for so long.

Whoever can reach the port can connect, and each connection takes a descriptor and, for TLS, memory, before
anybody has said who asks. So those that are too many are closed at once; a Unix socket, which only its owner
can reach, stays open.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl

from aiohttp import web

_PAUSE = 1.0  # seconds, when this process or the host has no descriptor left

_log = logging.getLogger("containerizer.agent")


class TcpSite(web.BaseSite):
    """Serves at a listener of its own. Belongs to one event loop."""

    def __init__(
        self,
        runner: web.AppRunner,
        listener: socket.socket,
        tls: ssl.SSLContext,
        *,
        most: int,
        patience: float,
    ) -> None:
        """`most`: connections that the runner may have. `patience`: seconds for a handshake."""
        super().__init__(runner, ssl_context=tls)
        self._listener = listener
        self._most = most
        self._patience = patience
        self._greeting: set[asyncio.Task[None]] = set()  # handshakes
        self._accepting: asyncio.Task[None] | None = None
        self._full = False

    @property
    def name(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"https://{host}:{port}"

    async def start(self) -> None:
        await super().start()
        self._listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        for task in (self._accepting, *self._greeting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._listener.close()
        await super().stop()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    _log.warning("cannot take a connection: %s", error.strerror)
                    await asyncio.sleep(_PAUSE)
                continue  # ECONNABORTED and the like: it has gone meanwhile
            if self._is_full():
                connection.close()
                continue
            greeting = asyncio.create_task(self._greet(connection))
            self._greeting.add(greeting)
            greeting.add_done_callback(self._greeting.discard)

    def _is_full(self) -> bool:
        """Told once each time that it becomes so."""
        assert self._runner.server is not None
        full = len(self._runner.server.connections) + len(self._greeting) >= self._most
        if full and not self._full:
            _log.warning("%d connections: further ones by TCP are closed", self._most)
        self._full = full
        return full

    async def _greet(self, connection: socket.socket) -> None:
        assert self._runner.server is not None
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):  # the client's own
            await asyncio.get_running_loop().connect_accepted_socket(
                self._runner.server,
                connection,
                ssl=self._ssl_context,
                ssl_handshake_timeout=self._patience,
            )
