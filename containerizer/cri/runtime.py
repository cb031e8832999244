"""What the runtime is, and how it is: Version, Status, and what a kubelet tells it of itself."""

from __future__ import annotations

import json
import logging
from importlib import metadata

from containerizer.cri import networks
from containerizer.cri.errors import NotImplementedHere
from containerizer.cri.proto import containers_pb2 as containers
from containerizer.cri.proto import runtime_pb2 as messages
from containerizer.cri.settings import CriSettings
from launcher.errors import ContainerizerError

NAME = "containerizer"

_KUBELETS_API = "0.1.0"  # of the field `version`, which nobody has ever changed
_log = logging.getLogger("containerizer.agent")


class RuntimeCalls:
    """Those calls."""

    def __init__(self, settings: CriSettings, version: str) -> None:
        """`version`: of the API."""
        self._settings = settings
        self._version = version
        self._pod_cidr = ""

    async def version(self, request: messages.VersionRequest) -> messages.VersionResponse:
        return messages.VersionResponse(
            version=_KUBELETS_API,
            runtime_name=NAME,
            runtime_version=metadata.version("containerizer"),
            runtime_api_version=self._version,
        )

    async def status(self, request: messages.StatusRequest) -> messages.StatusResponse:
        answer = messages.StatusResponse(
            status=messages.RuntimeStatus(
                conditions=[messages.RuntimeCondition(type="RuntimeReady", status=True), self._network()]
            ),
            features=messages.RuntimeFeatures(supplemental_groups_policy=True),
        )
        for name in ("", *self._settings.handlers):
            answer.runtime_handlers.add(
                name=name,
                features=messages.RuntimeHandlerFeatures(
                    user_namespaces=True, recursive_read_only_mounts=True
                ),
            )
        if request.verbose:
            answer.info["config"] = json.dumps(
                {
                    "runtimeHandlers": self._settings.handlers,
                    "cgroupDriver": self._settings.cgroup_driver,
                    "cniConfigDirs": self._settings.cni_config_dirs,
                    "podCIDR": self._pod_cidr,
                }
            )
        return answer

    async def runtime_config(self, request: messages.RuntimeConfigRequest) -> messages.RuntimeConfigResponse:
        systemd = self._settings.cgroup_driver == "systemd"
        driver = messages.SYSTEMD if systemd else messages.CGROUPFS
        return messages.RuntimeConfigResponse(linux=messages.LinuxRuntimeConfiguration(cgroup_driver=driver))

    async def update_runtime_config(
        self, request: messages.UpdateRuntimeConfigRequest
    ) -> messages.UpdateRuntimeConfigResponse:
        """The range of a node's pods: plug-ins have it from the cluster, so it is only noted."""
        self._pod_cidr = request.runtime_config.network_config.pod_cidr
        _log.info("the pods of this node are in %s", self._pod_cidr or "no range of addresses")
        return messages.UpdateRuntimeConfigResponse()

    async def checkpoint_container(
        self, request: containers.CheckpointContainerRequest
    ) -> containers.CheckpointContainerResponse:
        raise NotImplementedHere("containers cannot be checkpointed: there is no CRIU here")

    def _network(self) -> messages.RuntimeCondition:
        try:
            networks.first(self._settings.cni_config_dirs)
        except ContainerizerError as error:
            return messages.RuntimeCondition(
                type="NetworkReady", status=False, reason="NetworkPluginNotReady", message=str(error)
            )
        return messages.RuntimeCondition(type="NetworkReady", status=True)
