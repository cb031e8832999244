"""AgentClient: the calls of the API as methods that block until they are answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

from google.protobuf.message import Message

from containerizer.api import environment, limits, media, pull_credentials, recordio
from containerizer.api.describing import duration
from containerizer.api.ids import to_id, to_message
from containerizer.api.media import PROTOBUF, RECORDIO
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto import pods_pb2 as pods
from containerizer.api.proto import process_io_pb2 as process_io
from containerizer.client.encoding import launch_call, refuse_others
from containerizer.client.transport import Answer, Credentials, Transport
from containerizer.nested import ExecRequest
from containerizer.request import ContainerRequest
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.exit_status import ExitStatus
from launcher.stdio import Pipes, Terminal
from provisioner.reference import ImageReference
from provisioner.registry.options import Credentials as RegistryCredentials

M = TypeVar("M", bound=Message)
Call = agent.Call

_WHOLE = {"Content-Type": PROTOBUF, "Accept": PROTOBUF}
_STREAM = {"Content-Type": PROTOBUF, "Accept": RECORDIO, "Message-Accept": PROTOBUF}
_KILLED = 137  # by SIGKILL, in the shell's convention
_PIECE = 64 * 1024  # bytes that are read of a stream at once

INPUT = {"Content-Type": RECORDIO, "Message-Content-Type": PROTOBUF}


class NoSuchName(InvalidRequest):
    """The agent has no container of this name, or several whose names begin so."""


class Stream(Iterator[M]):
    """The records of an answer, in their order; a context manager that hangs up."""

    def __init__(self, answer: Answer, kind: type[M]) -> None:
        self._answer = answer
        self.hang_up = answer.hang_up  # from another thread
        self._kind = kind
        self._decoder = recordio.Decoder()
        self._decoded: deque[bytes] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._answer.close()

    def __next__(self) -> M:
        """Raises AgentUnreachable where the stream was cut off."""
        while not self._decoded:
            data = self._answer.read(_PIECE)
            if not data:
                self._decoder.finish()
                self.close()
                raise StopIteration
            self._decoded.extend(self._decoder.feed(data))
        return media.decode(self._decoded.popleft(), PROTOBUF, self._kind)


class AgentClient:
    """Containers are named by their ids, or as `web.db`. Safe to share between threads.

    Every method raises AgentUnreachable, and AgentFailed with the agent's reason.
    """

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        """Raises InvalidRequest for a URL that is none."""
        self.transport = Transport(url, credentials)

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close: no connection outlives its call."""

    # Any call ----------------------------------------------------------------------------------

    def call(self, call: Call) -> agent.Response:
        """Ask for one message; an empty one where the answer is only that it was done."""
        with self.transport.post(call.SerializeToString(), _WHOLE) as response:
            return agent.Response.FromString(response.read())

    def stream(self, call: Call, kind: type[M]) -> Stream[M]:
        """Ask for a stream; what can fail has been done when this returns. To close it is to hang up."""
        return Stream(self.transport.post(call.SerializeToString(), _STREAM), kind)

    def upload(self, calls: Iterable[Call]) -> None:
        """Send a stream, and wait until it has been dealt with."""
        framed = (recordio.frame(call.SerializeToString()) for call in calls)
        self.transport.post(framed, INPUT).close()

    # The agent ---------------------------------------------------------------------------------

    def version(self) -> str:
        return self.call(Call(type=Call.GET_VERSION)).get_version.version_info.version

    def metrics(self) -> dict[str, float]:
        call = Call(type=Call.GET_METRICS)
        call.get_metrics.SetInParent()
        return {metric.name: metric.value for metric in self.call(call).get_metrics.metrics}

    def events(self) -> Stream[extensions.Event]:
        """What happens from now on; "heartbeat" when nothing does."""
        return self.stream(Call(type=Call.EVENTS), extensions.Event)

    # Containers --------------------------------------------------------------------------------

    def launch(
        self,
        request: ContainerRequest,
        stdio: Pipes | Terminal | None = None,
        *,
        credentials: RegistryCredentials | None = None,
    ) -> ContainerId:
        """Returns when it runs. One of that id that is there already is left as it is.

        `credentials`: to pull its image with.
        """
        self.call(launch_call(request, stdio or Pipes(), credentials))
        return request.container_id

    def launch_session(
        self,
        request: ContainerRequest,
        stdio: Pipes | Terminal | None = None,
        *,
        credentials: RegistryCredentials | None = None,
    ) -> Stream[process_io.ProcessIO]:
        """The same, and `output` from its first byte on. To hang up leaves the container alone."""
        call = launch_call(request, stdio or Pipes(), credentials)
        session = Call(type=Call.LAUNCH_SESSION, launch_session=call.launch_container)
        return self.stream(session, process_io.ProcessIO)

    def execute(
        self, container: str, request: ExecRequest, stdio: Pipes | Terminal | None = None
    ) -> ContainerId:
        """Start a further command; the id is its own."""
        call = Call(type=Call.EXEC)
        call.exec.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        call.exec.command.shell = False
        call.exec.command.value = request.command[0] if request.command else ""
        call.exec.command.arguments.extend(request.command)
        if request.user is not None:
            call.exec.command.user = request.user
        environment.add(call.exec.command, request.environment, request.secret_environment)
        if request.working_directory is not None:
            call.exec.working_directory = request.working_directory
        if isinstance(stdio, Terminal):
            size = call.exec.tty_info.window_size
            size.rows, size.columns = stdio.rows, stdio.columns
        elif stdio is not None:
            call.exec.stdin = stdio.stdin
        return to_id(self.call(call).exec.container_id)

    def containers(self, *, ended: bool = False) -> list[extensions.ContainerSummary]:
        """Those that run, or all that have not been removed; each followed by those in it."""
        call = Call(type=Call.LIST_CONTAINERS)
        call.list_containers.all = ended
        return list(self.call(call).list_containers.containers)

    def find(self, text: str) -> str:
        """The container of this name, or the only one whose name begins so; each level. Raises NoSuchName."""
        matching = [str(to_id(each.container_id)) for each in self.containers(ended=True)]
        levels = text.split(".")
        matching = [name for name in matching if name.count(".") == len(levels) - 1]
        for number, level in enumerate(levels):
            beginning = [name for name in matching if name.split(".")[number].startswith(level)]
            exact = [name for name in beginning if name.split(".")[number] == level]
            matching = exact or beginning
        if len(matching) != 1:
            hint = f"{len(matching)} begin so" if matching else "`ps -a` lists them"
            raise NoSuchName(f"the agent has no container {text}", hint=hint)
        return matching[0]

    def inspect(self, container: str) -> extensions.ContainerSummary:
        """What is known of it now."""
        return self._await(container, 0.0).container

    def wait(self, container: str, timeout: float | None = None) -> extensions.ContainerSummary | None:
        """Wait for its end, at most `timeout` seconds; None if it has not come by then."""
        awaited = self._await(container, timeout)
        return awaited.container if awaited.ended else None

    def kill(self, container: str, number: int = 9) -> None:
        """Send a signal to its task; SIGKILL ends it, with all in it."""
        call = Call(type=Call.KILL_CONTAINER)
        call.kill_container.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        call.kill_container.signal = number
        self.call(call)

    def stop(self, container: str, timeout: float | None = None) -> None:
        """Ask it to stop, and end it after `timeout` seconds."""
        call = Call(type=Call.STOP_CONTAINER)
        call.stop_container.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        if timeout is not None:
            call.stop_container.grace_period.CopyFrom(duration(timeout))
        self.call(call)

    def remove(self, container: str, *, force: bool = False, timeout: float | None = None) -> None:
        """Forget one that has ended, with its sandbox; `force`: end it first, and none is fine.

        `timeout`: seconds for what was killed to end; None: the agent's own.
        """
        call = Call(type=Call.REMOVE_CONTAINER)
        call.remove_container.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        call.remove_container.force = force
        if timeout is not None:
            call.remove_container.timeout.CopyFrom(duration(timeout))
        self.call(call)

    def pause(self, container: str) -> None:
        call = Call(type=Call.PAUSE_CONTAINER)
        call.pause_container.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        self.call(call)

    def unpause(self, container: str) -> None:
        call = Call(type=Call.UNPAUSE_CONTAINER)
        call.unpause_container.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        self.call(call)

    def update(self, container: str, resources: Resources) -> None:
        """Change limits; those that are None stay. Raises InvalidRequest for what the API cannot say."""
        refuse_others(resources, Resources(), limits.CARRIED)
        call = Call(type=Call.UPDATE_CONTAINER)
        call.update_container.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        for name, amount in limits.amounts(resources).items():
            call.update_container.limits[name].value = amount
        call.update_container.further.CopyFrom(limits.further(resources))
        self.call(call)

    def processes(self, container: str) -> list[extensions.Processes.Process]:
        """Those in it, by their pids."""
        call = Call(type=Call.LIST_PROCESSES)
        call.list_processes.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        return list(self.call(call).list_processes.processes)

    # Input, output, files ----------------------------------------------------------------------

    def output(self, container: str) -> Stream[process_io.ProcessIO]:
        """What it writes, the last 64 KiB of before first, until it ends."""
        call = Call(type=Call.ATTACH_CONTAINER_OUTPUT)
        call.attach_container_output.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        return self.stream(call, process_io.ProcessIO)

    def logs(
        self,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: str = "",
        previous: bool = False,
    ) -> Stream[extensions.LogEntry]:
        """Its log; `follow`: until it ends. `since`: RFC 3339 in UTC, or a beginning of that.

        `previous`: of a pod's container, that of the run before this one.
        """
        call = Call(type=Call.FOLLOW_LOGS)
        call.follow_logs.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        call.follow_logs.follow, call.follow_logs.since = follow, since
        call.follow_logs.previous = previous
        if tail is not None:
            call.follow_logs.tail = tail
        return self.stream(call, extensions.LogEntry)

    def get_archive(self, container: str, path: str, *, follow: bool = False) -> Iterator[bytes]:
        """A file or directory of it as a tar archive, in pieces; `follow` the path if it is a link."""
        call = Call(type=Call.COPY_OUT)
        call.copy_out.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        call.copy_out.path, call.copy_out.follow_link = path, follow
        with self.stream(call, extensions.ArchivePart) as parts:
            for part in parts:
                yield part.archive

    def put_archive(
        self, container: str, path: str, archive: Iterable[bytes], *, keep_owners: bool = False
    ) -> None:
        """Unpack a tar archive into a directory of it; a piece is 1 MiB at most."""
        first = Call(type=Call.COPY_IN)
        first.copy_in.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        first.copy_in.path, first.copy_in.keep_owners = path, keep_owners
        pieces = (Call(type=Call.COPY_IN, copy_in=extensions.CopyIn(archive=piece)) for piece in archive)
        self.upload(each for calls in ([first], pieces) for each in calls)

    # Images ------------------------------------------------------------------------------------

    def images(self) -> list[extensions.ImageInfo]:
        return list(self.call(Call(type=Call.LIST_IMAGES)).list_images.images)

    def pull(
        self, name: str, *, policy: str = "always", credentials: RegistryCredentials | None = None
    ) -> extensions.ImageInfo:
        call = Call(type=Call.PULL_IMAGE)
        call.pull_image.name, call.pull_image.pull = name, policy
        if credentials is not None:
            registry = ImageReference.parse(name).registry
            pull_credentials.fill(call.pull_image.config, registry, credentials)
        return self.call(call).pull_image

    def remove_image(self, name: str) -> None:
        call = Call(type=Call.REMOVE_IMAGE)
        call.remove_image.name = name
        self.call(call)

    # Pods --------------------------------------------------------------------------------------

    def run_pod(self, name: str, manifest: bytes, *, remove: bool = False) -> list[str]:
        """Of that name, by Kubernetes' Pod manifest. Returns fields of it that mean nothing there."""
        call = Call(type=Call.RUN_POD)
        call.run_pod.container_id.value = name
        call.run_pod.manifest, call.run_pod.remove = manifest, remove
        return list(self.call(call).run_pod.ignored)

    def follow_pod(self, name: str) -> Stream[pods.Pod]:
        """How it is, and each time that changes, until it has ended or is removed."""
        call = Call(type=Call.FOLLOW_POD)
        call.follow_pod.container_id.value = name
        return self.stream(call, pods.Pod)

    def pods(self) -> list[pods.Pod]:
        return list(self.call(Call(type=Call.LIST_PODS)).list_pods.pods)

    def remove_pod(self, name: str, *, force: bool = False, keep: bool = False) -> None:
        """End it, with all in it; `force`: without asking, `keep`: what it was, and its logs."""
        call = Call(type=Call.REMOVE_POD)
        call.remove_pod.container_id.value = name
        call.remove_pod.force, call.remove_pod.keep = force, keep
        self.call(call)

    def _await(self, container: str, timeout: float | None) -> extensions.Awaited:
        call = Call(type=Call.AWAIT_CONTAINER)
        call.await_container.container_id.CopyFrom(to_message(ContainerId.parse(container)))
        if timeout is not None:
            call.await_container.timeout.CopyFrom(duration(timeout))
        return self.call(call).await_container


def exit_code(container: extensions.ContainerSummary) -> int:
    """Of one that has ended, by the shell's convention. To end by a limit is never a success."""
    limited = container.termination.HasField("limitation")
    return exit_status(container).exit_code or (_KILLED if limited else 0)


def exit_status(container: extensions.ContainerSummary) -> ExitStatus:
    """Of one that has ended."""
    ended = container.termination
    return ExitStatus(signal=ended.signal) if ended.HasField("signal") else ExitStatus(code=ended.code)
