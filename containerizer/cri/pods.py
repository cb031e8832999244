"""Pod sandboxes: a pod is a container that pauses, and those of the pod are nested in it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator

from containerizer import checkpoint
from containerizer.agent.lanes.process import NOTHING
from containerizer.containerizer import Containerizer
from containerizer.cri import filters, networks, pod_requests, scopes, told
from containerizer.cri.errors import AlreadyThere, NoSuchPod
from containerizer.cri.proto import containers_pb2 as containers
from containerizer.cri.proto import pods_pb2 as messages
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod
from containerizer.cri.service import Service
from containerizer.cri.store import id_of
from containerizer.record import NoSuchContainer
from containerizer.request import ContainerRequest
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest

RESOLVER = "resolv.conf"

_log = logging.getLogger("containerizer.agent")


class PodCalls:
    """Those calls."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store
        self._starting: set[str] = set()  # of which nobody is told before they are there

    async def run_pod_sandbox(self, request: messages.RunPodSandboxRequest) -> messages.RunPodSandboxResponse:
        """Its record is there before it: what a killed agent had begun is removed by the kubelet."""
        config = request.config
        self._check(request)
        pod = StoredPod(
            id=new_id(),
            config=config,
            runtime_handler=request.runtime_handler,
            created_at=time.time_ns(),
            state=messages.SANDBOX_NOTREADY,
        )
        settings = self._service.settings
        asked = pod_requests.request(
            pod.id, config, settings, lambda: networks.first(settings.cni_config_dirs).name
        )
        resolver = pod_requests.resolver(config)
        self._starting.add(pod.id)
        try:
            self._store.save_pod(pod)
            if resolver:
                _write_resolver(self._store.directory(pod.id), resolver)
            await self._launch(asked)
            if asked.config.networks.names:
                pod.ips.extend(await self._service.engine.call(lambda owner: _addresses(owner, id_of(pod))))
        except BaseException:
            await self._forget_failed(pod)
            raise
        finally:
            self._starting.discard(pod.id)
        pod.state = messages.SANDBOX_READY
        self._store.save_pod(pod)
        self._service.await_pod(pod)
        for kind in (containers.CONTAINER_CREATED_EVENT, containers.CONTAINER_STARTED_EVENT):
            self._service.happenings.tell(pod.id, kind, pod.id)
        return messages.RunPodSandboxResponse(pod_sandbox_id=pod.id)

    async def stop_pod_sandbox(
        self, request: messages.StopPodSandboxRequest
    ) -> messages.StopPodSandboxResponse:
        """All that is in it ends now, and its network is given back. One that is gone has stopped."""
        with contextlib.suppress(NoSuchPod):
            pod = self._store.pod(request.pod_sandbox_id)
            async with self._service.lock(pod.id):
                await self._stop(pod)
        return messages.StopPodSandboxResponse()

    async def remove_pod_sandbox(
        self, request: messages.RemovePodSandboxRequest
    ) -> messages.RemovePodSandboxResponse:
        """With all of its containers, which end if they run."""
        with contextlib.suppress(NoSuchPod):
            pod = self._store.pod(request.pod_sandbox_id)
            async with self._service.lock(pod.id):
                await self._stop(pod)
                with contextlib.suppress(NoSuchContainer):
                    await self._service.engine.remove(id_of(pod), force=True)
                for id_ in (*(each.id for each in self._store.within(pod.id)), pod.id):
                    self._service.forget(id_)
                    self._service.happenings.tell(id_, containers.CONTAINER_DELETED_EVENT, pod.id)
                self._store.forget_pod(pod.id)
        return messages.RemovePodSandboxResponse()

    async def update_pod_sandbox_resources(
        self, request: messages.UpdatePodSandboxResourcesRequest
    ) -> messages.UpdatePodSandboxResourcesResponse:
        """Noted: the cgroup that they are limits of is the kubelet's own, around the pod's."""
        pod = self._store.pod(request.pod_sandbox_id)
        pod.config.linux.resources.CopyFrom(request.resources)
        pod.config.linux.overhead.CopyFrom(request.overhead)
        self._store.save_pod(pod)
        return messages.UpdatePodSandboxResourcesResponse()

    async def pod_sandbox_status(
        self, request: messages.PodSandboxStatusRequest
    ) -> containers.PodSandboxStatusResponse:
        pod = self._store.pod(request.pod_sandbox_id)
        answer = containers.PodSandboxStatusResponse(
            status=told.pod_status(pod),
            containers_statuses=map(told.container_status, self._store.within(pod.id)),
            timestamp=time.time_ns(),
        )
        if request.verbose:
            answer.info["info"] = json.dumps(self._info(pod))
        return answer

    async def list_pod_sandbox(
        self, request: messages.ListPodSandboxRequest
    ) -> messages.ListPodSandboxResponse:
        found = filters.pods_in_state(self._known(), request.filter)
        return messages.ListPodSandboxResponse(items=map(told.pod, found))

    async def stream_pod_sandboxes(
        self, request: messages.StreamPodSandboxesRequest
    ) -> AsyncIterator[messages.StreamPodSandboxesResponse]:
        found = filters.pods_in_state(self._known(), request.filter)
        yield messages.StreamPodSandboxesResponse(pod_sandboxes=map(told.pod, found))

    def _known(self) -> list[StoredPod]:
        return [each for each in self._store.pods.values() if each.id not in self._starting]

    # How ---------------------------------------------------------------------------------------

    async def _launch(self, asked: ContainerRequest) -> None:
        parent = asked.config.cgroup_parent or ""
        scoped = parent.endswith(f"/{scopes.name_of(str(asked.container_id))}")
        async with scopes.held(parent) if scoped else contextlib.nullcontext():
            await self._service.engine.launch(asked, NOTHING)

    async def _forget_failed(self, pod: StoredPod) -> None:
        """Its container may be there, and nobody could name it. What cannot be removed stays listed."""
        try:
            with contextlib.suppress(NoSuchContainer):
                await self._service.engine.remove(id_of(pod), force=True)
        except (ContainerizerError, OSError) as error:
            _log.error("pod %s has failed, and cannot be removed: %s", pod.id, error)
        else:
            self._store.forget_pod(pod.id)

    def _check(self, request: messages.RunPodSandboxRequest) -> None:
        """Raises InvalidRequest, AlreadyThere."""
        metadata, handler = request.config.metadata, request.runtime_handler
        if not metadata.name:
            raise InvalidRequest("the pod sandbox has no name")
        if handler and handler not in self._service.settings.handlers:
            hint = f"the handlers are {', '.join(self._service.settings.handlers)}"
            raise InvalidRequest(f"unknown runtime handler {handler!r}", hint=hint)
        for pod in self._store.pods.values():
            if pod.config.metadata == metadata:
                raise AlreadyThere(f"this attempt of pod {metadata.namespace}/{metadata.name} is {pod.id}")

    async def _stop(self, pod: StoredPod) -> None:
        with contextlib.suppress(NoSuchContainer):
            await self._service.engine.destroy(id_of(pod))
        for container in self._store.within(pod.id):
            await self._service.ended(container.id)
        await self._service.ended(pod.id)

    def _info(self, pod: StoredPod) -> dict[str, object]:
        record = self._service.record(id_of(pod))
        return {
            "pid": None if record is None else record.pid,
            "runtimeHandler": pod.runtime_handler,
            "containerName": str(id_of(pod)),
            "config": told.as_json(pod.config),
        }


def new_id() -> str:
    """Of a pod or a container: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def resolver_of(service: Service, container: StoredContainer) -> str:
    """The path of the resolv.conf of its pod; "" if there is none."""
    path = os.path.join(service.store.directory(container.pod_id), RESOLVER)
    return path if os.path.exists(path) else ""


def _write_resolver(directory: str, text: str) -> None:
    path = os.path.join(directory, RESOLVER)
    checkpoint.write_text(path, text)
    os.chmod(path, 0o644)
    os.chmod(directory, 0o755)  # noqa: S103 - whoever its containers run as reads it


def _addresses(owner: Containerizer, container_id: ContainerId) -> list[str]:
    """Those of eth0, an address a family, IPv4 first, as pods are known by them."""
    network = next(each for each in owner.isolators if each.name == "network/cni")
    interfaces = network.status(container_id).get("interfaces", {})
    found = [str(text).partition("/")[0] for text in interfaces.get("eth0", {}).get("addresses", ())]
    return sorted(found, key=lambda text: ":" in text)
