"""Pod: runs a pod from its first init container to its last end, in one loop of one thread.

    with Containerizer() as owner:
        phase = Pod(owner, manifest.parse(text)).run()

What takes a while (a pull, a launch) holds the loop up meanwhile; nothing else does.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from containerizer.pods import disk_usage, fs_group, memory, requests
from containerizer.pods.manifest import PodManifest
from containerizer.pods.member import Member, Note, Print, State
from containerizer.pods.memory import Memory
from containerizer.pods.policy import Phase
from containerizer.pods.status import PodStatus
from containerizer.pods.volumes import EmptyDir, Place
from containerizer.record import NameTaken
from containerizer.units import format_size
from launcher.io.loop import is_ready
from launcher.stdio import Inherit

if TYPE_CHECKING:
    from containerizer.container import Container
    from containerizer.containerizer import Containerizer

_MEASURED_EVERY = 10.0  # seconds between looks at what volumes with a limit hold


def _silent(name: str, stream: int, data: bytes) -> None:
    """Output is in the containers' logs all the same."""


def _unnoted(name: str, sentence: str) -> None:
    """What goes wrong and is tried again is in the pod's status, too."""


def _poll(descriptors: Collection[int], timeout: float | None) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN | select.POLLPRI)
    poll.poll(None if timeout is None else timeout * 1000 + 1)  # not before: it would only poll again


class Pod:
    """One pod. `stop` may be called from a signal's handler or another thread; all else from one thread."""

    def __init__(
        self,
        owner: Containerizer,
        manifest: PodManifest,
        print_: Print = _silent,
        note: Note = _unnoted,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[Collection[int], float | None], None] = _poll,
    ) -> None:
        """`wait` returns when a descriptor polls readable, or after the timeout by the clock."""
        self.manifest = manifest
        self.message = ""  # why the pod was ended, where its containers do not tell
        self._owner = owner
        self._clock = clock
        self._poll = wait
        own = (print_, note, clock)
        self._init = [Member(owner, manifest, c, *own, init=True) for c in manifest.init_containers]
        self._main = [Member(owner, manifest, c, *own, init=False) for c in manifest.containers]
        self._created_at = time.time()
        self._around: Container | None = None
        self._places: dict[str, Place] = {}
        self._memory: Memory | None = None
        self._current = 0  # of the init containers
        self._started = False  # whether the others are
        self._grace = float(manifest.grace_period)  # for sidecars
        self._last: Member | None = None  # the sidecar that has been asked to end
        self._asked = 0  # how often it was asked to stop
        self._done = 0  # how often it heard
        self._next_measured = 0.0
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self, begun: Callable[[], None] = lambda: None) -> Phase:
        """Run it to its end, and leave its records until it is removed. `begun` is called when it is there.

        Raises ContainerizerError where it cannot even begin; then nothing is left.
        """
        try:
            self._begin()
            begun()
            try:
                self._follow()
            finally:
                for member in self._members:
                    member.close()
                assert self._around is not None
                self._around.destroy()
            self._tell()
            return self.phase
        finally:
            if self._memory is not None:
                self._memory.close()
            os.close(self._reader)
            os.close(self._writer)

    def stop(self) -> None:
        """Ask all containers to end, and end those that do not in time; asked again, end them now."""
        self._asked += 1
        os.write(self._writer, b"\0")

    @property
    def launching(self) -> bool:
        """Whether a signal's handler may raise GivenUp now, besides asking to stop."""
        return any(member.launching for member in self._members)

    @property
    def phase(self) -> Phase:
        if not self._started and not self._is_over:
            return Phase.PENDING
        if not self._is_over:
            return Phase.RUNNING
        bad = self.message or any(member.exit_code != 0 for member in self._tasks)
        return Phase.FAILED if bad else Phase.SUCCEEDED

    @property
    def exit_code(self) -> int:
        """Of the first container that did not end well; 0 if all did."""
        codes = [member.exit_code for member in self._tasks if member.exit_code]
        return codes[0] if codes else int(self.phase is Phase.FAILED)

    def status(self) -> PodStatus:
        return PodStatus(
            name=self.manifest.name,
            phase=self.phase.value,
            message=self.message,
            created_at=self._created_at,
            members=tuple(member.status() for member in self._members),
        )

    @property
    def _members(self) -> list[Member]:
        return [*self._init, *self._main]

    @property
    def _tasks(self) -> list[Member]:
        """Those that the pod is for; sidecars go on for as long as one of these does."""
        return [member for member in self._members if not member.sidecar]

    @property
    def _is_over(self) -> bool:
        return all(member.state is State.TERMINATED for member in self._members)

    # The loop ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            request = requests.pod(self.manifest, self._owner.paths)
            container = self._owner.create(request, Inherit(null, null, null))
        except NameTaken as error:
            hint = "choose another metadata.name, or remove the old pod with `containerizer pod rm`"
            raise NameTaken(f"the pod name {self.manifest.name!r} is taken", hint=hint) from error
        finally:
            os.close(null)
        with self._owner.abandoning(container):
            self._places = requests.make_volumes(self.manifest, self._owner.paths, self._owner.flags)
        container.start()
        self._around = container
        try:
            self._fill_memory(container)
            fs_group.give(self.manifest, self._places)
        except BaseException:
            container.remove()
            raise
        self._tell()

    def _fill_memory(self, container: Container) -> None:
        if not any(memory.names(self.manifest)):
            return
        assert container.task is not None
        self._memory = Memory(self.manifest, self._owner.paths, container.task)
        self._memory.fill()
        self._places |= requests.places_in(self.manifest, self._memory)

    def _follow(self) -> None:
        while not self._is_over:
            now = self._clock()
            self._advance(now)
            self._end_sidecars(now)
            for member in self._members:
                member.step(now)
            if any(member.changed for member in self._members):
                self._tell()
                self._measure(now)
                continue  # which may be what another one waits for
            self._wait()
            self._hear()
            if self._clock() >= self._next_measured:
                self._measure(now)

    def _advance(self, now: float) -> None:
        """Let the next ones begin: the init containers one by one, then all others."""
        if self._started:
            return
        if self._current:
            last = self._init[self._current - 1]
            if not (last.begun if last.sidecar else last.state is State.TERMINATED):
                return
            if not last.sidecar and last.exit_code != 0:
                self._end_all(0.0)
                return
        if self._current < len(self._init):
            self._init[self._current].start(self._places, now)
            self._current += 1
        else:
            self._started = True
            for member in self._main:
                member.start(self._places, now)

    def _wait(self) -> None:
        assert self._around is not None
        assert self._around.task is not None
        descriptors = [self._reader]
        if not self.message:
            descriptors.append(self._around.task.fileno())
        for member in self._members:
            descriptors += member.descriptors()
        self._poll(descriptors, min(self._timeouts(self._clock()), default=None))

    def _timeouts(self, now: float) -> Iterator[float]:
        for member in self._members:
            timeout = member.timeout(now)
            if timeout is not None:
                yield timeout
        if self._limited:
            yield max(0.0, self._next_measured - now)

    def _hear(self) -> None:
        """Do what was asked meanwhile."""
        assert self._around is not None
        assert self._around.task is not None
        # Not by its `wait`, which takes back what its containers still have in its cgroups.
        if not self.message and is_ready(self._around.task.fileno()):
            self.message = "it was ended by somebody else"
            self._end_all(0.0)
        if self._asked > self._done:
            os.read(self._reader, 4096)
            self._done = self._asked
            self._end_all(self.manifest.grace_period if self._done == 1 else 0.0)

    def _end_all(self, grace: float) -> None:
        """Sidecars follow when the others have ended."""
        now = self._clock()
        self._grace = min(self._grace, grace)
        for member in self._tasks if grace else self._members:
            if member.state is not State.TERMINATED:
                member.stop(grace, now)

    def _end_sidecars(self, now: float) -> None:
        """When nobody is left who needs them: one after another, the last first."""
        if any(member.state is not State.TERMINATED for member in self._tasks):
            return
        for member in reversed(self._init):
            if member.sidecar and member.state is not State.TERMINATED:
                if member is not self._last:
                    self._last = member
                    member.stop(self._grace, now)
                return

    def _tell(self) -> None:
        for member in self._members:
            member.changed = False
        self.status().save(self._owner.paths)

    # Volumes -----------------------------------------------------------------------------------

    @property
    def _limited(self) -> list[EmptyDir]:
        volumes = self.manifest.volumes
        """One in memory has no room for more."""
        measured = (v for v in volumes if isinstance(v, EmptyDir) and not v.in_memory)
        return [volume for volume in measured if volume.size_limit is not None]

    def _measure(self, now: float) -> None:
        """Look at volumes with a limit now and then, as Kubernetes does; a pod that is over one is ended."""
        self._next_measured = now + _MEASURED_EVERY
        if self.message:
            return
        for volume in self._limited:
            assert volume.size_limit is not None
            if disk_usage.of(self._places[volume.name].seen, volume.size_limit) > volume.size_limit:
                limit = format_size(volume.size_limit)
                self.message = f"evicted: volume {volume.name} holds more than its limit of {limit}"
                self._end_all(self.manifest.grace_period)
