from containerizer.api.proto import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FollowPod(_message.Message):
    __slots__ = ["container_id"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...

class Pod(_message.Message):
    __slots__ = ["container_id", "created_at", "members", "message", "phase"]
    class Member(_message.Message):
        __slots__ = ["container_id", "exit_code", "init", "message", "ready", "restarts", "state"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
        INIT_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        READY_FIELD_NUMBER: _ClassVar[int]
        RESTARTS_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        exit_code: int
        init: bool
        message: str
        ready: bool
        restarts: int
        state: str
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., state: _Optional[str] = ..., init: bool = ..., ready: bool = ..., restarts: _Optional[int] = ..., exit_code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    created_at: float
    members: _containers.RepeatedCompositeFieldContainer[Pod.Member]
    message: str
    phase: str
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., phase: _Optional[str] = ..., message: _Optional[str] = ..., created_at: _Optional[float] = ..., members: _Optional[_Iterable[_Union[Pod.Member, _Mapping]]] = ...) -> None: ...

class PodStarted(_message.Message):
    __slots__ = ["ignored"]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    ignored: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ignored: _Optional[_Iterable[str]] = ...) -> None: ...

class Pods(_message.Message):
    __slots__ = ["pods"]
    PODS_FIELD_NUMBER: _ClassVar[int]
    pods: _containers.RepeatedCompositeFieldContainer[Pod]
    def __init__(self, pods: _Optional[_Iterable[_Union[Pod, _Mapping]]] = ...) -> None: ...

class RemovePod(_message.Message):
    __slots__ = ["container_id", "force", "keep"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    force: bool
    keep: bool
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., force: bool = ..., keep: bool = ...) -> None: ...

class RunPod(_message.Message):
    __slots__ = ["container_id", "manifest", "remove"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    manifest: bytes
    remove: bool
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., manifest: _Optional[bytes] = ..., remove: bool = ...) -> None: ...
