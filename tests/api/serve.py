"""Serves the API on DIRECTORY/agent.sock until its standard input ends; then removes all containers."""

from __future__ import annotations

import asyncio
import os
import sys

from aiohttp import web

from containerizer.agent.engine import Engine
from containerizer.agent.settings import EngineSettings
from containerizer.api.context import Context
from containerizer.api.files import VirtualFiles
from containerizer.api.handle import Api

HEARTBEAT = 0.05  # seconds


async def main(directory: str) -> None:
    root, state = (os.path.join(directory, name) for name in ("root", "state"))
    engine = Engine(EngineSettings(root=root, state=state))
    await engine.start()
    log = os.path.join(directory, "agent.log")
    context = Context(
        engine,
        flags={"launcher": "linux"},
        metrics=metrics,
        files=VirtualFiles(engine.paths, log=log),
        heartbeat=HEARTBEAT,
    )
    app = web.Application()
    app.router.add_post("/api/v1", Api(context).handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    await web.UnixSite(runner, os.path.join(directory, "agent.sock")).start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for record in await engine.containers():
        if record.id.parent is None:
            await engine.remove(record.id, force=True)
    await runner.cleanup()
    await engine.close()


async def metrics() -> dict[str, float]:
    return {"slave/uptime_secs": 1.5, "slave/cpus_total": 2.0, "no/number": float("nan")}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
