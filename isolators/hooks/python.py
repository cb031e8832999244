"""hooks/python: code of others before each launch and after each end, from the packages that are installed.

Entry points in the group `containerizer.hooks` name classes like `Hook`. docs/examples/containerizer-greeting
has one. What needs more than these two moments is an isolator of its own (isolators/catalog.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError
from launcher.launch_info import LaunchInfo
from launcher.merge import Merged

ENTRY_POINTS = "containerizer.hooks"


class HookFailed(ContainerizerError):
    """Code of others has failed; the message names it."""


class Hook:
    """The base of hooks; each method's default does nothing. Made once a containerizer."""

    def __init__(self, flags: IsolatorFlags) -> None:
        self.flags = flags

    def before_launch(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo | None:
        """What the launcher has to do besides. Raises ContainerizerError, which ends the launch."""
        return None

    def after_destroy(self, container_id: ContainerId) -> None:
        """The task has ended, or its launch has failed. Idempotent, and unknown ids are fine."""


class HooksPython(Isolator):
    name = "hooks/python"

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        from importlib import metadata  # 15 ms, and few load this

        found = sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
        self._hooks = {point.name: _called(point.name, lambda p: p.load()(flags), point) for point in found}

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """Of a dry run hooks are not told."""
        merged = Merged()
        for name, hook in self._hooks.items():
            merged.add(
                f"{self.name} {name}", _called(name, hook.before_launch, container_id, config) or LaunchInfo()
            )
        return merged.info

    def cleanup(self, container_id: ContainerId) -> None:
        """The last hook first; one that fails does not spare the others."""
        failures = []
        for name, hook in reversed(self._hooks.items()):
            try:
                _called(name, hook.after_destroy, container_id)
            except ContainerizerError as error:
                failures.append(str(error))
        if failures:
            raise HookFailed("; ".join(failures))


def _called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Its result. Raises ContainerizerError: its own, or one that names the hook."""
    try:
        return function(*arguments)
    except ContainerizerError:
        raise
    except Exception as error:
        raise HookFailed(f"the hook {name} has failed: {type(error).__name__}: {error}") from error
