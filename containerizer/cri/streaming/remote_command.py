"""A session and its client: what is typed goes in, what is written comes out, and at the end a status.

Which streams there are and what a status looks like is Kubernetes' remotecommand protocol:

    v1    stdin stdout stderr error; what goes wrong is text on error
    v2    the end of stdin may be sent while the rest goes on
    v3    resize: {"Width": columns, "Height": rows} for each new size
    v4    the status on error is a JSON Status of Kubernetes' API, with the exit code
    v5    over WebSockets: the end of stdin is a message
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from typing import Any, Protocol

from containerizer.cri.sessions import Session
from launcher.errors import ContainerizerError, InvalidRequest


class Ends(Protocol):
    """The client's ends of a session."""

    structured: bool  # the status is JSON

    async def greet(self) -> None:
        """The session is open: nothing that the task writes from now on is missed. Raises ConnectionError."""
        ...

    async def pump(self, session: Session) -> None:
        """Bring what the client sends, until it is gone. Raises SpdyError, ConnectionError."""
        ...

    async def write(self, stream: int, data: bytes) -> None:
        """1: stdout, 2: stderr. Raises ConnectionError, TimeoutError."""
        ...

    async def finish(self, status: bytes) -> None:
        """The last that the client gets."""
        ...


async def carry(ends: Ends, opening: Awaitable[Session], *, tells_exit: bool) -> None:
    """Open the session, and carry it until the task has ended or the client is gone.

    `tells_exit`: the status has the exit code, as that of a command has and that of an attachment has not.
    """
    try:
        session = await opening
    except (ContainerizerError, OSError) as error:
        await ends.finish(_status(ends, error=str(error)))
        return
    try:
        await ends.greet()
        if await _until_the_end(ends, session):
            code = (session.exit_code or 0) if tells_exit else 0
            await ends.finish(_status(ends, code=code))
    finally:
        await session.close()


async def _until_the_end(ends: Ends, session: Session) -> bool:
    """Whether the task ended first."""
    pump = asyncio.ensure_future(ends.pump(session))
    output = asyncio.ensure_future(_output(ends, session))
    try:
        await asyncio.wait((pump, output), return_when=asyncio.FIRST_COMPLETED)
        return output.done() and output.exception() is None
    finally:
        for task in (pump, output):
            task.cancel()
        await asyncio.gather(pump, output, return_exceptions=True)


async def _output(ends: Ends, session: Session) -> None:
    async for stream, data in session.output():
        await ends.write(stream, data)


async def resize(session: Session, text: bytes) -> None:
    """One size, as the client has written it; what is none is left out."""
    value: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(text)
    if isinstance(value, dict) and all(type(value.get(name)) is int for name in ("Width", "Height")):
        with contextlib.suppress(InvalidRequest):
            await session.resize(value["Height"], value["Width"])


def _status(ends: Ends, *, code: int = 0, error: str | None = None) -> bytes:
    """What the error stream says: nothing of what went well, in the older protocols."""
    message = error or (f"command terminated with non-zero exit code: {code}" if code else "")
    if not ends.structured:
        return message.encode()
    value: dict[str, Any] = {"metadata": {}, "status": "Failure" if message else "Success"}
    if message:
        value["message"] = message
    if error is not None:
        value |= {"reason": "InternalError", "details": {"causes": [{"message": error}]}, "code": 500}
    elif code:
        value["reason"] = "NonZeroExitCode"
        value["details"] = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    return json.dumps(value).encode()
