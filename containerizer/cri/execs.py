"""Commands in containers and connections into pods: run here and now, or by the URL that is told."""

from __future__ import annotations

import asyncio

from containerizer.cri import sessions
from containerizer.cri.errors import NotNow, TookTooLong
from containerizer.cri.proto import pods_pb2 as pods
from containerizer.cri.proto import streaming_pb2 as messages
from containerizer.cri.service import Service
from containerizer.cri.streams import AttachStream, ExecStream, PortForwardStream
from launcher.errors import InvalidRequest

_MOST = 16 << 20  # bytes of each stream that are told: CVE-2022-1708
_STREAMS = (1, 2)


class ExecCalls:
    """Those calls."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def exec_sync(self, request: messages.ExecSyncRequest) -> messages.ExecSyncResponse:
        """Raises TookTooLong after `timeout` seconds, if that is not 0: then the command is killed."""
        if not request.cmd:
            raise InvalidRequest("no command is given")
        asked = ExecStream(
            container_id=request.container_id, argv=tuple(request.cmd), stdout=True, stderr=True
        )
        session = await sessions.open_exec(self._service, asked)
        kept = {stream: bytearray() for stream in _STREAMS}
        try:
            async with asyncio.timeout(request.timeout or None):
                async for stream, data in session.output():
                    kept[stream] += data[: _MOST - len(kept[stream])]
        except TimeoutError:
            raise TookTooLong(f"the command has not ended in {request.timeout} s, and was killed") from None
        finally:
            await session.close()
        return messages.ExecSyncResponse(
            stdout=bytes(kept[1]), stderr=bytes(kept[2]), exit_code=session.exit_code or 0
        )

    async def exec(self, request: messages.ExecRequest) -> messages.ExecResponse:
        if not request.cmd:
            raise InvalidRequest("no command is given")
        asked = ExecStream(
            container_id=request.container_id,
            argv=tuple(request.cmd),
            tty=request.tty,
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
        )
        return messages.ExecResponse(url=self._url_of(asked))

    async def attach(self, request: messages.AttachRequest) -> messages.AttachResponse:
        asked = AttachStream(
            container_id=request.container_id,
            tty=request.tty,
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
        )
        return messages.AttachResponse(url=self._url_of(asked))

    async def port_forward(self, request: messages.PortForwardRequest) -> messages.PortForwardResponse:
        pod = self._service.store.pod(request.pod_sandbox_id)
        if pod.state != pods.SANDBOX_READY:
            raise NotNow(f"pod sandbox {pod.id} is not ready")
        asked = PortForwardStream(pod_id=pod.id, ports=tuple(request.port))
        return messages.PortForwardResponse(url=self._service.tokens.url(asked))

    def _url_of(self, asked: ExecStream | AttachStream) -> str:
        sessions.check(asked)
        sessions.running(self._service.store, asked.container_id)
        return self._service.tokens.url(asked)
