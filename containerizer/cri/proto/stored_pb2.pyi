from containerizer.cri.proto import common_pb2 as _common_pb2
from containerizer.cri.proto import containers_pb2 as _containers_pb2
from containerizer.cri.proto import pods_pb2 as _pods_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StoredContainer(_message.Message):
    __slots__ = ["config", "created_at", "exit_code", "finished_at", "id", "image_id", "image_ref", "log_path", "message", "pod_id", "reason", "resources", "started_at", "state", "user"]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_REF_FIELD_NUMBER: _ClassVar[int]
    LOG_PATH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    POD_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    config: _containers_pb2.ContainerConfig
    created_at: int
    exit_code: int
    finished_at: int
    id: str
    image_id: str
    image_ref: str
    log_path: str
    message: str
    pod_id: str
    reason: str
    resources: _common_pb2.LinuxContainerResources
    started_at: int
    state: _containers_pb2.ContainerState
    user: _containers_pb2.LinuxContainerUser
    def __init__(self, id: _Optional[str] = ..., pod_id: _Optional[str] = ..., config: _Optional[_Union[_containers_pb2.ContainerConfig, _Mapping]] = ..., image_id: _Optional[str] = ..., image_ref: _Optional[str] = ..., state: _Optional[_Union[_containers_pb2.ContainerState, str]] = ..., created_at: _Optional[int] = ..., started_at: _Optional[int] = ..., finished_at: _Optional[int] = ..., exit_code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., resources: _Optional[_Union[_common_pb2.LinuxContainerResources, _Mapping]] = ..., log_path: _Optional[str] = ..., user: _Optional[_Union[_containers_pb2.LinuxContainerUser, _Mapping]] = ...) -> None: ...

class StoredPod(_message.Message):
    __slots__ = ["config", "created_at", "id", "ips", "runtime_handler", "state"]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IPS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_HANDLER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    config: _pods_pb2.PodSandboxConfig
    created_at: int
    id: str
    ips: _containers.RepeatedScalarFieldContainer[str]
    runtime_handler: str
    state: _pods_pb2.PodSandboxState
    def __init__(self, id: _Optional[str] = ..., config: _Optional[_Union[_pods_pb2.PodSandboxConfig, _Mapping]] = ..., runtime_handler: _Optional[str] = ..., created_at: _Optional[int] = ..., state: _Optional[_Union[_pods_pb2.PodSandboxState, str]] = ..., ips: _Optional[_Iterable[str]] = ...) -> None: ...
