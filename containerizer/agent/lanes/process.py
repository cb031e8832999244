"""What a lane does: one thread, one Containerizer, and everything that it launched until it has ended.

It starts the supervisors itself: it is small, and has no threads. When the agent is gone, it leaves its
containers to their supervisors, as the agent would.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial

from containerizer import launchers
from containerizer.agent.lanes import messages
from containerizer.agent.lanes.messages import (
    Abandon,
    Begin,
    Create,
    Done,
    Ended,
    Error,
    Execute,
    GiveUp,
    Launched,
    Prepared,
    Proceed,
    Reached,
    Refused,
    Remove,
)
from containerizer.agent.lanes.owners import Owners
from containerizer.agent.settings import EngineSettings
from containerizer.container import Container
from containerizer.containerizer import Containerizer
from containerizer.record import NoSuchContainer
from containerizer.remote import RemoteContainer
from isolators.resources import Limitation
from launcher import stdio
from launcher.base import Launcher
from launcher.container_id import ContainerId
from launcher.data import Data, replace
from launcher.errors import ContainerizerError, LaunchFailed
from launcher.io.loop import is_ready
from launcher.kernel import process
from launcher.protocol import PeerGone

# The stdio of a task that has none: a lane's standard input is /dev/null, open for both.
NOTHING = stdio.Inherit(0, 0, 0)

_EVENTS = select.EPOLLIN | select.EPOLLPRI | select.EPOLLONESHOT


def main() -> None:
    """Entry: argv[1] is the number of the inherited channel to the agent."""
    os.setsid()
    process.set_name("ctz:lane")
    signal.signal(signal.SIGTERM, lambda *_: None)  # of a whole cgroup: when to end is the agent's business
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    begin = messages.receive(channel)
    assert isinstance(begin, Begin)
    owners = _owners(begin.settings)
    gc.collect()
    gc.freeze()
    Lane(channel, owners, begin.settings.destroy_timeout).serve()
    os._exit(0)  # nothing is left to close, and to take an interpreter down takes a while


def _owners(settings: EngineSettings) -> Owners:
    linux = settings.launcher != "posix"  # whose supervisors are forks: of a small process, if possible
    launcher = launchers.make(settings.launcher, in_process=linux)

    def make(names: Sequence[str] | None) -> Containerizer:
        own = settings if names is None else replace(settings, isolation=names)
        return containerizer(own, launcher)

    return Owners(make, fixed=settings.isolation is not None, launcher=settings.launcher)


def containerizer(settings: EngineSettings, launcher: Launcher | None = None) -> Containerizer:
    """As the agent has been asked for. `launcher`: shared. Raises UnknownIsolator, IsolatorUnavailable."""
    return Containerizer(
        root=settings.root,
        state=settings.state,
        isolation=settings.isolation,
        registries=settings.registries,
        flags=settings.isolator_flags,
        fetch_options=settings.fetch_options,
        launcher=settings.launcher,
        image_backend=settings.image_backend,
        shared_launcher=launcher,
        served=True,
    )


class Lane:
    """Serves the agent at the other end of a channel."""

    def __init__(self, channel: socket.socket, owners: Owners, destroy_timeout: float) -> None:
        self._channel = channel
        self._owners = owners
        self._destroy_timeout = destroy_timeout
        self._epoll = select.epoll()
        self._held: dict[ContainerId, Container] = {}
        self._ready: dict[int, Callable[[], None]] = {}  # what to do when the descriptor is

    def serve(self) -> None:
        """Until the agent is gone."""
        self._watch(self._channel.fileno(), self._serve_one)
        with contextlib.suppress(PeerGone):
            while True:
                for descriptor, _ in self._epoll.poll():
                    work = self._ready.get(descriptor)
                    if work is not None:  # an earlier one of this round may have ended the container
                        work()
                    if descriptor in self._ready:
                        self._epoll.modify(descriptor, _EVENTS)
        self._let_go()

    def _let_go(self) -> None:
        for container in tuple(self._held.values()):
            with contextlib.suppress(ContainerizerError, OSError):  # the next agent, or a reaper, tries again
                container.detach()
        self._owners.close()

    # What the agent asks for -------------------------------------------------------------------

    def _serve_one(self) -> None:
        message = messages.receive(self._channel)
        if isinstance(message, (GiveUp, Proceed, Abandon)):
            return  # it came too late: the agent has been answered
        try:
            if isinstance(message, Remove):
                self._remove(message)
            else:
                self._launch(message)
        except Exception as error:  # also PeerGone, if it is the agent that is gone: then it is raised again
            self._tell(Refused(Error.of(error)))

    def _launch(self, message: Create | Execute) -> None:
        mode: stdio.Stdio = stdio.from_json(message.stdio)
        if isinstance(message, Create):
            owner = self._owners.of(message.request.config)
            container = owner.create(message.request, mode)
        else:
            owner = self._owners.default
            container = owner.execute(message.container_id, message.request, mode)
        owner.release(container)  # from now on its end is seen to here
        with owner.abandoning(container):
            self._await_consent(container, awaited=message.awaited)
        container.start()
        try:
            self._tell(Launched(container.record, container.clamped, container.stages.seconds))
        except PeerGone:  # nobody will ever hear of it
            container.remove()
            raise
        self._hold(container)

    def _await_consent(self, container: Container, *, awaited: bool) -> None:
        """Raises LaunchFailed if it is not given, and PeerGone."""
        if awaited:
            self._tell(Prepared())
        while awaited or is_ready(self._channel.fileno()):
            answer = messages.receive(self._channel)
            if isinstance(answer, Proceed):
                return
            unwanted = isinstance(answer, GiveUp) and answer.container_id == container.id
            if unwanted or isinstance(answer, Abandon):
                raise LaunchFailed(f"container {container.id} was destroyed while it was launched")

    def _remove(self, message: Remove) -> None:
        with contextlib.suppress(NoSuchContainer):  # with its parent, or by somebody else
            RemoteContainer(self._owners.default, message.container_id).remove(
                force=message.force, timeout=self._destroy_timeout
            )
        self._tell(Done())

    def _tell(self, message: Data) -> None:
        messages.send(self._channel, message)

    # What runs ---------------------------------------------------------------------------------

    def _hold(self, container: Container) -> None:
        assert container.task is not None
        self._held[container.id] = container
        container.on_reached = partial(self._tell_reached, container.id)
        for descriptor, check in container.watched().items():
            self._watch(descriptor, partial(_quietly, check))
        self._watch(container.task.fileno(), partial(self._end, container))

    def _tell_reached(self, container_id: ContainerId, limitation: Limitation) -> None:
        """It is noted on disk already: that the agent is gone must not keep the container from its end."""
        with contextlib.suppress(PeerGone):
            self._tell(Reached(container_id, limitation))

    def _end(self, container: Container) -> None:
        """Have everything taken back. What fails is the agent's to try again."""
        assert container.task is not None
        for descriptor in (*container.watched(), container.task.fileno()):
            self._unwatch(descriptor)
        del self._held[container.id]
        try:
            ended = Ended(container.id, container.wait())
        except Exception as error:
            ended = Ended(container.id, None, Error.of(error))
        self._tell(ended)

    def _watch(self, descriptor: int, work: Callable[[], None]) -> None:
        self._epoll.register(descriptor, _EVENTS)
        self._ready[descriptor] = work

    def _unwatch(self, descriptor: int) -> None:
        """Before it is closed."""
        if self._ready.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)


def _quietly(check: Callable[[], None]) -> None:
    with contextlib.suppress(ContainerizerError, OSError):  # it ends just now
        check()


if __name__ == "__main__":
    main()
