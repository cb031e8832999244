"""example/greeting: greets who logs in, in /etc/motd, and counts the containers that it has greeted.

An isolator shares no memory with its container and keeps none of its own: what it has made for a container
is found again by the container's id, for the process that launched it may be gone by the end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from isolators.isolator import ContainerConfig, Isolator, Need
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import FileOperation, LaunchInfo

VARIABLE = "GREETING"  # of the request's environment
LONGEST = 1000  # characters


class Greeting(Isolator):
    name = "example/greeting"  # as its entry point
    requires = ("filesystem/linux",)  # without a root filesystem there is no /etc of the container's own
    needs = (Need("a place for notes", lambda: os.path.isdir("/run"), "mkdir /run"),)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """Data only: `containerizer plan` asks for it, too."""
        greeting = config.environment.get(VARIABLE, "welcome")
        if len(greeting) > LONGEST:
            hint = f"use at most {LONGEST} characters"
            raise InvalidRequest(f"the greeting has {len(greeting)} characters", hint=hint)
        text = f"{greeting} to {container_id}\n"
        return LaunchInfo(file_operations=(FileOperation(kind="write", path="/etc/motd", content=text),))

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """What touches the host is done here; `cleanup` takes it back."""
        info = self.contribute(container_id, config)
        os.makedirs(self._notes(), exist_ok=True)
        with open(self._note(container_id), "w", encoding="utf-8") as file:
            file.write("greeted\n")
        return info

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        return {"greeted": os.path.exists(self._note(container_id))}

    def cleanup(self, container_id: ContainerId) -> None:
        """Idempotent, and of containers that it has never seen as well."""
        if os.path.exists(self._note(container_id)):
            os.unlink(self._note(container_id))

    def close(self) -> None:
        if os.path.isdir(self._notes()) and not os.listdir(self._notes()):
            os.rmdir(self._notes())

    def _note(self, container_id: ContainerId) -> str:
        return os.path.join(self._notes(), str(container_id))

    def _notes(self) -> str:
        return os.path.join(self.flags.own_state, "greetings")
