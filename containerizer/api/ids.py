"""Container ids: the messages of the API, a level in each other, and ours."""

from __future__ import annotations

from containerizer.api.proto.values_pb2 import ContainerID
from launcher.container_id import MAX_DEPTH, ContainerId
from launcher.errors import InvalidRequest


def to_id(message: ContainerID) -> ContainerId:
    """Raises InvalidRequest for names that become no directory or cgroup, and for too many levels."""
    if not message.HasField("parent") and "." not in message.value:
        return ContainerId.parse(message.value)  # which knows those it was asked for of late
    names = [message.value]
    while message.HasField("parent"):
        message = message.parent
        names.append(message.value)
        if len(names) > MAX_DEPTH + 1:  # a command in the deepest container
            raise InvalidRequest(f"a container nested deeper than {MAX_DEPTH} levels")
    container_id = ContainerId(names.pop())
    while names:
        container_id = ContainerId(names.pop(), container_id)
    return container_id


def to_message(container_id: ContainerId) -> ContainerID:
    """The whole chain of parents."""
    message = ContainerID(value=container_id.name)
    if container_id.parent is not None:
        message.parent.CopyFrom(to_message(container_id.parent))
    return message
