"""Pods of an agent: each is run by a process of its own, a watcher, as `pod run -d` has one.

A manifest is read by the watcher, never here: it is somebody else's, and YAML takes its time. A watcher
outlives the agent; the next one finds the pod by its record, as every other process does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from containerizer.agent.lanes import process as lane
from containerizer.agent.settings import EngineSettings
from containerizer.paths import Paths
from containerizer.pods import removing, status, watcher
from containerizer.pods.manifest import GRACE_PERIOD
from containerizer.pods.status import PodStatus
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest

_AT_ONCE = 4  # that begin, or end
_PATIENCE = GRACE_PERIOD + 10.0  # seconds for whoever runs a pod to end it


class Pods:
    """Belongs to one event loop. Every method raises ContainerizerError."""

    def __init__(self, settings: EngineSettings, paths: Paths) -> None:
        self._settings = settings
        self._paths = paths
        self._watchers: dict[int, int] = {}  # pidfd → pid, of our children
        # Of their own: a manifest may take its time, and nobody else is to wait for it.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pods")

    def close(self) -> None:
        """Leave them alone."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for pidfd in list(self._watchers):
            self._forget(pidfd)

    async def run(self, container_id: ContainerId, manifest: bytes, *, remove: bool) -> Sequence[str]:
        """Returns when it has begun: paths of the manifest that mean nothing here. Raises InvalidRequest."""
        if self._settings.launcher != "linux":
            raise InvalidRequest(f"the launcher {self._settings.launcher} has no pods", hint="use linux")
        options = [*self._options(), f"--named={container_id}", *(["--rm"] if remove else [])]
        loop = asyncio.get_running_loop()
        started = await loop.run_in_executor(self._threads, watcher.start, manifest, options)
        self._watch(started.pid)
        if started.failed is not None:
            raise InvalidRequest(started.failed)
        return started.told

    async def all(self) -> list[PodStatus]:
        return await asyncio.to_thread(lambda: list(status.load_all(self._paths)))

    async def remove(self, container_id: ContainerId, *, force: bool, keep: bool = False) -> None:
        """`keep`: end it only. Raises NoSuchContainer, InvalidRequest for what is no pod, DestroyTimeout,
        CleanupFailed.
        """
        loop = asyncio.get_running_loop()
        patience = 0.0 if force else _PATIENCE
        await loop.run_in_executor(self._threads, self._remove, container_id, patience, keep)

    def _remove(self, container_id: ContainerId, patience: float, keep: bool) -> None:
        with lane.containerizer(self._settings) as owner:
            owner.get(str(container_id))
            if status.load(self._paths, container_id) is None:
                raise InvalidRequest(f"{container_id} is no pod", hint="REMOVE_CONTAINER is for containers")
            removing.remove(owner, container_id, patience, keep=keep)

    def _options(self) -> Iterator[str]:
        """As the command line has what the agent was started with."""
        settings, registries = self._settings, self._settings.registries
        yield from ("--root", self._paths.root, "--state", self._paths.state, "pod", "run", "-")
        if settings.isolation is not None:
            names = settings.isolation
            yield f"--isolation={names if isinstance(names, str) else ','.join(names)}"
        yield f"--isolator-flags={settings.isolator_flags.to_json()}"  # or a pod would be past them
        if settings.image_backend is not None:
            yield f"--image-provisioner-backend={settings.image_backend}"
        if registries is not None:
            yield from (f"--insecure-registry={host}" for host in registries.insecure)
            for name in ("registries_conf", "certs_dir", "authfile"):
                if (value := getattr(registries, name)) is not None:
                    yield f"--{name.replace('_', '-')}={value}"

    def _watch(self, pid: int) -> None:
        pidfd = os.pidfd_open(pid)  # a child's pid is its own until we have collected it
        self._watchers[pidfd] = pid
        asyncio.get_running_loop().add_reader(pidfd, self._ended, pidfd)

    def _ended(self, pidfd: int) -> None:
        pid = self._watchers[pidfd]
        self._forget(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def _forget(self, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        del self._watchers[pidfd]
        os.close(pidfd)
