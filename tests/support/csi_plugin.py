"""A node plug-in of the Container Storage Interface, written against its specification, by gRPC's library.

A volume is a directory that outlives its mounts, staged and published by bind mounts that the whole host
sees. It keeps to the specification: what is asked for again has the same outcome, what was staged or
published otherwise is refused. `behaviour` says for a method what is to become of the next calls:

    "hang"   no answer, until the server stops
    "error"  a status, and nothing done
    "die"    it is done, and the answer is lost
"""

# ruff: noqa: N802 - methods have the names of calls

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from isolators.volume.proto import csi_pb2 as csi

NAME = "csi.example.org"


class CsiServer:
    """What it has, and how it behaves."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.data.mkdir(parents=True)
        self.stages = True
        self.ready = True
        self.name = NAME
        self.behaviour: dict[str, str] = {}
        self.calls: list[tuple[str, Any]] = []
        self.staged: dict[str, str] = {}  # volume → path
        self.published: dict[str, tuple[str, bool]] = {}  # path → volume, and whether it is read-only
        self.hanging, self.stopping = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def add(self, volume: str) -> Path:
        """A volume that is there, of whoever provisions them."""
        path = self.data / volume
        path.mkdir()
        return path

    def named(self, method: str) -> list[Any]:
        return [request for name, request in self.calls if name == method]

    def mounted(self) -> list[str]:
        """What it has mounted, by the kernel's account."""
        own = {*self.staged.values(), *self.published}
        return sorted(own & _mount_points())

    def forget(self) -> None:
        """As one that has been started again, on a node that has been emptied."""
        for path in (*self.published, *self.staged.values()):
            while path in _mount_points():
                subprocess.run(["umount", path], check=True)
        self.published.clear()
        self.staged.clear()

    def call(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append((method, request))
        behaviour = self.behaviour.get(method)
        if behaviour == "hang":
            self.hanging.set()
            self.stopping.wait()
        if behaviour in ("hang", "error"):
            context.abort(grpc.StatusCode.INTERNAL, f"storage says no to {method}: 50%")
        with self._lock:
            answer = getattr(self, method)(request, context)
        if behaviour == "die":
            context.abort(grpc.StatusCode.UNAVAILABLE, "it is being restarted")
        return answer

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return csi.GetPluginInfoResponse(name=self.name, vendor_version="1")

    def Probe(self, request: Any, context: grpc.ServicerContext) -> Any:
        return csi.ProbeResponse(ready=csi.ProbeResponse.Readiness(value=self.ready))

    def NodeGetCapabilities(self, request: Any, context: grpc.ServicerContext) -> Any:
        stage = csi.NodeServiceCapability.RPC(type="STAGE_UNSTAGE_VOLUME")
        found = [csi.NodeServiceCapability(rpc=stage)] if self.stages else []
        return csi.NodeGetCapabilitiesResponse(capabilities=found)

    def NodeStageVolume(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._check(request, context)
        if not os.path.isdir(request.staging_target_path):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the staging path is no directory")
        if self.staged.get(request.volume_id) == request.staging_target_path:
            return csi.NodeStageVolumeResponse()
        if request.volume_id in self.staged:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "")
        _bind(str(self.data / request.volume_id), request.staging_target_path)
        self.staged[request.volume_id] = request.staging_target_path
        return csi.NodeStageVolumeResponse()

    def NodePublishVolume(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._check(request, context)
        if self.stages and self.staged.get(request.volume_id) != request.staging_target_path:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "")
        asked = request.volume_id, request.readonly
        if self.published.setdefault(request.target_path, asked) != asked:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "")
        if request.target_path in _mount_points():
            return csi.NodePublishVolumeResponse()
        if request.volume_capability.HasField("block"):
            os.mknod(request.target_path, 0o600 | 0o060000, os.makedev(7, 0))
            return csi.NodePublishVolumeResponse()
        os.makedirs(request.target_path, exist_ok=True)
        _bind(request.staging_target_path or str(self.data / request.volume_id), request.target_path)
        if request.readonly:
            subprocess.run(["mount", "-o", "remount,bind,ro", request.target_path], check=True)
        return csi.NodePublishVolumeResponse()

    def NodeUnpublishVolume(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.published.pop(request.target_path, None) is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "not published here")
        if request.target_path in _mount_points():
            subprocess.run(["umount", request.target_path], check=True)
            os.rmdir(request.target_path)
        else:
            os.unlink(request.target_path)
        return csi.NodeUnpublishVolumeResponse()

    def NodeUnstageVolume(self, request: Any, context: grpc.ServicerContext) -> Any:
        if any(volume == request.volume_id for volume, _ in self.published.values()):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is published")
        if self.staged.pop(request.volume_id, None) is not None:
            subprocess.run(["umount", request.staging_target_path], check=True)
        return csi.NodeUnstageVolumeResponse()

    def _check(self, request: Any, context: grpc.ServicerContext) -> None:
        if not request.HasField("volume_capability") or not request.volume_capability.access_mode.mode:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "there is no capability")
        if not (self.data / request.volume_id).is_dir():
            context.abort(grpc.StatusCode.NOT_FOUND, "")


def _bind(source: str, target: str) -> None:
    subprocess.run(["mount", "--bind", source, target], check=True)


def _mount_points() -> set[str]:
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


@contextlib.contextmanager
def listening(plugin: CsiServer, path: Path) -> Iterator[CsiServer]:
    """Have it serve at a Unix socket, until the context ends; nothing stays mounted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plugin.stopping.clear()
    server = grpc.server(futures.ThreadPoolExecutor(16))
    for service in csi.DESCRIPTOR.services_by_name.values():
        handlers = {method.name: _handler(plugin, method) for method in service.methods}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield plugin
    finally:
        plugin.stopping.set()
        server.stop(None).wait()
        path.unlink(missing_ok=True)
        plugin.forget()


def _handler(plugin: CsiServer, method: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        lambda request, context: plugin.call(method.name, request, context),
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )
