"""Checks of an agent's containers: HealthCheck and CheckInfo, as LAUNCH_CONTAINER has them, and HEALTHCHECK.

One thread tries them all (containerizer.checks.runner), with a Containerizer of its own; it is there
from the first container on that has checks. What they say is told as an event, "health", whenever it
changes. A container whose HealthCheck fails is stopped; what fails by its image's HEALTHCHECK goes on, as
with Docker. The checks are kept beside its record, so that the next agent goes on with them: from their
delay, as if the task had started then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from containerizer import checkpoint
from containerizer.agent.events import Event
from containerizer.api.errors import BadRequest
from containerizer.api.json_format import to_json
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.checks import docker, mesos
from containerizer.checks.check import Check
from containerizer.checks.runner import Runner
from containerizer.checks.state import LIVENESS, READINESS, REPORT, Verdict
from containerizer.containerizer import Containerizer
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import ContainerizerError

if TYPE_CHECKING:
    from containerizer.agent.engine import Engine
    from containerizer.checks.docker import HealthOptions

_ASKED = {"health_check": (LIVENESS, mesos.health_check), "check": (READINESS, mesos.check_info)}
_OF_IMAGE = "image_config"
_VERDICTS = {Verdict.UNKNOWN: None, Verdict.PASSING: True, Verdict.FAILING: False}

# Of the fields of LaunchOptions, those that are checks, as JSON; and what of an image's configuration is one.
Asked = Mapping[str, Any]


class Said(Data, kw_only=True):
    """What the checks of a container say; None: nothing yet."""

    healthy: bool | None = None
    passing: bool | None = None
    code: int | None = None
    message: str = ""

    @classmethod
    def by(cls, runner: Runner) -> Said:
        tallies = runner.health.tallies
        health, check = tallies.get(LIVENESS) or tallies.get(REPORT), tallies.get(READINESS)
        failed = [
            tally.last.message for tally in (health, check) if tally and tally.last and not tally.last.success
        ]
        last = check.last if check is not None else None
        return cls(
            healthy=None if health is None else _VERDICTS[health.verdict],
            passing=None if last is None else last.success,
            code=None if last is None else last.code,
            message=failed[0] if failed else "",
        )

    def to_message(self) -> extensions.Health:
        values = {"healthy": self.healthy, "passing": self.passing, "code": self.code}
        told = {name: value for name, value in values.items() if value is not None}
        return extensions.Health(**told, message=self.message)  # type: ignore[arg-type]


def asked_of(options: extensions.LaunchOptions) -> Asked:
    """Raises InvalidRequest for checks that make no sense."""
    for command in (options.health_check.command, options.check.command.command):
        _refuse_unused(command)
    if options.health_check.http.statuses:
        raise BadRequest("'health_check.http.statuses' is not supported", hint="200 to 399 are good")
    asked = {name: to_json(getattr(options, name)) for name in _ASKED if options.HasField(name)}
    _checks(asked)
    return asked


def with_image(asked: Asked, options: HealthOptions | None, image_config: Mapping[str, Any]) -> Asked:
    """With HEALTHCHECK of the image, or what the request has in its place. Raises InvalidRequest."""
    if "health_check" in asked or (options is None and not image_config.get("Healthcheck")):
        return asked
    whole = image_config if options is None else options.over(image_config)
    own = {name: whole[name] for name in ("Healthcheck", "Shell") if whole.get(name)}
    return asked if docker.healthcheck(own) is None else {**asked, _OF_IMAGE: own}


def _refuse_unused(command: containers.CommandInfo) -> None:
    """What the command of a check would have to do without. Raises BadRequest."""
    if command.uris:
        raise BadRequest("the command of a check fetches nothing", hint="launch the container with 'uris'")
    for variable in command.environment.variables:
        if variable.type == containers.Environment.Variable.SECRET:
            hint = "give it to the container, whose variables its checks have"
            raise BadRequest(f"the variable {variable.name!r} of a check is a secret", hint=hint)


def _checks(asked: Asked) -> dict[str, Check]:
    checks = {_ASKED[name][0]: _ASKED[name][1](value) for name, value in asked.items() if name in _ASKED}
    of_image = docker.healthcheck(asked.get(_OF_IMAGE, {}))
    return checks if of_image is None else {**checks, REPORT: of_image}


class Checker:
    """Belongs to the engine's event loop, but for what says otherwise."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._said: dict[ContainerId, Said] = {}
        self._fatal: set[ContainerId] = set()  # those that end when they are not healthy
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: set[asyncio.Task[Any]] = set()
        self._orders: deque[tuple[ContainerId, Mapping[str, Check] | None]] = deque()
        self._closed = False
        self._wake = -1
        engine.events.observe(self._hear)

    def keep(self, container_id: ContainerId, asked: Asked) -> None:
        """Before the container runs. From any thread."""
        if asked:
            checkpoint.write(self._engine.paths.checks(container_id), dict(asked))

    def said(self, container_id: ContainerId) -> Said | None:
        """None for a container without checks, or that does not run."""
        return self._said.get(container_id)

    async def close(self) -> None:
        """Give up what is being tried."""
        self._closed = True
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            await asyncio.to_thread(self._thread.join)
            os.close(self._wake)
        await asyncio.gather(*self._stopping, return_exceptions=True)

    def _hear(self, event: Event) -> None:
        if event.kind in ("launched", "recovered"):
            container_id = ContainerId.parse(event.subject)
            asked = checkpoint.read(self._engine.paths.checks(container_id))
            if asked is not None:
                with contextlib.suppress(ContainerizerError):  # of another version
                    self._order(container_id, _checks(asked))
        elif event.kind == "ended" and (container_id := ContainerId.parse(event.subject)) in self._said:
            del self._said[container_id]
            self._fatal.discard(container_id)
            self._order(container_id, None)

    def _order(self, container_id: ContainerId, checks: Mapping[str, Check] | None) -> None:
        if self._closed:
            return
        if checks is not None:
            self._said[container_id] = Said()
            if LIVENESS in checks:
                self._fatal.add(container_id)
        self._orders.append((container_id, checks))
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
            self._thread.start()
        os.eventfd_write(self._wake, 1)

    def _tell(self, container_id: ContainerId, said: Said) -> None:
        if container_id not in self._said:  # it has ended
            return
        self._said[container_id] = said
        told = {name: value for name, value in said.__dict__.items() if value not in (None, "")}
        self._engine.events.tell("health", container_id, **told)
        if said.healthy is False and container_id in self._fatal:
            stopping = asyncio.ensure_future(self._stop(container_id))
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)

    async def _stop(self, container_id: ContainerId) -> None:
        with contextlib.suppress(ContainerizerError):  # it has ended; or the keeper tries again
            await self._engine.stop(container_id)

    # In the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        settings = self._engine.settings
        owner = Containerizer(
            root=settings.root,
            state=settings.state,
            isolation=settings.isolation,
            flags=settings.isolator_flags,
            launcher=settings.launcher,
        )
        runners: dict[ContainerId, Runner] = {}
        with owner:
            while not self._closed:
                self._obey(owner, runners)
                for container_id, runner in runners.items():
                    self._step(container_id, runner)
                self._wait(runners)
            for runner in runners.values():
                runner.close()

    def _obey(self, owner: Containerizer, runners: dict[ContainerId, Runner]) -> None:
        while self._orders:
            container_id, checks = self._orders.popleft()
            if before := runners.pop(container_id, None):
                before.close()
            if checks is not None:
                with contextlib.suppress(ContainerizerError):  # it has been removed
                    runners[container_id] = Runner(owner, container_id, checks)

    def _step(self, container_id: ContainerId, runner: Runner) -> None:
        before = Said.by(runner)
        runner.step()
        said = Said.by(runner)
        if said != before:
            assert self._loop is not None
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell, container_id, said)

    def _wait(self, runners: Mapping[ContainerId, Runner]) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        timeouts = []
        for runner in runners.values():
            for descriptor in runner.descriptors():
                poll.register(descriptor, select.POLLIN)
            timeouts.append(runner.timeout())
        soonest = min((timeout for timeout in timeouts if timeout is not None), default=None)
        if not self._orders and not self._closed:
            poll.poll(None if soonest is None else soonest * 1000 + 1)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
