"""A node's calls to a plug-in of the Container Storage Interface 1.x, one connection each.

Each call may be made again, with the same outcome, so says the specification; one that is not answered,
since nobody listens or the plug-in has died, is made again for a while, and one that hangs is given up.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any, Protocol

from isolators import grpc
from isolators.csi import CsiVolume
from isolators.volume.csi_plugins import CsiFailed, CsiPlugin
from isolators.volume.proto import csi_pb2 as csi
from launcher.data import Data

_IDENTITY, _NODE = "csi.v1.Identity", "csi.v1.Node"
_LARGEST = 1 << 20  # bytes of an answer
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between two tries
_AGAIN = ("UNAVAILABLE", "ABORTED")  # "CSI Errors": it is busy with the volume, or comes soon

# What the specification means by a code, where its name does not say it.
_MEANINGS = {
    "NOT_FOUND": "there is no such volume",
    "ALREADY_EXISTS": "it is there already, but not as it is asked for",
    "FAILED_PRECONDITION": "it is in use elsewhere, or not in this mode",
}


class Published(Data, kw_only=True):
    """Where a volume is, or is to be."""

    volume_id: str
    staging: str  # "": this plug-in does not stage
    target: str


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's names

    def ParseFromString(self, data: bytes) -> int: ...  # noqa: N802


class Node:
    """One plug-in. Each method raises CsiFailed."""

    def __init__(self, plugin: CsiPlugin, timeout: float, retries: float) -> None:
        """`timeout`: seconds for one call; `retries`: those in which one without an answer is made again."""
        self._plugin = plugin
        self._timeout = timeout
        self._retries = retries

    def probe(self) -> None:
        """Whether it is there and ready: it may have just been started."""
        answer = csi.ProbeResponse()
        deadline, pause = time.monotonic() + self._retries, _FIRST_PAUSE
        while True:
            self._call(_IDENTITY, "Probe", csi.ProbeRequest(), answer)
            if not answer.HasField("ready") or answer.ready.value:
                return
            if time.monotonic() + pause > deadline:
                raise CsiFailed(f"the CSI plug-in {self._plugin.name} is not ready", hint="try it again")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def check_name(self) -> None:
        """Whether who listens calls itself so, where it was found by that."""
        if not self._plugin.by_own_name:
            return
        answer = csi.GetPluginInfoResponse()
        self._call(_IDENTITY, "GetPluginInfo", csi.GetPluginInfoRequest(), answer)
        if answer.name != self._plugin.name:
            raise CsiFailed(f"{answer.name!r:.80} listens at {self._plugin.socket}, not {self._plugin.name}")

    def stages(self) -> bool:
        """Whether a volume is made ready for the node before it is for a container."""
        answer = csi.NodeGetCapabilitiesResponse()
        self._call(_NODE, "NodeGetCapabilities", csi.NodeGetCapabilitiesRequest(), answer)
        kinds = [capability.rpc.type for capability in answer.capabilities]
        return csi.NodeServiceCapability.RPC.STAGE_UNSTAGE_VOLUME in kinds

    def stage(self, where: Published, asked: CsiVolume, secrets: Mapping[str, str]) -> None:
        request = csi.NodeStageVolumeRequest(
            volume_id=where.volume_id,
            publish_context=asked.publish_context,
            staging_target_path=where.staging,
            volume_capability=_capability(asked),
            secrets=secrets,
            volume_context=asked.volume_context,
        )
        self._call(_NODE, "NodeStageVolume", request, csi.NodeStageVolumeResponse())

    def publish(
        self, where: Published, asked: CsiVolume, secrets: Mapping[str, str], *, readonly: bool
    ) -> None:
        request = csi.NodePublishVolumeRequest(
            volume_id=where.volume_id,
            publish_context=asked.publish_context,
            staging_target_path=where.staging,
            target_path=where.target,
            volume_capability=_capability(asked),
            readonly=readonly,
            secrets=secrets,
            volume_context=asked.volume_context,
        )
        self._call(_NODE, "NodePublishVolume", request, csi.NodePublishVolumeResponse())

    def unpublish(self, volume_id: str, target: str) -> None:
        request = csi.NodeUnpublishVolumeRequest(volume_id=volume_id, target_path=target)
        self._undo("NodeUnpublishVolume", request, csi.NodeUnpublishVolumeResponse())

    def unstage(self, volume_id: str, staging: str) -> None:
        request = csi.NodeUnstageVolumeRequest(volume_id=volume_id, staging_target_path=staging)
        self._undo("NodeUnstageVolume", request, csi.NodeUnstageVolumeResponse())

    def _undo(self, method: str, request: _Message, answer: _Message) -> None:
        """A volume that is not there any more is no failure."""
        try:
            self._call(_NODE, method, request, answer)
        except CsiFailed as error:
            if error.code != "NOT_FOUND":
                raise

    def _call(self, service: str, method: str, request: _Message, answer: _Message) -> None:
        call = grpc.Call(
            authority="localhost",
            path=f"/{service}/{method}",
            message=request.SerializeToString(),
            largest=_LARGEST,
        )
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            late = time.monotonic() + pause > began + self._retries
            result = self._try(call, method, late=late)
            if result is not None:
                self._take(method, result, answer)
                return
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(self, call: grpc.Call, method: str, *, late: bool) -> grpc.Answer | None:
        """None: it is to be tried again."""
        name = self._plugin.name
        try:
            result = self._once(call)
        except TimeoutError:
            message = f"the CSI plug-in {name} has not answered {method} in {self._timeout:g} seconds"
            raise CsiFailed(message, hint="look at what it waits for; it can be tried again") from None
        except OSError as error:
            if not late:
                return None
            reason = (error.strerror or str(error)).lower()
            hint = f"it is to listen at {self._plugin.socket}; it can be tried again"
            raise CsiFailed(
                f"the CSI plug-in {name} does not answer {method}: {reason}", hint=hint
            ) from error
        return result if late or grpc.CODES.get(result.status) not in _AGAIN else None

    def _once(self, call: grpc.Call) -> grpc.Answer:
        deadline = time.monotonic() + self._timeout
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:

            def limit() -> None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                connection.settimeout(left)

            limit()
            connection.connect(self._plugin.socket)
            return grpc.unary(connection, call, limit)

    def _take(self, method: str, result: grpc.Answer, answer: _Message) -> None:
        from google.protobuf.message import DecodeError

        name = self._plugin.name
        if result.status == grpc.OK:
            try:
                answer.ParseFromString(result.message)
            except DecodeError as error:
                raise CsiFailed(f"the CSI plug-in {name} answers {method} with junk") from error
            return
        code = grpc.CODES.get(result.status, result.status or "no status")
        told = " ".join(result.told.split())[:400] or _MEANINGS.get(code, "it says no more")
        raise CsiFailed(f"the CSI plug-in {name} refuses {method}: {code}: {told}", code=code)


def _capability(asked: CsiVolume) -> Any:
    access = csi.VolumeCapability.AccessMode(mode=asked.access_mode)
    if asked.block:
        return csi.VolumeCapability(block=csi.VolumeCapability.BlockVolume(), access_mode=access)
    mount = csi.VolumeCapability.MountVolume(fs_type=asked.fs_type, mount_flags=asked.mount_flags)
    return csi.VolumeCapability(mount=mount, access_mode=access)
