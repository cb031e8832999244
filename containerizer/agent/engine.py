"""The engine: the containerizer for programs with an event loop.

Containers are launched, ended and removed in processes (containerizer.agent.lanes); what else takes a while
is done in threads (containerizer.agent.workers); what only waits (for output, for what was found at the
start) takes a descriptor in the loop. State is on disk, as without an agent: an engine, or a lane, may be
killed at any moment, and the next one on the same directories takes everything back (`start`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from containerizer import inspection, stages, updating
from containerizer import record as records
from containerizer.agent.admission import Admission, stored
from containerizer.agent.collector import Collector
from containerizer.agent.events import Events
from containerizer.agent.images import Images
from containerizer.agent.keeper import Keeper
from containerizer.agent.lanes import process as lane
from containerizer.agent.lanes.messages import Create, Execute
from containerizer.agent.lanes.pool import Held, Lanes
from containerizer.agent.pods import Pods
from containerizer.agent.relays import RelayWatch
from containerizer.agent.settings import EngineSettings
from containerizer.agent.streams import Stream
from containerizer.agent.workers import Workers
from containerizer.containerizer import Containerizer
from containerizer.nested import ExecRequest
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.remote import STOP_TIMEOUT, RemoteContainer
from containerizer.request import HOST, ContainerRequest
from containerizer.termination import Termination
from isolators.resources import Resources, Usage
from launcher.container_id import ContainerId
from launcher.data import Data, replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.io.relays import Relays
from launcher.process_attributes import Clamped
from launcher.stdio import Pipes, Stdio, Terminal, to_json

if TYPE_CHECKING:
    from containerizer.volumes.manager import Volumes
    from launcher.attach import Event
    from provisioner.image import Image
    from provisioner.registry.options import Credentials

T = TypeVar("T")

First = Callable[[Containerizer], object]

_log = logging.getLogger("containerizer.agent")

_FRESH = 1.0  # seconds for which what containers consume is not asked for again


class Launch(Data, kw_only=True):
    """A container that runs."""

    record: ContainerRecord
    clamped: tuple[Clamped, ...] = ()  # what the host granted less of than was asked


class Engine:
    """Launches containers, waits for them, and ends them. Belongs to one event loop.

    Every method raises ContainerizerError; NoSuchContainer where the container is not known.
    """

    def __init__(self, settings: EngineSettings) -> None:
        """Raises UnknownIsolator, IsolatorUnavailable."""
        self.settings = settings
        self.events = Events()

        def make() -> Containerizer:
            return lane.containerizer(settings)

        self.paths = make().paths  # and tells now if something is missing
        told = (self._lane_gone, self.events.tell_reached)
        self._lanes = Lanes(settings, settings.launching_lanes, *told)
        self._fetching = Lanes(settings, settings.launching_lanes, *told)  # what may take minutes
        self._control = Workers("control", settings.control_threads, make)
        self.images = Images(settings, self.paths.root, self.events)
        self.pods = Pods(settings, self.paths)
        self.relays = RelayWatch(self.paths.relays, self.events, self.call)
        self._launching: dict[ContainerId, Admission] = {}
        self._keeper: Keeper | None = None
        self._collecting: list[asyncio.Task[None]] = []
        self._measuring = asyncio.Lock()
        self._measured: dict[str, Usage] = {}
        self._measured_at = -math.inf
        self.recovery_seconds = 0.0

    async def start(self) -> None:
        """Take back every container on the state directory, and destroy what has lost its supervisor."""
        started = time.monotonic()
        self._lanes.warm()
        self._keeper = Keeper(self.settings, self.paths, self._control, self._lanes, self.events)
        await self._keeper.recover()
        await self._control.run(lambda owner: Relays(owner.paths.relays).revive())
        self.relays.look()
        self.recovery_seconds = time.monotonic() - started
        self._collecting.append(asyncio.create_task(self._collect()))
        if self.settings.image_gc is not None:
            self._collecting.append(asyncio.create_task(self.images.collect(self.settings.image_gc)))

    async def close(self) -> None:
        """Leave the containers to their supervisors; ended containers stay as they are."""
        for collecting in self._collecting:
            collecting.cancel()
        await asyncio.gather(*self._collecting, return_exceptions=True)
        if self._keeper is not None:
            await self._keeper.close()
        await self._lanes.close()
        await self._fetching.close()
        await self._control.close()
        self.images.close()
        self.pods.close()
        self.relays.close()

    @property
    def recovery_errors(self) -> int:
        """Records that made no sense at the start."""
        return self.keeper.recovery_errors

    @property
    def keeper(self) -> Keeper:
        """Who holds what runs."""
        assert self._keeper is not None, "start comes first"
        return self._keeper

    # Launch ------------------------------------------------------------------------------------

    async def launch(
        self,
        request: ContainerRequest,
        stdio: Stdio | None = None,
        first: First | None = None,
        by_image: Callable[[Mapping[str, Any]], First | None] | None = None,
        credentials: Credentials | None = None,
    ) -> Launch:
        """Run a task in a new container, or in one within another; returns when it runs.

        By default its output goes to a pipe, and it has no input; with `lane.NOTHING` it has neither. Its
        termination is kept until it is removed. `first` is called in a thread when all is there and the task
        does not run yet; `by_image` makes one of the image's configuration, before anything is there.
        `credentials` are for a pull, instead of the agent's. If the
        caller is cancelled, the container is destroyed. Raises LaunchFailed and others; then nothing is left.
        """
        request = replace(request, keep=True)
        with self._admitted(request):
            request, image = await self._pulled(request, credentials)
            if by_image is not None:
                first = by_image({} if image is None else image.config)
            lanes = self._fetching if request.fetch else self._lanes
            message = Create(request, to_json(stdio or Pipes()), first is not None)
            return await self._launched(lanes, request.container_id, message, first)

    async def execute(
        self,
        container_id: ContainerId,
        request: ExecRequest,
        stdio: Pipes | Terminal | None = None,
        first: First | None = None,
    ) -> Launch:
        """Run a further command in a running container; its own id is in the record."""
        own = request.container_id or ContainerId.of_command(container_id)
        request = replace(request, keep=True, container_id=own)
        message = Execute(container_id, request, to_json(stdio or Pipes()), first is not None)
        return await self._launched(self._lanes, own, message, first)

    async def _launched(
        self,
        lanes: Lanes,
        container_id: ContainerId,
        message: Create | Execute,
        first: First | None,
    ) -> Launch:
        started = time.monotonic()
        work = asyncio.ensure_future(
            lanes.launch(container_id, message, partial(self._control.run, first) if first else None)
        )
        try:
            held = await asyncio.shield(work)
            admission = self._launching.get(container_id)
            if admission is not None and admission.given_up:  # too late for the lane to see it
                self._destroy_unwanted(work)
                await self.keeper.remove(container_id, force=True)
                admission.check("it was launched")
        except asyncio.CancelledError:
            work.add_done_callback(self._destroy_unwanted)
            raise
        except (ContainerizerError, OSError) as error:
            subject = message.container_id if isinstance(message, Execute) else container_id
            self._failed(subject, stages.of(error) or "launch", started, error)
            raise
        self._adopt(held)
        self.relays.look()
        self.events.tell("launched", container_id, seconds=time.monotonic() - started, **held.stages)
        return Launch(record=held.record, clamped=held.clamped)

    def _adopt(self, held: Held) -> None:
        self.keeper.hold(held, self._control.pick())

    def _destroy_unwanted(self, work: asyncio.Future[Held]) -> None:
        """Nobody waits for the launch any more."""
        if not work.cancelled() and work.exception() is None:
            self._adopt(work.result())
            self.keeper.destroy_later(work.result().record.id)

    async def _lane_gone(self, pid: int, held: frozenset[ContainerId]) -> None:
        _log.warning("process %d, which launched containers, was killed; it held %d", pid, len(held))
        await self.keeper.lane_gone(pid, held)

    @contextlib.contextmanager
    def _admitted(self, request: ContainerRequest) -> Iterator[None]:
        """The name is taken in this process; on disk it will be by `create`."""
        container_id = request.container_id
        if container_id in self._launching:
            hint = "choose another one, or wait for that launch"
            raise InvalidRequest(f"the container name {str(container_id)!r} is taken", hint=hint)
        admission = self._launching[container_id] = Admission(request)
        self.events.tell("launching", container_id)
        try:
            yield
        finally:
            del self._launching[container_id]
            admission.over.set()

    async def _pulled(
        self, request: ContainerRequest, credentials: Credentials | None
    ) -> tuple[ContainerRequest, Image | None]:
        """The image in the store, so that no lane waits for a registry."""
        if request.image == HOST or self.settings.launcher == "posix":
            return request, None
        provider = "appc" if request.image.startswith("appc:") else "docker"
        if provider not in self.settings.image_providers:
            hint = f"the agent has --image-providers={','.join(self.settings.image_providers)}"
            raise InvalidRequest(f"images of {provider} are not provided here: {request.image}", hint=hint)
        started, admission = time.monotonic(), self._launching[request.container_id]
        pull = partial(self.images.pull, policy=request.pull, platform=request.platform)
        try:
            image = stored(self.images.provisioner, request)
            if image is None:
                image = await pull(request.image, progress=admission.progress, credentials=credentials)
        except asyncio.CancelledError:
            admission.given_up = True  # the thread goes on otherwise
            raise
        except (ContainerizerError, OSError) as error:
            self._failed(request.container_id, "pull", started, error)
            raise
        admission.check()
        return replace(request, pull="missing" if request.pull == "always" else request.pull), image

    def _failed(self, subject: ContainerId, stage: str, started: float, error: Exception) -> None:
        seconds = time.monotonic() - started
        self.events.tell("launch-failed", subject, stage=stage, seconds=seconds, message=str(error))

    # Known containers --------------------------------------------------------------------------

    async def containers(self) -> list[ContainerRecord]:
        """Every container, the oldest first, each followed by those in it."""
        known = await self.call(lambda owner: owner.containers())
        ids = {record.id for record in known}
        return known + [each.record for each in self._launching.values() if each.record.id not in ids]

    async def find(self, name: str) -> ContainerId:
        """By its name or a beginning of it that no other has, as the command line does."""
        return await self.call(lambda owner: owner.get(name).id)

    async def record(self, container_id: ContainerId) -> ContainerRecord:
        return records.load(self.paths, container_id)

    async def status(self, container_id: ContainerId) -> inspection.Status:
        """Its record, its state, and what isolators tell of it."""
        return await self.call(lambda owner: inspection.status(owner, container_id))

    async def usage(self, container_id: ContainerId) -> Usage:
        """What it consumes now."""
        return await self.call(lambda owner: inspection.usage(owner, container_id))

    async def usages(self) -> dict[str, Usage]:
        """Of every container that runs, by its id; at most a second old."""
        async with self._measuring:
            if time.monotonic() - self._measured_at > _FRESH:
                self._measured = await self.call(inspection.usages)
                self._measured_at = time.monotonic()
            return self._measured

    async def update(self, container_id: ContainerId, resources: Resources) -> None:
        """Change its limits; those that are None stay. Raises InvalidRequest for what nobody enforces."""
        await self.call(lambda owner: updating.update(owner, container_id, resources))
        async with self._measuring:
            self._measured_at = -math.inf  # that was with the limits of before
        await self.keeper.updated(container_id, resources.asked())

    async def wait(self, container_id: ContainerId) -> Termination:
        """Wait for its end; everything has been taken back then. Raises NoSuchContainer, also if its
        launch was given up.
        """
        if container_id in self._launching:
            await self._launching[container_id].over.wait()
        return await self.keeper.wait(container_id)

    # Control -----------------------------------------------------------------------------------

    async def kill(self, container_id: ContainerId, number: int = 9) -> None:
        """Send a signal to its task; SIGKILL ends it, with all in it. Raises NotRunning."""
        await self.call(lambda owner: RemoteContainer(owner, container_id).kill(number))

    async def stop(self, container_id: ContainerId, timeout: float = STOP_TIMEOUT) -> Termination:
        """Ask it to stop, and destroy it if it has not after `timeout` seconds."""
        await self.call(lambda owner: RemoteContainer(owner, container_id).ask_to_stop())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout)):
                return await self.wait(container_id)
        await self.destroy(container_id)
        return await self.wait(container_id)

    async def pause(self, container_id: ContainerId) -> None:
        """Stop every process of it and of what is in it. Raises NotRunning, InvalidRequest."""
        await self.call(lambda owner: RemoteContainer(owner, container_id).pause())

    async def resume(self, container_id: ContainerId) -> None:
        """Let them go on."""
        await self.call(lambda owner: RemoteContainer(owner, container_id).resume())

    async def destroy(self, container_id: ContainerId) -> Termination | None:
        """End it and all in it, those first, and give everything back; its termination stays.

        None for one that was still being launched. What fails is tried again, for as long as it
        takes, and is listed in `keeper.failures`. Raises NoSuchContainer, DestroyTimeout, CleanupFailed.
        """
        if container_id in self._launching:
            self._launching[container_id].given_up = True
            for lanes in (self._lanes, self._fetching):
                lanes.give_up(container_id)
            with contextlib.suppress(NoSuchContainer):
                return await self.keeper.destroy(container_id)
            return None
        return await self.keeper.destroy(container_id)

    async def remove(self, container_id: ContainerId, *, force: bool = False) -> None:
        """Forget one that has ended, with all in it, and delete the sandboxes; `force`: destroy it first.

        Raises InvalidRequest if it runs.
        """
        await self.keeper.remove(container_id, force=force)

    async def volumes(self, work: Callable[[Volumes], T]) -> T:
        """Have something done with the volumes that have a name. Raises ContainerizerError."""
        from containerizer.volumes.manager import Volumes

        return await self._control.run(lambda owner: work(Volumes(owner.paths, owner.flags)))

    # Input and output --------------------------------------------------------------------------

    async def attach(self, container_id: ContainerId) -> Stream:
        """Connect to its input and output. Raises NotServed if it has ended."""
        return Stream(await self.call(lambda owner: owner.attach(container_id)))

    async def attach_output(self, container_id: ContainerId, *, replay: bool = True) -> AsyncIterator[Event]:
        """What it writes, until it ends: Output, Skipped, and at last its ExitStatus."""
        async with await self.attach(container_id) as stream:
            async for event in stream.output(replay=replay):
                yield event

    # What happens by itself --------------------------------------------------------------------

    async def _collect(self) -> None:
        delay, headroom = self.settings.gc_delay, self.settings.gc_headroom
        collector = Collector(self.paths, self.events, delay=delay, headroom=headroom)
        await collector.run(self.settings.gc_interval, self.containers, self.remove, self.call)

    # Threads -----------------------------------------------------------------------------------

    async def call(self, work: Callable[[Containerizer], T]) -> T:
        """Have a Containerizer do something in a thread: what there is no method for here."""
        return await self._control.run(work)
