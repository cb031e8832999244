"""The Containerizer: drives launcher, isolators and provisioner through a container's life.

It calls the parts in their order and makes no system call itself. Each launch failure is cleaned
up here, and says which step failed and whose it was.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from containerizer import (
    cgroups_root,
    checkpoint,
    ending,
    launchers,
    merging,
    nested,
    provisioning,
    sandbox,
    seccomp_files,
    stages,
)
from containerizer import record as records
from containerizer.cleanup import take_back
from containerizer.container import Container
from containerizer.isolation import Isolation, at_work
from containerizer.kinds import Kind, Kinds
from containerizer.launch_requests import LaunchRequests
from containerizer.lifecycle import State
from containerizer.liveness import own_start, processes_of
from containerizer.paths import Paths
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.repeated import Repeated
from containerizer.request import HOST, ContainerRequest
from isolators import catalog
from isolators.isolator import Isolator, IsolatorFlags
from isolators.resources import Usage
from launcher.base import Launcher, LaunchRequest
from launcher.container_id import ContainerId
from launcher.data import asdict, replace
from launcher.errors import ContainerizerError
from launcher.launch_info import LaunchInfo
from launcher.stdio import Inherit, Stdio, mode_of
from provisioner.provisioner import Provisioner

if TYPE_CHECKING:
    from containerizer.fetcher.options import FetchOptions
    from containerizer.remote import RemoteContainer
    from launcher.attach import Attachment
    from launcher.merge import Merged
    from launcher.task import Task
    from provisioner.progress import Progress
    from provisioner.registry.options import RegistryOptions
    from provisioner.store.prune import Criteria


class Containerizer:
    """Launches containers and ends them.

    As a context manager it removes, at the end, the containers that it launched, unless they were
    asked to be kept. Not safe to share between threads.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        state: str | None = None,
        isolation: str | Sequence[str] | None = None,
        insecure_registries: Sequence[str] = (),
        registries: RegistryOptions | None = None,
        flags: IsolatorFlags | None = None,
        launcher: str = "linux",
        in_process: bool = False,
        image_backend: str | None = None,
        shared_launcher: Launcher | None = None,
        fetch_options: FetchOptions | None = None,
        prune_after_pull: Criteria | None = None,
        served: bool = False,
    ) -> None:
        """`root` and `state` are the two directories of `containerizer.paths`.

        `isolation` names the isolators, as a list or separated by commas; None: the default ones.
        `launcher`: "linux", or "posix" for processes without namespaces, which needs no root.
        `in_process`: this process has one thread, and forks the supervisors itself.
        `image_backend`: "overlay", "copy", "bind"; None: the best here. `shared_launcher`: used, and closed.
        `fetch_options`: bounds of what requests fetch; None: the defaults.
        `prune_after_pull`: which images go when a pull has brought another; None: none do.
        `served`: by an agent, which takes back what ends, unless there is none then.
        Raises UnknownIsolator, IsolatorUnavailable.
        """
        self.paths = Paths.of(root, state)
        self.fetch_options = fetch_options
        self.flags = cgroups_root.settled(flags or IsolatorFlags(), self.paths)
        names = launchers.isolation(launcher, isolation, served=served)
        self.isolators = catalog.load(names, self.flags, launcher)
        self.provisioner = Provisioner(
            self.paths.root,
            insecure_registries=insecure_registries,
            registries=registries,
            backend=image_backend,
            after_pull=prune_after_pull,
        )
        self._launcher_name = launcher
        self._requests = LaunchRequests(self.paths, served)
        self._launcher = shared_launcher or launchers.make(launcher, in_process=in_process)
        self._isolation = Isolation(self.isolators)
        self._kinds, self._repeated = Kinds(self.isolators), Repeated()
        self._containers: list[Container] = []
        self._loaded: dict[tuple[str, ...], list[Isolator]] = {}

    def __enter__(self) -> Containerizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the containers launched here that are not to be kept, and stop the fork server."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._launcher.close)
            for isolator in self.isolators:
                stack.callback(isolator.close)
            for container in self._containers:
                stack.callback(container.destroy if container.record.keep else container.remove)
            self._containers = []

    def launch(
        self, image: str, command: Sequence[str] = (), *, stdio: Stdio | None = None, **options: Any
    ) -> Container:
        """Run a task in a new container; returns when it runs. For the options see ContainerRequest.of.

        Without `stdio` the task has no input, and this process' output. Raises ContainerizerError;
        then nothing is left.
        """
        own = Inherit.without_input()
        try:
            container = self.create(self._repeated.of(image, command, options), stdio or own)
        finally:
            os.close(own.stdin)
        container.start()
        return container

    def create(self, request: ContainerRequest, stdio: Stdio, progress: Progress | None = None) -> Container:
        """Everything of a launch but the last step: the task is there, and blocks until `Container.start`.

        Raises ContainerizerError; then nothing is left.
        """
        request = self._begin(request)
        with nested.with_parent(self, request) as request:
            container = self._admit(request, stdio)
            with self.abandoning(container):
                self._provision(container, request, progress)
                kind = self._kind(container, request, stdio)
                info = self._prepare(container, request, kind)
                task = self._clone(container, info, stdio, kind)
                self._isolation.of(request.config).isolate(container.id, task.pid)
                self._fetch(container, request, info)
        self._containers.append(container)
        return container

    def execute(self, container_id: ContainerId, request: nested.ExecRequest, stdio: Stdio) -> Container:
        """A further command in a running container; it blocks until `Container.start`, as with `create`."""
        further = nested.command_in(self, container_id, request, stdio)
        with further as (container, info), self.abandoning(container):
            container.enter(State.PROVISIONING)
            container.enter(State.PREPARING)
            self._clone(container, info, stdio)
            container.enter(State.FETCHING)
        self._containers.append(container)
        return container

    def plan(self, request: ContainerRequest, progress: Progress | None = None) -> Merged:
        """What `launch` would have the launcher do, and which isolator asks for it. Pulls, no more."""
        request = self._begin(request)
        with nested.with_parent(self, request) as request:
            image = None if request.image == HOST else provisioning.pull(self, request, progress)
            config = provisioning.described(self, request, image, progress)
            return merging.planned(self._isolation.of(config).isolators, request, config)

    def containers(self) -> list[ContainerRecord]:
        """Every container on this state directory, whoever launched it."""
        return records.load_all(self.paths)

    def get(self, name: str) -> RemoteContainer:
        """A container by its name or a beginning of it that no other has, whoever launched it.

        Raises NoSuchContainer, and InvalidRequest for an ambiguous beginning.
        """
        return self._remote(records.find(self.paths, name))

    def isolators_of(self, record: ContainerRecord) -> list[Isolator]:
        """Those at work for a container that was launched. Raises UnknownIsolator, IsolatorUnavailable."""
        return at_work(self.isolators_loaded_for(record), shares_cgroups=record.shares_cgroups)

    def isolators_loaded_for(self, record: ContainerRecord) -> list[Isolator]:
        """All that were loaded when it was launched, and have to clean up."""
        if record.isolation not in self._loaded:
            self._loaded[record.isolation] = catalog.load(record.isolation, self.flags, launched=True)
        return self._loaded[record.isolation]

    def attach(self, container_id: ContainerId) -> Attachment:
        """Connect to a container's pipes or terminal, whoever launched it.

        Raises NoSuchContainer, and NotServed if it has ended or has neither.
        """
        from containerizer.attaching import attach  # what most never do

        return attach(self.paths, container_id)

    def usage(self, container: Container) -> Usage:
        """What the container consumes, from every isolator that measures something."""
        measured: dict[str, Any] = {}
        for isolator in self._isolation.of(container.config).isolators:
            usage = isolator.usage(container.id)
            measured |= {name: value for name, value in asdict(usage).items() if value is not None}
        return Usage(**measured)

    # The steps of a launch, in their order -----------------------------------------------------

    def _begin(self, request: ContainerRequest) -> ContainerRequest:
        self._isolation.check(request.config)
        if request.tmpfs:
            from containerizer import tmpfs  # what most never do

            tmpfs.check(request.tmpfs, request.container_id, request.config)
        launchers.check_image(self._launcher_name, request)
        for isolator in self.isolators:
            isolator.stays = True  # until `close`: others may follow
        return seccomp_files.resolved(request, self.flags)

    def _admit(self, request: ContainerRequest, stdio: Stdio) -> Container:
        owner = os.getpid()
        record = ContainerRecord(
            container_id=str(request.container_id),
            image=request.image,
            isolation=self._isolation.names,
            keep=request.keep,
            shares_cgroups=request.config.share_cgroups,
            limits=request.config.resources.limits(),
            owner=owner,
            owner_started=own_start(),
            stdio=mode_of(stdio),
            created_at=time.time(),
        )
        saved = records.reserve(self.paths, record)
        try:
            sandbox.create(self.paths.sandbox(request.container_id))
        except BaseException:  # not ours, so not ours to delete with the rest
            sandbox.delete(self.paths.container_state(request.container_id))
            raise
        config = replace(request.config, sandbox=self.paths.sandbox(request.container_id))
        return Container(self, record, saved, config)

    def _provision(self, container: Container, request: ContainerRequest, progress: Progress | None) -> None:
        container.enter(State.PROVISIONING)
        provisioning.provision(self, container, request, progress)

    def _kind(self, container: Container, request: ContainerRequest, stdio: Stdio) -> Kind | None:
        """What is known of such launches, if there have been some."""

        def learn(placeholder: ContainerId) -> LaunchRequest:
            other = replace(request, container_id=placeholder)
            info = merging.planned(
                self.isolators, other, provisioning.described(self, other, container.image)
            ).info
            return self._requests.make(placeholder, info, stdio)

        return self._kinds.find(request, container.image, learn)

    def _prepare(self, container: Container, request: ContainerRequest, kind: Kind | None) -> LaunchInfo:
        container.enter(State.PREPARING)
        if request.config.volumes:
            provisioning.note_volumes(self.paths, container.id, request)
        if kind is not None:
            info = kind.info(container.id)
            self._isolation.create(container.id, container.config, info)
            return info
        isolators = self._isolation.of(request.config).isolators
        return merging.prepared(isolators, request, container.config).info

    def _clone(self, container: Container, info: LaunchInfo, stdio: Stdio, kind: Kind | None = None) -> Task:
        container.stages.begin(stages.CLONE)
        like = kind.like if kind else None
        task = container.task = self._launcher.launch(self._requests.make(container.id, info, stdio, like))
        place = kind.place(container.id) if kind else nested.place(info)
        checkpoint.write_new(self.paths.launch_info(container.id), place)
        container.enter(
            State.ISOLATING,
            **processes_of(task),
            command=nested.shown_command(info),
            stop_signal=info.stop_signal,
        )
        return task

    def _fetch(self, container: Container, request: ContainerRequest, info: LaunchInfo) -> None:
        """What can be told of limits must be watched before the task runs."""
        container.enter(State.FETCHING)
        if request.fetch:
            from containerizer import fetching

            container.save()  # for once it is not brief
            fetching.fetch(self, container, request, info)
        for watch in self._isolation.of(request.config).watches(container.id, request.config):
            container.watch(watch)

    # The way down ------------------------------------------------------------------------------

    def terminated(self, container: Container) -> None:
        """The task has ended: take everything back but the sandbox and the termination."""
        assert container.termination is not None
        self._end_task(container)
        with ending.of_own(self.paths, container.record, container.saved) as end:
            if end is None or end.over:
                container.conclude()
                return
            with container.being_taken_back():
                take_back(container.id, self.isolators)
            end.say(container.termination)

    def forget(self, container: Container) -> None:
        """Delete what is left of a terminated container."""
        with ending.of_own(self.paths, container.record, container.saved) as end:
            if end is not None:
                self.delete(container.id)
        self.release(container)

    def release(self, container: Container) -> None:
        """Leave the container alone when this containerizer closes."""
        if container in self._containers:
            self._containers.remove(container)

    def end(self, container: Container) -> None:
        """Kill everything in a container that was launched here, and wait until it has ended."""
        with ending.of_own(self.paths, container.record, container.saved) as end:
            gone = end is None
        if not gone:
            self._remote(container.id).end()

    def _remote(self, container_id: ContainerId) -> RemoteContainer:
        from containerizer.remote import RemoteContainer  # those launched here need it rarely

        return RemoteContainer(self, container_id)

    def resume(self, container: Container) -> None:
        """Let a paused container go on, to its end if it was killed."""
        for isolator in self.isolators:
            if isolator.pauses:
                with contextlib.suppress(ContainerizerError):  # it ends just now
                    isolator.resume(container.id)

    @contextlib.contextmanager
    def abandoning(self, container: Container) -> Iterator[None]:
        """Take back the launch if a step within fails; what cannot be taken back is added to the cause."""
        try:
            yield
        except BaseException as error:
            self._abandon(container, error)
            raise

    def _abandon(self, container: Container, cause: BaseException) -> None:
        stages.blame(cause, container.stages.current)
        try:
            self.give_up(container)
        except (ContainerizerError, OSError) as error:
            cause.add_note(f"and cleaning up failed: {error}")

    def give_up(self, container: Container) -> None:
        """Take back the launch of a container that does not run yet. Idempotent."""
        self._end_task(container)
        with ending.of_own(self.paths, container.record, container.saved) as end:
            if end is not None and not end.over:
                if container.state is not State.DESTROYING:
                    container.enter(State.DESTROYING)
                take_back(container.id, self.isolators)
        self.forget(container)

    def _end_task(self, container: Container) -> None:
        container.close_watches()
        if container.task is not None:
            container.task.destroy()

    def delete(self, container_id: ContainerId, *, volumes: bool = True) -> None:
        """Delete all files of a container that nobody else is about to end, and those in it before.

        `volumes`: and the anonymous ones.
        """
        for within in records.nested(self.paths, container_id):
            with contextlib.suppress(NoSuchContainer):
                self._remote(within).remove(force=True, volumes=volumes)
        if volumes:
            provisioning.remove_volumes(self.paths, self.flags, container_id)
        directory = self.paths.sandbox(container_id)
        self.provisioner.destroy(str(container_id), directory)
        sandbox.delete(directory)
        sandbox.delete_state(self.paths.container_state(container_id))
