"""Member: one container of a pod, through all of its starts and ends."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from containerizer.checks.command import CommandAttempt
from containerizer.checks.runner import Runner, finished
from containerizer.checks.state import Event
from containerizer.pods import logs, requests, sub_paths
from containerizer.pods.containers import PodContainer
from containerizer.pods.manifest import PodManifest
from containerizer.pods.policy import ALWAYS, Backoff, restarts
from containerizer.pods.status import MemberStatus
from containerizer.pods.stopping import Stopping
from containerizer.pods.volumes import Place
from containerizer.secrets import hidden
from launcher.attach import Attachment, Output
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.io.loop import IN, is_ready
from launcher.stdio import Pipes

if TYPE_CHECKING:
    from containerizer.container import Container
    from containerizer.containerizer import Containerizer

_DRAINED = 1.0  # seconds for the last output of a container that has ended
_CANNOT_START = 128  # the exit code of what has never run, as Kubernetes' runtimes have it

Print = Callable[[str, int, bytes], None]  # told the container's name, the stream, and what it wrote
Note = Callable[[str, str], None]  # told the container's name, and a sentence on what will be tried again


class GivenUp(BaseException):
    """Raised by a signal's handler into a launch, which may take as long as its pull does.

    No Exception, as KeyboardInterrupt is none: each step of the launch takes itself back.
    """


class State(enum.Enum):
    """The value is what is shown."""

    WAITING = "waiting"  # for its turn, or for its next start
    RUNNING = "running"
    TERMINATED = "terminated"  # and it is not started again


class Member:
    """One container; `step` is to be called when a descriptor polls readable, or after the timeout."""

    def __init__(
        self,
        owner: Containerizer,
        manifest: PodManifest,
        of: PodContainer,
        print_: Print,
        note: Note,
        clock: Callable[[], float],
        *,
        init: bool,
    ) -> None:
        self.name = of.name
        self.sidecar = of.sidecar
        self.state = State.WAITING
        self.ready = False
        self.exit_code: int | None = None  # of its last run
        self.message = ""
        self.restarts = 0
        self.changed = False  # since the owner of this looked
        self.launching = False  # now, so that GivenUp may be raised
        self._owner = owner
        self._manifest = manifest
        self._of = of
        self._print = print_
        self._note = note
        self._clock = clock
        self._init = init
        self._backoff = Backoff()
        self._next_start: float | None = None  # None: not before `start`
        self._started_at = 0.0
        self._container: Container | None = None
        self._attachment: Attachment | None = None
        self._runner: Runner | None = None
        self._hook: CommandAttempt | None = None  # after the start; nothing is checked before its end
        self._stopping: Stopping | None = None
        self._wanted = True  # whether it is to run at all
        self._places: Mapping[str, Place] = {}

    def start(self, places: Mapping[str, Place], now: float) -> None:
        """Its turn has come. Failing to start counts as an end."""
        self._places = places
        self._next_start = now

    def stop(self, grace: float, now: float) -> None:
        """End it, and do not start it again; once more: at once."""
        self._wanted = False
        if self.state is State.WAITING:
            self._enter(State.TERMINATED)
        elif self._stopping is not None:
            self._stopping.hurry(now)
        else:
            self._end(grace, now)

    @property
    def begun(self) -> bool:
        """Whether those that come after a sidecar may start: it runs, and its startup probe has passed."""
        return self.state is State.RUNNING and self._runner is not None and self._runner.health.started

    def status(self) -> MemberStatus:
        return MemberStatus(
            name=self.name,
            state=self.state.value,
            init=self._init and not self.sidecar,
            ready=self.ready,
            restarts=self.restarts,
            exit_code=self.exit_code,
            message=self.message,
        )

    # To be polled ------------------------------------------------------------------------------

    def descriptors(self) -> list[int]:
        if self._container is None or self._container.task is None:
            return []
        found = [self._container.task.fileno(), *self._container.watched()]
        if self._attachment is not None:
            found.append(self._attachment.fileno())
        if self._runner is not None:
            found += self._runner.descriptors()
        if self._hook is not None:
            found.append(self._hook.fileno())
        if self._stopping is not None:
            found += self._stopping.descriptors()
        return found

    def timeout(self, now: float) -> float | None:
        if self._container is None:
            return None if self._next_start is None else max(0.0, self._next_start - now)
        moments = [None if self._runner is None else self._runner.timeout()]
        if self._stopping is not None:
            moments.append(self._stopping.timeout(now))
        return min((moment for moment in moments if moment is not None), default=None)

    def step(self, now: float) -> None:
        if self._container is None:
            if self._next_start is not None and now >= self._next_start and self._wanted:
                self._launch(now)
            return
        self._pass_output_on()
        if self._container.wait(0.0) is not None:
            self._ended(now)
            return
        if self._stopping is not None:
            self._stopping.step(now)
        elif self._hook is not None:
            self._follow_hook(now)
        elif self._runner is not None:
            for event in self._runner.step():
                self._follow(event, now)

    def close(self) -> None:
        """Give back what this process has of it; the container is the caller's to end."""
        for closable in (self._runner, self._hook, self._stopping, self._attachment):
            if closable is not None:
                closable.close()
        self._runner = self._hook = self._stopping = self._attachment = None

    # Its life ----------------------------------------------------------------------------------

    def _launch(self, now: float) -> None:
        self._next_start = None
        self.message = ""
        try:
            self._check_user()
            sub_paths.make(self._of, self._places)
            container = self._created()
            with self._owner.abandoning(container):
                self._attachment = container.attach()
                self._attachment.attach(paced=True)
            container.start()
            self._container = container
            self._begin_checks()
        except GivenUp:
            self._next_start = now  # whoever raised it has asked to stop, too
            return
        except (ContainerizerError, OSError) as error:
            self.close()
            self.message = hidden(str(error), self._of.secret_environment)
            self.exit_code = getattr(error, "exit_code", _CANNOT_START)
            self._after_end(0.0, now)
            return
        self._started_at = now
        self._enter(State.RUNNING)

    def _begin_checks(self) -> None:
        """After the hook that follows the start; one that cannot be run is one that has failed."""
        assert self._container is not None
        if self._of.post_start is not None:
            try:
                self._hook = CommandAttempt(self._owner, self._container.id, self._of.post_start)
            except (ContainerizerError, OSError) as error:
                self.message = f"its postStart hook failed: {error}"
                self._container.kill()
        else:
            self._runner = Runner(self._owner, self._container.id, self._of.checks, self._clock)

    def _follow_hook(self, now: float) -> None:
        assert self._hook is not None
        assert self._container is not None
        result = finished(self._hook)
        if result is None:
            return
        self._hook.close()
        self._hook = None
        if result.success:
            self._runner = Runner(self._owner, self._container.id, self._of.checks, self._clock)
        else:
            self.message = f"its postStart hook failed: {result.message}"
            self._end(self._manifest.grace_period, now)

    def _created(self) -> Container:
        request = requests.container(self._manifest, self._of, self._places)
        self.launching = True
        try:
            return self._owner.create(request, Pipes())
        finally:
            self.launching = False

    def _check_user(self) -> None:
        """Whom an image runs as is known when it is there."""
        if not self._of.security.non_root or self._of.security.user is not None:
            return
        image = self._owner.provisioner.pull(self._of.image, policy=self._of.pull)
        user = str(image.config.get("User") or "0").partition(":")[0]
        if not user.isdecimal() or int(user) == 0:
            hint = "give runAsUser a number above 0"
            raise InvalidRequest(f"the image's user {user!r} is root, or may be: runAsNonRoot", hint=hint)

    def _follow(self, event: Event, now: float) -> None:
        if event is Event.READY or event is Event.NOT_READY:
            self.ready, self.changed = event is Event.READY, True
        elif event is Event.STARTED:
            self.changed = True  # which others may wait for
        elif event is Event.UNHEALTHY:
            self.message = "it was unhealthy"
            self._end(self._manifest.grace_period, now)

    def _end(self, grace: float, now: float) -> None:
        assert self._container is not None
        for closable in (self._runner, self._hook):
            if closable is not None:
                closable.close()
        self._runner = self._hook = None
        self.ready = False
        self.changed = True
        self._stopping = Stopping(self._owner, self._container, self._of.pre_stop, grace, now)
        self._stopping.step(now)

    def _ended(self, now: float) -> None:
        assert self._container is not None
        assert self._container.termination is not None
        self._drain()
        self.close()
        self.exit_code = self._container.termination.exit_code
        self.message = self.message or self._container.termination.message
        self._after_end(now - self._started_at, now)

    def _after_end(self, ran: float, now: float) -> None:
        assert self.exit_code is not None
        self.ready = False
        policy = ALWAYS if self.sidecar else self._manifest.restart_policy
        if self._wanted and restarts(policy, self.exit_code, init=self._init and not self.sidecar):
            self._remove_ended()
            self._backoff = self._backoff.after(ran)
            self._next_start = now + self._backoff.pause
            self.restarts += 1
            self._enter(State.WAITING)
            self._note(self.name, f"{self.message}; it is started again in {self._backoff.pause:.0f} s")
        else:
            self._container = None
            self._enter(State.TERMINATED)

    def _remove_ended(self) -> None:
        if self._container is not None:
            logs.keep(self._owner.paths, self._container.id)
            self._container.remove()
            self._container = None

    def _enter(self, state: State) -> None:
        self.state, self.changed = state, True

    # Its output --------------------------------------------------------------------------------

    def _pass_output_on(self) -> None:
        while self._attachment is not None and is_ready(self._attachment.fileno(), IN, 0.0):
            self._receive()

    def _drain(self) -> None:
        while self._attachment is not None and is_ready(self._attachment.fileno(), IN, _DRAINED):
            self._receive()

    def _receive(self) -> None:
        assert self._attachment is not None
        event = self._attachment.receive()
        if isinstance(event, Output):
            with contextlib.suppress(BrokenPipeError):  # nobody reads what we print
                self._print(self.name, event.stream, event.data)
        elif event is None:
            self._attachment.close()
            self._attachment = None
