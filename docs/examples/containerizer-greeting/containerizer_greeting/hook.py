"""A hook: writes a line before each launch and after each end, where CONTAINERIZER_JOURNAL says."""

from __future__ import annotations

import os

from isolators.hooks.python import Hook
from isolators.isolator import ContainerConfig
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo


class Journal(Hook):
    def before_launch(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """An error ends the launch; what is returned is merged with what isolators contribute."""
        if config.user == "nobody":
            raise InvalidRequest("nobody is not to run anything here")
        self._write(f"launching {container_id}")
        return LaunchInfo(environment={"JOURNAL": str(container_id)})

    def after_destroy(self, container_id: ContainerId) -> None:
        """Idempotent: it may be called again, and for launches that failed before."""
        self._write(f"gone {container_id}")

    def _write(self, line: str) -> None:
        if path := os.environ.get("CONTAINERIZER_JOURNAL"):
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{line}\n")
