"""A container that any process launched: found by its name, controlled, waited for, ended, removed.

What is known of it is the record on disk. Its processes are reached by pidfds whose process is
verified (containerizer.liveness), its cgroups by the isolators that the record names. Who launched
it takes part as well: the rules by which several processes end one container are in
containerizer.ending.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from containerizer import liveness, postmortem
from containerizer import record as records
from containerizer.cleanup import take_back
from containerizer.ending import Ending
from containerizer.lifecycle import LAUNCHING, State
from containerizer.pidfds import deadline_of, kill, pidfds_of, wait_for_any
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.termination import Termination
from isolators.isolator import Isolator
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import freezer, inotify
from launcher.kernel.inotify import Changes
from launcher.kernel.process import is_rootless
from launcher.signal_names import parse_signal

if TYPE_CHECKING:
    from containerizer.copying.files import ContainerFiles
    from containerizer.owner import Owner
    from containerizer.processes import Process

DESTROY_TIMEOUT = 10.0  # seconds for what was killed to end
STOP_TIMEOUT = 10.0  # seconds between the stop signal and SIGKILL, as Docker gives
_RECORDING = 1.0  # seconds that a launcher gets to record the end of a task: it knows of limits reached
_STATE_CHANGES = inotify.MODIFY | inotify.MOVED_TO | inotify.DELETE_SELF


class DestroyTimeout(ContainerizerError):
    """What was killed has not ended in time. The container stays listed; destroying it again goes on."""


class NotRunning(InvalidRequest):
    """The container has ended, or is still being launched."""


class RemoteContainer:
    """A handle by name: get it from `Containerizer.get`. Every method looks at what is true now."""

    def __init__(self, owner: Owner, container_id: ContainerId) -> None:
        self.id = container_id
        self._owner = owner
        self._paths = owner.paths
        self._held: Ending | None = None

    @property
    def record(self) -> ContainerRecord:
        """Raises NoSuchContainer."""
        return records.load(self._paths, self.id)

    # Control -----------------------------------------------------------------------------------

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the task; SIGKILL ends the container, a paused one too.

        Raises NotRunning.
        """
        record = self.record
        with self._task(record) as task, contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(task, number)
        if number == signal.SIGKILL:
            self._resume(record)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the task to stop, wait `timeout` seconds for that, then destroy the container.

        Fine where it has ended. Raises what `destroy` does.
        """
        self.ask_to_stop()
        self.await_stop(timeout)

    def ask_to_stop(self) -> None:
        """Send the stop signal of the request or the image; a paused container goes on to hear it."""
        record = self.record
        if liveness.is_running(record) and not liveness.is_launching(record):
            number = parse_signal(record.stop_signal or "SIGTERM")
            with contextlib.suppress(NotRunning):  # by now; also fine
                self.kill(number)
                self._resume(record)

    def await_stop(self, timeout: float) -> None:
        """Wait for the end that was asked for, and bring it about after `timeout` seconds."""
        with contextlib.suppress(NoSuchContainer):  # by now; also fine
            if self.wait(max(0.0, timeout)) is None:
                self.destroy()

    def pause(self) -> None:
        """Stop every process of the container. Raises NotRunning."""
        record = self.record
        with self._task(record):
            self._freezer(record).pause(self.id)

    def resume(self) -> None:
        """Let them go on. Raises NotRunning."""
        record = self.record
        with self._task(record):
            self._freezer(record).resume(self.id)

    @property
    def paused(self) -> bool:
        """Whether its processes stand still; those of a nested container do so with their parent's."""
        record = self.record
        return liveness.is_running(record) and stands_still(self._owner, record)

    @property
    def files(self) -> ContainerFiles:
        """What copies files into it and out of it."""
        from containerizer.copying.files import ContainerFiles

        return ContainerFiles(self._owner, self.id)

    def processes(self) -> list[Process]:
        """Its processes, those of what is nested in it too. Raises InvalidRequest if it does not run."""
        from containerizer import processes

        record = self.record
        with self._task(record):
            return processes.of_container(self._owner, record)

    # The end -----------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Termination | None:
        """Wait until the end is recorded, at most `timeout` seconds; None if it has not come by then.

        Raises NoSuchContainer, also for a launch that was given up meanwhile.
        """
        deadline = deadline_of(timeout)
        with self._opened() as end:
            with contextlib.suppress(NoSuchContainer), self._changes() as changes:
                while not _over(end, changes):
                    if not self._wait_for_change(changes, deadline):
                        return None
                    try:
                        ended = self._unrecorded_end(end, changes, deadline)
                    except DestroyTimeout:  # at our deadline
                        return None
                    if ended is not None:
                        return ended
            if end.termination is None:
                raise NoSuchContainer(f"the launch of container {self.id} was given up")
            return end.termination

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within this context `wait` works even after somebody has removed the container."""
        with self._opened() as self._held:
            yield
        self._held = None

    def destroy(self, timeout: float = DESTROY_TIMEOUT) -> Termination | None:
        """Kill everything in the container, wait for the end, and give all back. Idempotent.

        Several processes may do so at once: one takes back, all tell the same. None where the
        container was never launched, or is gone. Raises DestroyTimeout, CleanupFailed.
        """
        end = Ending.open(self._paths, self.id)
        if end is None:
            return None
        with end:
            if (ended := end.termination) is not None:  # all has been taken back
                return ended
            if not end.removed:
                self._end(end, timeout)
            return self.finish(end)

    def end(self, timeout: float = DESTROY_TIMEOUT) -> None:
        """Kill everything, and wait for that; somebody else takes it back. Raises DestroyTimeout."""
        end = Ending.open(self._paths, self.id)
        if end is not None:
            with end:
                self._end(end, timeout)

    def remove(self, *, force: bool = False, timeout: float = DESTROY_TIMEOUT, volumes: bool = True) -> None:
        """Delete what is left of a container that has ended; with `force` destroy it first.

        `volumes`: those without a name of their own, too.
        Raises what `destroy` does and, without `force`, InvalidRequest if it runs and NoSuchContainer.
        """
        if not force and liveness.is_running(self.record):
            hint = "stop it first, or use `containerizer rm --force`"
            raise InvalidRequest(f"container {self.id} is running", hint=hint)
        self.destroy(timeout)
        end = Ending.open(self._paths, self.id)
        if end is not None:
            with end, end.locked():
                if not end.removed:
                    self._owner.delete(self.id, volumes=volumes)

    def reap(self) -> None:
        """The task has ended and the launcher is gone: do what is left to do."""
        end = Ending.open(self._paths, self.id)
        if end is not None:
            with end:
                self.finish(end, abandoned=True)

    def finish(self, end: Ending, *, abandoned: bool = False) -> Termination | None:
        """Take everything back, unless somebody has; for a container whose processes have ended."""
        with end.locked():
            if not end.over:
                own = self._owner.isolators_of(self.record)
                record = postmortem.examine(self._paths, self.record, own)
                assert record.ended is not None
                take_back(self.id, self._owner.isolators_loaded_for(record))
                replace(record, state=State.TERMINATED.value).save(self._paths)
                end.say(record.ended)
                if not record.keep and (abandoned or not liveness.is_owned(record)):
                    self._owner.delete(self.id)
            return end.termination

    # How ---------------------------------------------------------------------------------------

    def _opened(self) -> Ending:
        end = self._held.duplicate() if self._held else Ending.open(self._paths, self.id)
        if end is None:
            raise records.unknown(self.id)
        return end

    @contextlib.contextmanager
    def _task(self, record: ContainerRecord) -> Iterator[int]:
        """A pidfd of the task. Raises NotRunning."""
        pidfd = liveness.open_process(record.pid, record.pid_started)
        if pidfd is None or liveness.state_of(record) in LAUNCHING:
            if pidfd is not None:
                os.close(pidfd)
            hint = "`containerizer ps -a` shows its state"
            raise NotRunning(f"container {self.id} is not running", hint=hint)
        try:
            yield pidfd
        finally:
            os.close(pidfd)

    def _freezer(self, record: ContainerRecord) -> Isolator:
        for isolator in self._owner.isolators_of(record):
            if isolator.pauses:
                return isolator
        if record.shares_cgroups:
            hint = f"pause {self.id.parent}, with all that is in it"
            raise InvalidRequest(f"container {self.id} is in its parent's cgroups", hint=hint)
        hint = "add cgroups/freezer to --isolation when you launch it"
        if is_rootless():
            hint = "launch it in a cgroup of v2 that is yours: systemd-run --user --scope -p Delegate=yes"
        raise InvalidRequest(f"container {self.id} has no isolator that can pause it", hint=hint)

    def _resume(self, record: ContainerRecord) -> None:
        for isolator in self._owner.isolators_of(record):
            if isolator.pauses:
                isolator.resume(self.id)

    def _wait_for_change(self, changes: Changes, deadline: float | None) -> bool:
        """Wait until the directory changes or a process that would change it ends; False at the deadline."""
        with pidfds_of(self._of_launcher()) as launcher, pidfds_of(self._supervised()) as container:
            awaited = container or launcher
            return not awaited or wait_for_any([changes.fileno(), *awaited], deadline)

    def _unrecorded_end(self, end: Ending, changes: Changes, deadline: float | None) -> Termination | None:
        """How it ended, if it has and nobody records that: none is left, or a launcher does not look."""
        with pidfds_of(self._supervised()) as container:
            if container or end.over:
                return None
        with pidfds_of(self._of_launcher()) as launcher:
            if not launcher:
                return self._destroy_until(deadline)
            status = postmortem.recorded(self._paths, self.id)
            deadline = time.monotonic() + _RECORDING
            while status is not None and not _over(end, changes):
                if not wait_for_any([changes.fileno(), *launcher], deadline):
                    return status
            return None

    def _destroy_until(self, deadline: float | None) -> Termination | None:
        """Nobody else will, nor come for what cannot be killed just now. Raises DestroyTimeout."""
        while True:
            remaining = DESTROY_TIMEOUT if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                return self.destroy(min(remaining, DESTROY_TIMEOUT))
            except DestroyTimeout:
                if not remaining:
                    raise

    def _of_launcher(self) -> list[tuple[int | None, int | None]]:
        with contextlib.suppress(NoSuchContainer):
            record = self.record
            return [(record.owner, record.owner_started)]
        return []

    def _of_container(self) -> list[tuple[int | None, int | None]]:
        """The task's first process, and the supervisor."""
        with contextlib.suppress(NoSuchContainer):
            record = self.record
            return [(record.pid, record.pid_started), (record.supervisor, record.supervisor_started)]
        return [(None, None), (None, None)]

    def _supervised(self) -> list[tuple[int | None, int | None]]:
        """The processes of the container, unless its supervisor was killed: then they are to be ended."""
        with contextlib.suppress(NoSuchContainer):
            if liveness.is_supervised(self.record):
                return self._of_container()
        return []

    def _end(self, end: Ending, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        end.request()
        with contextlib.suppress(NoSuchContainer):  # somebody was faster
            self._end_launch(end, deadline)
            self._end_nested()
            self._end_processes(deadline)

    def _end_launch(self, end: Ending, deadline: float) -> None:
        """Wait until a launch in progress has given up, or has made a task that can be killed."""
        with self._changes() as changes:
            while not _over(end, changes) and liveness.is_launching(record := self.record):
                with pidfds_of(self._of_container()[:1]) as child:
                    kill(child)  # or the launcher waits for one that hangs in a mount, say
                if not self._wait_for_launcher(changes, deadline):
                    raise DestroyTimeout(
                        f"container {self.id} is still {record.state} in process {record.owner}",
                        hint="its launch will be given up at the next step; or end that process",
                    )

    def _wait_for_launcher(self, changes: Changes, deadline: float) -> bool:
        with pidfds_of(self._of_launcher()) as launcher:
            return wait_for_any([changes.fileno(), *launcher], deadline) if launcher else True

    @contextlib.contextmanager
    def _changes(self) -> Iterator[Changes]:
        """Raises NoSuchContainer."""
        try:
            changes = Changes(self._paths.container_state(self.id), _STATE_CHANGES)
        except OSError as error:  # a SyscallError is no FileNotFoundError
            if error.errno != errno.ENOENT:
                raise
            raise records.unknown(self.id) from None
        with changes:
            yield changes

    def _end_nested(self) -> None:
        inside = records.nested(self._paths, self.id)
        if inside:
            self._resume(self.record)  # on cgroup v1 what is frozen with us does not die
        for nested in inside:
            with contextlib.suppress(NoSuchContainer):
                RemoteContainer(self._owner, nested).destroy()  # its termination stays as long as we do

    def _end_processes(self, deadline: float) -> None:
        """Kill everything, and wait for it and for the supervisor, which may be the reaper by then."""
        record = self.record
        task, supervisor = self._of_container()
        with pidfds_of([task]) as tasks, pidfds_of([supervisor]) as supervisors:
            kill(tasks)
            kill(supervisors, signal.SIGCONT)  # one that is stopped collects nothing
            self._kill_in_isolators(record, deadline)
            for pidfd in (*tasks, *supervisors):
                if not wait_for_any([pidfd], deadline):
                    raise self._still_there(freezer.describe(liveness.remaining(record)))

    def _kill_in_isolators(self, record: ContainerRecord, deadline: float) -> None:
        for isolator in reversed(self._owner.isolators_of(record)):
            try:
                isolator.kill(self.id, max(0.0, deadline - time.monotonic()))
            except ContainerizerError as error:
                raise self._still_there(str(error)) from error

    def _still_there(self, why: str) -> DestroyTimeout:
        hint = "it was killed, and ends when the kernel lets it; `containerizer rm -f` waits again"

        return DestroyTimeout(f"container {self.id} has not ended yet: {why}", hint=hint)


def stands_still(owner: Owner, record: ContainerRecord) -> bool:
    """Whether a container that runs, or one that it is in, is paused."""
    container_id = record.id
    for isolator in owner.isolators_of(record):
        if isolator.pauses and isolator.paused(container_id):
            return True
    return container_id.parent is not None and RemoteContainer(owner, container_id.parent).paused


def _over(end: Ending, changes: Changes) -> bool:
    """Whether it is; whatever happens from here on is told by `changes`."""
    changes.forget()
    return end.over
