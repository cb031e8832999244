"""Containers of pods: created as a record, launched when they are started, kept until they are removed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Sequence

from containerizer.cri import container_requests, endings, filters, image_names, in_force, told
from containerizer.cri.errors import AlreadyThere, NotNow
from containerizer.cri.image_names import NamedImage
from containerizer.cri.images import ImageCalls
from containerizer.cri.mounts import image_volumes
from containerizer.cri.pods import new_id, resolver_of
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import containers_pb2 as messages
from containerizer.cri.proto import pods_pb2 as pods
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod
from containerizer.cri.service import Service
from containerizer.cri.sessions import running
from containerizer.cri.store import id_of
from containerizer.record import NoSuchContainer
from containerizer.request import ContainerRequest
from isolators.volumes import Volume
from launcher.attach import LogReopened
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest
from provisioner.errors import ImageNotFound

_PATIENCE = 10.0  # seconds for a relay to open a log anew


class ContainerCalls:
    """Those calls."""

    def __init__(self, service: Service, images: ImageCalls) -> None:
        self._service = service
        self._store = service.store
        self._images = images

    async def create_container(
        self, request: messages.CreateContainerRequest
    ) -> messages.CreateContainerResponse:
        """Whatever can be refused is refused now."""
        pod = self._ready(request.pod_sandbox_id)
        config = request.config
        self._check(pod, config)
        container = StoredContainer(
            id=new_id(),
            pod_id=pod.id,
            config=config,
            state=messages.CONTAINER_CREATED,
            created_at=time.time_ns(),
            resources=config.linux.resources,
            log_path=_log_path(pod, config),
        )
        image = await self._images.find(config.image.image)
        if image is None:
            raise ImageNotFound(f"no image {config.image.image!r}", hint="pull it first")
        container.image_id = image.id
        container.image_ref = image.digests[0] if image.digests else image.id
        await self._asked(pod, container)
        self._store.save(container)
        self._service.happenings.tell(container.id, messages.CONTAINER_CREATED_EVENT, pod.id)
        return messages.CreateContainerResponse(container_id=container.id)

    async def start_container(
        self, request: messages.StartContainerRequest
    ) -> messages.StartContainerResponse:
        container = self._store.container(request.container_id)
        async with self._service.lock(container.id):
            container = self._store.container(container.id)  # it may have been removed meanwhile
            if container.state != messages.CONTAINER_CREATED:
                state = messages.ContainerState.Name(container.state)
                raise NotNow(f"container {container.id} is in the state {state}")
            pod = self._ready(container.pod_id)
            try:
                asked = await self._asked(pod, container)
                await self._clear(id_of(container))
                _make_log(container.log_path)
                launch = await self._service.engine.launch(asked, container_requests.stdio(container))
            except (ContainerizerError, OSError) as error:
                endings.failed(container, error)
                self._store.save(container)
                raise
            container.state = messages.CONTAINER_RUNNING
            container.started_at = time.time_ns()
            if launch.record.pid is not None:
                with contextlib.suppress(OSError):  # it has ended
                    container.user.CopyFrom(_user_of(launch.record.pid))
            self._store.save(container)
            self._service.await_container(container)
            self._service.happenings.tell(container.id, messages.CONTAINER_STARTED_EVENT, pod.id)
        return messages.StartContainerResponse()

    async def stop_container(self, request: messages.StopContainerRequest) -> messages.StopContainerResponse:
        """Its stop signal, and after `timeout` seconds its end; at once with 0. Fine if it has ended."""
        with contextlib.suppress(NoSuchContainer):
            container = self._store.container(request.container_id)
            if container.state == messages.CONTAINER_RUNNING:
                timeout = float(max(0, request.timeout))
                if timeout:
                    await self._service.engine.stop(id_of(container), timeout)
                else:
                    await self._service.engine.destroy(id_of(container))
            await self._service.ended(container.id)
        return messages.StopContainerResponse()

    async def remove_container(
        self, request: messages.RemoveContainerRequest
    ) -> messages.RemoveContainerResponse:
        """One that runs ends now; its log is the kubelet's. Fine if it is not there."""
        with contextlib.suppress(NoSuchContainer):
            container = self._store.container(request.container_id)
            async with self._service.lock(container.id):
                with contextlib.suppress(NoSuchContainer):
                    await self._service.engine.remove(id_of(container), force=True)
                await self._service.ended(container.id)
                self._store.forget(container)
                self._service.forget(container.id)
            kind = messages.CONTAINER_DELETED_EVENT
            self._service.happenings.tell(container.id, kind, container.pod_id)
        return messages.RemoveContainerResponse()

    async def list_containers(
        self, request: messages.ListContainersRequest
    ) -> messages.ListContainersResponse:
        found = filters.containers_in_state(self._store.containers.values(), request.filter)
        return messages.ListContainersResponse(containers=map(told.container, found))

    async def stream_containers(
        self, request: messages.StreamContainersRequest
    ) -> AsyncIterator[messages.StreamContainersResponse]:
        found = filters.containers_in_state(self._store.containers.values(), request.filter)
        yield messages.StreamContainersResponse(containers=map(told.container, found))

    async def container_status(
        self, request: messages.ContainerStatusRequest
    ) -> messages.ContainerStatusResponse:
        container = self._store.container(request.container_id)
        answer = messages.ContainerStatusResponse(status=told.container_status(container))
        now = in_force.resources_of(self._service.engine.paths, container)
        answer.status.resources.linux.CopyFrom(now)
        if request.verbose:
            record = self._service.record(id_of(container))
            info = {
                "sandboxID": container.pod_id,
                "pid": None if record is None else record.pid,
                "containerName": str(id_of(container)),
                "command": None if record is None else record.command,
                "config": told.as_json(container.config),
            }
            answer.info["info"] = json.dumps(info)
        return answer

    async def update_container_resources(
        self, request: messages.UpdateContainerResourcesRequest
    ) -> messages.UpdateContainerResourcesResponse:
        """What is not named stays."""
        container = self._store.container(request.container_id)
        async with self._service.lock(container.id):
            container = self._store.container(container.id)  # it may have been removed meanwhile
            limits = container_requests.changed(
                request.linux, huge_pages=self._service.settings.limits_huge_pages
            )
            if container.state == messages.CONTAINER_RUNNING:
                await self._service.engine.update(id_of(container), limits)
            elif container.state != messages.CONTAINER_CREATED:
                raise NotNow(f"container {container.id} has ended")
            container.resources.MergeFrom(_named(request.linux, container.resources))
            self._store.save(container)
        return messages.UpdateContainerResourcesResponse()

    async def reopen_container_log(
        self, request: messages.ReopenContainerLogRequest
    ) -> messages.ReopenContainerLogResponse:
        """The kubelet has renamed it. The new one is there when this returns."""
        container_id = running(self._store, request.container_id)
        try:
            async with asyncio.timeout(_PATIENCE), await self._service.engine.attach(container_id) as stream:
                await stream.reopen_log()
                async for event in stream.events():
                    if isinstance(event, LogReopened):
                        if event.failure:
                            raise ContainerizerError(f"cannot open the log anew: {event.failure}")
                        break
        except TimeoutError:
            raise ContainerizerError(f"nobody opens the log of {container_id} anew") from None
        return messages.ReopenContainerLogResponse()

    # How ---------------------------------------------------------------------------------------

    async def _asked(self, pod: StoredPod, container: StoredContainer) -> ContainerRequest:
        """What to launch, by the image that was found when it was created. Raises ImageNotFound."""
        images = await self._images.known()
        image = image_names.find(images, container.image_id)
        if image is None:
            raise ImageNotFound(f"the image {container.image_id} of container {container.id} is gone")
        options = container.config.linux.security_context.namespace_options
        target: ContainerId | None = None
        if options.pid == common.TARGET and options.target_id:
            other = self._store.container(options.target_id)
            if other.pod_id != pod.id:
                raise InvalidRequest(f"container {other.id} is in another pod")
            target = running(self._store, other.id)
        resolver = resolver_of(self._service, container)
        settings, volumes = self._service.settings, _image_volumes(container, images)
        # In a thread, for it looks at paths of the host, which may be a server's that is gone.
        return await asyncio.to_thread(
            container_requests.request, pod, container, image.any, resolver, settings, target, volumes
        )

    async def _clear(self, container_id: ContainerId) -> None:
        """Remove what an agent has left that was killed while it launched this."""
        if self._service.record(container_id) is not None:
            with contextlib.suppress(NoSuchContainer):
                await self._service.engine.remove(container_id, force=True)

    def _ready(self, text: str) -> StoredPod:
        """Raises NoSuchPod, NotNow."""
        pod = self._store.pod(text)
        if pod.state != pods.SANDBOX_READY:
            raise NotNow(f"pod sandbox {pod.id} is not ready")
        return pod

    def _check(self, pod: StoredPod, config: messages.ContainerConfig) -> None:
        """Raises InvalidRequest, AlreadyThere."""
        if not config.metadata.name:
            raise InvalidRequest("the container has no name")
        if not config.image.image:
            raise InvalidRequest(f"container {config.metadata.name} has no image")
        for each in self._store.within(pod.id):
            if each.config.metadata == config.metadata:
                raise AlreadyThere(f"this attempt of container {config.metadata.name} is {each.id}")


def _log_path(pod: StoredPod, config: messages.ContainerConfig) -> str:
    """Beneath the pod's directory. Raises InvalidRequest."""
    directory, path = pod.config.log_directory, config.log_path
    if not directory or not path:
        return ""
    if not os.path.isabs(directory) or os.path.isabs(path) or ".." in path.split("/"):
        raise InvalidRequest(f"invalid path of a log {path!r} in {directory!r}")
    return os.path.join(directory, path)


def _make_log(path: str) -> None:
    """There from the start: whoever looks for it does not know whether anything was written yet."""
    if path:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(path, flags, 0o640))


def _named(
    asked: common.LinuxContainerResources, before: common.LinuxContainerResources
) -> common.LinuxContainerResources:
    """Of lists and maps, which merging would lengthen, the new ones."""
    if asked.hugepage_limits:
        del before.hugepage_limits[:]
    return asked


def _user_of(pid: int) -> messages.LinuxContainerUser:
    """As proc_pid_status(5) tells it. Raises OSError."""
    found: dict[str, list[int]] = {}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("Uid", "Gid", "Groups"):
                found[name] = [int(word) for word in rest.split()]
    return messages.LinuxContainerUser(
        uid=found["Uid"][0], gid=found["Gid"][0], supplemental_groups=found["Groups"]
    )


def _image_volumes(container: StoredContainer, images: Sequence[NamedImage]) -> tuple[Volume, ...]:
    """Notes their ids. Raises ImageNotFound, InvalidRequest."""
    mounts, references = container.config.mounts, dict[str, str]()
    for mount in mounts:
        name = mount.image.image
        if not name:
            continue
        found = image_names.find(images, name)
        if found is None:
            raise ImageNotFound(f"the image {name}, a volume of container {container.id}, is not there")
        references[name] = found.any.reference
        mount.image.image_ref = found.id  # for the status
    return image_volumes(mounts, references)
