"""What the launcher is asked for: where a launch leaves its traces, beside what the isolators want."""

from __future__ import annotations

from containerizer.cleanup import reaper
from containerizer.paths import Paths
from launcher.base import LaunchRequest
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.launch_info import LaunchInfo
from launcher.stdio import Inherit, Service, Stdio


class LaunchRequests(Data):
    """Those of one containerizer."""

    paths: Paths
    served: bool  # by an agent, which takes back what ends, unless there is none then

    def make(
        self, container_id: ContainerId, info: LaunchInfo, stdio: Stdio, like: LaunchRequest | None = None
    ) -> LaunchRequest:
        return LaunchRequest(
            container_id=str(container_id),
            info=info,
            stdio=stdio,
            like=like,
            service=self._service(container_id, stdio),
            exit_status_path=self.paths.exit_status(container_id),
            reaper=reaper(self.paths, container_id),
            caretaker=self.paths.agent_lock if self.served else None,
        )

    def _service(self, container_id: ContainerId, stdio: Stdio) -> Service | None:
        if isinstance(stdio, Inherit):
            return None
        return Service(
            relays=self.paths.relays,
            socket=self.paths.attach_socket(container_id),
            log=self.paths.log(container_id),
        )
