"""What is stored of pods and containers, as lists and statuses tell it."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from containerizer.cri import pod_requests
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import containers_pb2 as containers
from containerizer.cri.proto import pods_pb2 as pods
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod


def pod(of: StoredPod) -> pods.PodSandbox:
    return pods.PodSandbox(
        id=of.id,
        metadata=of.config.metadata,
        state=of.state,
        created_at=of.created_at,
        labels=of.config.labels,
        annotations=of.config.annotations,
        runtime_handler=of.runtime_handler,
    )


def pod_status(of: StoredPod) -> pods.PodSandboxStatus:
    """One that has stopped has no address any more."""
    status = pods.PodSandboxStatus(
        id=of.id,
        metadata=of.config.metadata,
        state=of.state,
        created_at=of.created_at,
        linux=pods.LinuxPodSandboxStatus(**pod_requests.namespaces_of(of.config)),
        labels=of.config.labels,
        annotations=of.config.annotations,
        runtime_handler=of.runtime_handler,
    )
    if of.state == pods.SANDBOX_READY and of.ips:
        others = [pods.PodIP(ip=ip) for ip in of.ips[1:]]
        status.network.CopyFrom(pods.PodSandboxNetworkStatus(ip=of.ips[0], additional_ips=others))
    return status


def container(of: StoredContainer) -> containers.Container:
    return containers.Container(
        id=of.id,
        pod_sandbox_id=of.pod_id,
        metadata=of.config.metadata,
        image=of.config.image,
        image_ref=of.image_ref,
        image_id=of.image_id,
        state=of.state,
        created_at=of.created_at,
        labels=of.config.labels,
        annotations=of.config.annotations,
    )


def container_status(of: StoredContainer) -> containers.ContainerStatus:
    status = containers.ContainerStatus(
        id=of.id,
        metadata=of.config.metadata,
        state=of.state,
        created_at=of.created_at,
        started_at=of.started_at,
        finished_at=of.finished_at,
        exit_code=of.exit_code,
        image=_image(of),
        image_ref=of.image_ref,
        image_id=of.image_id,
        reason=of.reason,
        message=of.message,
        labels=of.config.labels,
        annotations=of.config.annotations,
        mounts=of.config.mounts,
        log_path=of.log_path,
        resources=containers.ContainerResources(linux=of.resources),
        stop_signal=of.config.stop_signal,
    )
    if of.HasField("user"):
        status.user.CopyFrom(containers.ContainerUser(linux=of.user))
    return status


def as_json(message: Message) -> dict[str, Any]:
    """For people."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _image(of: StoredContainer) -> common.ImageSpec:
    """As people named it, if the kubelet tells."""
    spec = common.ImageSpec()
    spec.CopyFrom(of.config.image)
    spec.image = spec.user_specified_image or spec.image
    return spec
