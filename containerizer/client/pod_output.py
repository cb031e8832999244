"""What an agent's pod writes, as `pod run` shows it: each of its containers in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from containerizer.api.proto import pods_pb2 as pods
from containerizer.api.proto.process_io_pb2 import ProcessIO
from containerizer.client.client import AgentClient
from containerizer.client.transport import AgentFailed, AgentUnreachable
from launcher.attach_protocol import STDERR, STDOUT

_REFUSED = (401, 403, 429, 503)  # by an agent that has the container

Print = Callable[[str, int, bytes], None]  # told the container's name, the stream, and what it wrote


class PodOutput:
    """Fed with how the pod is, it prints what has come of each run of its containers."""

    def __init__(self, client: AgentClient, pod: str, print_: Print) -> None:
        """`print_` is called from one thread at a time."""
        self._client = client
        self._pod = pod
        self._print = print_
        self._members: dict[str, _Member] = {}
        self._printing = threading.Lock()

    def see(self, pod: pods.Pod) -> None:
        for told in pod.members:
            name = told.container_id.value
            if name not in self._members:
                self._members[name] = _Member(self._client, f"{self._pod}.{name}", self._printer(name))
            self._members[name].begun(told.restarts + (told.state != "waiting"))

    def finish(self) -> None:
        """There are no further runs: wait until all that was written is printed."""
        for member in self._members.values():
            member.end()

    def _printer(self, name: str) -> Callable[[int, bytes], None]:
        def print_(stream: int, data: bytes) -> None:
            with self._printing:
                self._print(name, stream, data)

        return print_


class _Member:
    def __init__(self, client: AgentClient, container: str, print_: Callable[[int, bytes], None]) -> None:
        self._client = client
        self._container = container
        self._print = print_
        self._runs = 0  # that have begun
        self._over = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def begun(self, runs: int) -> None:
        with self._news:
            self._runs = max(runs, self._runs)
            self._news.notify()

    def end(self) -> None:
        with self._news:
            self._over = True
            self._news.notify()
        self._thread.join()

    def _follow(self) -> None:
        for run in range(1 << 31):
            with self._news:
                self._news.wait_for(lambda run=run: self._over or self._runs > run)  # type: ignore[misc]
                if self._runs <= run:
                    return
                later = self._runs - run - 1
            if later <= 1:  # of the runs before those nothing is kept
                self._show(previous=later == 1)

    def _show(self, *, previous: bool) -> None:
        try:
            with self._client.logs(self._container, follow=not previous, previous=previous) as entries:
                for entry in entries:
                    self._print(STDERR if entry.stream == ProcessIO.Data.STDERR else STDOUT, entry.data)
        except AgentUnreachable:
            return  # who follows the pod tells of it
        except AgentFailed as error:
            if error.status in _REFUSED:
                self._print(STDERR, f"containerizer: no logs of {self._container}: {error}\n".encode())
            # Or else it could not be started, or is removed already.
