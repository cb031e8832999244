"""Debug containers: an image of tools beside a task, in all of its namespaces but for its files.

The tools' root filesystem is /, so every program and library that runs is the tools' own, and no path of
theirs leads through files that the task could have changed. The task's root is at TARGET: a link to
/proc/<pid>/root, as in Kubernetes' ephemeral containers with a target, that is resolved when somebody uses
it, by then with no more rights than the tools have. See proc_pid_root(5).

They may trace: that is what lets them see the root, memory and descriptors of what runs as another user.
It also keeps the task from tracing them, as they have a capability more than it: ptrace(2).
"""

from __future__ import annotations

from containerizer.request import CONTAINER, HOST, ContainerRequest
from isolators.isolator import ContainerConfig
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import FileOperation, LaunchInfo
from launcher.namespaces import KINDS

TARGET = "/target"
COMMAND = ("sh",)  # where no image has one, and none is asked for

_TRACE = "CAP_SYS_PTRACE"


def new_id(container: ContainerId) -> ContainerId:
    """For a debug container in this one."""
    return ContainerId(f"debug-{ContainerId.generate().name}", container)


def target_of(container: ContainerId) -> ContainerId:
    """Who is meant: a further command (`exec`) has all that the container around it has."""
    return container.parent if container.is_command and container.parent else container


def entering(request: ContainerRequest) -> ContainerRequest:
    """The request with its parent's namespaces, and the right to look into them. Raises InvalidRequest."""
    parent = request.container_id.parent
    if parent is None:
        raise InvalidRequest("a debug container is in the one that it looks into", hint="name its parent")
    if request.image == HOST:
        hint = "name an image of tools, or none to use what the container has"
        raise InvalidRequest("a debug container cannot have the host's files", hint=hint)
    config = request.config
    bounded = any(name.upper().removeprefix("CAP_") == "ALL" for name in config.capabilities_drop)
    return replace(
        request,
        config=replace(
            config,
            namespaces={kind: f"{CONTAINER}{parent}" for kind in KINDS if kind != "mnt"},
            capabilities_add=config.capabilities_add if bounded else (*config.capabilities_add, _TRACE),
        ),
    )


def contribution(config: ContainerConfig) -> LaunchInfo:
    """What shows the parent's root."""
    assert config.parent is not None
    link = FileOperation(kind="symlink", path=TARGET, content=f"/proc/{config.parent.first}/root")
    return LaunchInfo(file_operations=(link,))
