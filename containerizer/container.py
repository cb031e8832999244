"""Container: one container that this process launched, from its request to its termination."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from containerizer import ending, reached
from containerizer import record as records
from containerizer.lifecycle import BRIEF, LAUNCHING, State, transition
from containerizer.liveness import is_running
from containerizer.record import ContainerRecord
from containerizer.stages import EXECUTE, Stages
from containerizer.termination import Termination
from isolators.isolator import ContainerConfig, Watch
from isolators.resources import Limitation, Usage
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError, LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.process_attributes import Clamped

if TYPE_CHECKING:
    from containerizer.owner import Launching
    from launcher.attach import Attachment
    from launcher.task import Task
    from provisioner.image import Image

_KILLED = ExitStatus(signal=signal.SIGKILL)
_STATES = {state.value: state for state in State}


class Container:
    """A handle. `wait` is also what notices that a limit was reached, and ends the container then."""

    def __init__(
        self, owner: Launching[Container], record: ContainerRecord, saved: str, config: ContainerConfig
    ) -> None:
        """`saved`: the record as it is stored."""
        self.id: ContainerId = record.id
        self.config = config
        self.record = record
        self.saved = saved  # as it was stored here last
        self.image: Image | None = None  # once it is pulled; None: the host's files
        self.task: Task | None = None
        self.termination: Termination | None = None
        self.stages = Stages()  # of its launch
        self.clamped: tuple[Clamped, ...] = ()  # what the host granted less of than was asked
        self._owner = owner
        self.reached: list[Limitation] = []  # limits that it ran into and goes on within
        self.on_reached: Callable[[Limitation], object] | None = None  # called for each of these
        self._watches: list[Watch] = []
        self._limitation: Limitation | None = None

    @property
    def state(self) -> State:
        return _STATES[self.record.state]

    @property
    def pid(self) -> int | None:
        """Of the task's first process, as the host sees it."""
        return self.record.pid

    def enter(self, state: State, *, brief: bool = False, **changes: object) -> None:
        """Go to `state`, and checkpoint that with the changes to the record. Raises IllegalTransition.

        `brief`: who finds the state before will do the same, and find out the same; so no checkpoint.
        Raises LaunchFailed when another process has asked for the end.
        """
        before = self.state
        transition(before, state)
        is_brief = state in BRIEF
        if (
            before in LAUNCHING
            and not is_brief
            and state is not State.DESTROYING
            and ending.requested(self._owner.paths, self.id)
        ):
            raise LaunchFailed(f"container {self.id} was destroyed by somebody else while it was launched")
        self.record = replace(self.record, state=state.value, **changes)
        if not is_brief and not brief:
            self.save()
        self.stages.enter(state)

    def save(self) -> None:
        """Checkpoint the record as it is."""
        self.saved = self.record.save(self._owner.paths)

    def watch(self, watch: Watch) -> None:
        """Have `wait` poll this too, and close it at the end."""
        self._watches.append(watch)

    def start(self) -> None:
        """Let the task run. Raises LaunchFailed; then nothing is left of the container."""
        assert self.task is not None
        with self._owner.abandoning(self):
            self.stages.begin(EXECUTE)
            self.task.release()
            self.clamped = self.task.clamped
            self.enter(State.RUNNING, started_at=time.time())

    def attach(self) -> Attachment:
        """Connect to the task's pipes or terminal, before it runs or while it does. Raises NotServed."""
        return self._owner.attach(self.id)

    def detach(self) -> None:
        """Leave the container to its supervisor, and to whoever comes for it: this handle is done.

        A limit that is reached from then on does not end the container, but is told if it ends by it.
        """
        if self.task is not None and self.task.end_was_told():
            self._end()  # nobody else would see to it
            if not self.record.keep:
                self._owner.forget(self)
        self.close_watches()
        if self.task is not None:
            self.task.abandon()
        self._owner.release(self)

    def watched(self) -> dict[int, Callable[[], None]]:
        """For whoever waits for something else than `wait`: what to poll, and what to call then."""
        return {
            fd: partial(self._check, watch) for watch in self._watches if (fd := watch.fileno()) is not None
        }

    def wait(self, timeout: float | None = None) -> Termination | None:
        """Wait for the end, at most `timeout` seconds; None if it has not come by then.

        The container's resources are given back before this returns.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.termination is None:
            if not self._wait_for_event(deadline):
                return None
        return self.termination

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the task: SIGKILL ends the container. One that has ended is fine."""
        if self.termination is None and self.task is not None:
            self.task.signal(number)
            if number == signal.SIGKILL:
                self._owner.resume(self)  # on cgroup v1 what is frozen does not die

    def destroy(self) -> Termination | None:
        """Kill everything in the container, wait for the end, and give all back. Idempotent.

        What was never started leaves nothing, and None.
        """
        if self.record.started_at is None:
            self._owner.give_up(self)
            return None
        if self.termination is None:
            self._owner.end(self)
        return self.wait()

    @contextlib.contextmanager
    def being_taken_back(self) -> Iterator[None]:
        """All of the container is taken back within, but the sandbox; a failure is checkpointed, too."""
        assert self.termination is not None
        ended = {"termination": self.termination.to_json(), "finished_at": time.time()}
        self.enter(State.DESTROYING, brief=self._is_told_by_supervisor(), **ended)
        try:
            yield
        except BaseException:
            self.save()
            raise
        self.enter(State.TERMINATED)

    def _is_told_by_supervisor(self) -> bool:
        """Whether all there is to how it ended is what the supervisor has recorded."""
        assert self.termination is not None
        ours = self.termination.exit_status is _KILLED or self.termination.limitation is not None
        return not ours and os.path.lexists(self._owner.paths.exit_status(self.id))

    def conclude(self) -> None:
        """Another process has taken everything back."""
        ended = None if self.termination is None else self.termination.to_json()
        self.record = replace(self.record, state=State.TERMINATED.value, termination=ended)

    def remove(self) -> None:
        """Forget the container and delete its sandbox; destroys it first if it runs."""
        self.destroy()
        self._owner.forget(self)

    def usage(self) -> Usage:
        """What the container consumes now."""
        return self._owner.usage(self)

    def close_watches(self) -> None:
        for watch in self._watches:
            watch.close()
        self._watches = []

    def _wait_for_event(self, deadline: float | None) -> bool:
        """Handle what comes first, if anything does; False when the deadline does."""
        assert self.task is not None
        poll = select.poll()
        poll.register(self.task.fileno(), select.POLLIN)
        later = {watch: due for watch in self._watches if (due := watch.due()) is not None}
        now = [watch for watch in self._watches if watch not in later]
        watched = {fd: watch for watch in now if (fd := watch.fileno()) is not None}
        for fd in watched:
            poll.register(fd, select.POLLIN | select.POLLPRI)
        times = [*later.values(), *([] if deadline is None else [deadline])]
        timeout = max(0.0, min(times) - time.monotonic()) * 1000 if times else None
        ready = [fd for fd, _ in poll.poll(timeout)]
        if self.task.fileno() in ready:
            self._end()
            return True
        over = time.monotonic()
        for watch in (*(watched[fd] for fd in ready), *(each for each, due in later.items() if due <= over)):
            self._check(watch)
        return bool(ready) or deadline is None or over < deadline

    def _check(self, watch: Watch) -> None:
        """Learn whether a limit was reached; if so it is the end of the container."""
        limitation = reached.check(partial(self._ask, watch), self._note)
        if limitation and not self._limitation:
            self._limitation = limitation
            self.kill()

    def _note(self, limitation: Limitation) -> None:
        if reached.note(self._owner.paths, self.id, limitation):
            self.reached.append(limitation)
            if self.on_reached is not None:
                self.on_reached(limitation)

    def _ask(self, watch: Watch) -> Limitation | None:
        try:
            return watch.check()
        except ContainerizerError:
            if not self._is_taken_back():
                raise
            return None

    def _is_taken_back(self) -> bool:
        """Whether somebody is about to take back what is watched: ours, or our parent's and so ours."""
        paths, parent = self._owner.paths, self.id.parent
        if ending.requested(paths, self.id):
            return True
        try:
            return parent is not None and not is_running(records.load(paths, parent))
        except records.NoSuchContainer:
            return True

    def _end(self) -> None:
        assert self.task is not None
        status = self.task.exit_status()
        if status is None:
            self._owner.resume(self)  # what the kernel has killed in its freezer dies only now
        for watch in self._watches:  # the kernel may have killed before we were told of the limit
            self._limitation = reached.check(partial(self._ask, watch), self._note) or self._limitation
        told = frozenset[str]()
        if self._limitation is None:  # or a watch may have had more to tell
            told = told.union(*(watch.tells for watch in self._watches))
        for limitation in reached.counted(self._owner.paths, self.record, self._owner.isolators, told):
            self._note(limitation)
        self.termination = Termination(exit_status=status or _KILLED, limitation=self._limitation)
        self._owner.terminated(self)
