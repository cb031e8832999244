from containerizer.api.proto import containers_pb2 as _containers_pb2
from containerizer.api.proto import extensions_pb2 as _extensions_pb2
from containerizer.api.proto import pods_pb2 as _pods_pb2
from containerizer.api.proto import process_io_pb2 as _process_io_pb2
from containerizer.api.proto import resources_pb2 as _resources_pb2
from containerizer.api.proto import statistics_pb2 as _statistics_pb2
from containerizer.api.proto import tasks_pb2 as _tasks_pb2
from containerizer.api.proto import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Call(_message.Message):
    __slots__ = ["attach_container_input", "attach_container_output", "await_container", "copy_in", "copy_out", "create_volume", "exec", "follow_logs", "follow_pod", "get_containers", "get_metrics", "inspect_volume", "kill_container", "kill_nested_container", "launch_container", "launch_nested_container", "launch_nested_container_session", "launch_session", "list_containers", "list_files", "list_processes", "list_volumes", "pause_container", "prune_images", "prune_volumes", "pull_image", "read_file", "remove_container", "remove_image", "remove_nested_container", "remove_pod", "remove_volume", "run_pod", "set_logging_level", "stop_container", "type", "unpause_container", "update_container", "wait_container", "wait_nested_container"]
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class AttachContainerInput(_message.Message):
        __slots__ = ["container_id", "process_io", "type"]
        class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = []
        CONTAINER_ID: Call.AttachContainerInput.Type
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        PROCESS_IO: Call.AttachContainerInput.Type
        PROCESS_IO_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        UNKNOWN: Call.AttachContainerInput.Type
        container_id: _values_pb2.ContainerID
        process_io: _process_io_pb2.ProcessIO
        type: Call.AttachContainerInput.Type
        def __init__(self, type: _Optional[_Union[Call.AttachContainerInput.Type, str]] = ..., container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., process_io: _Optional[_Union[_process_io_pb2.ProcessIO, _Mapping]] = ...) -> None: ...
    class AttachContainerOutput(_message.Message):
        __slots__ = ["container_id"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...
    class GetContainers(_message.Message):
        __slots__ = ["show_nested", "show_standalone"]
        SHOW_NESTED_FIELD_NUMBER: _ClassVar[int]
        SHOW_STANDALONE_FIELD_NUMBER: _ClassVar[int]
        show_nested: bool
        show_standalone: bool
        def __init__(self, show_nested: bool = ..., show_standalone: bool = ...) -> None: ...
    class GetMetrics(_message.Message):
        __slots__ = ["timeout"]
        TIMEOUT_FIELD_NUMBER: _ClassVar[int]
        timeout: _values_pb2.DurationInfo
        def __init__(self, timeout: _Optional[_Union[_values_pb2.DurationInfo, _Mapping]] = ...) -> None: ...
    class KillContainer(_message.Message):
        __slots__ = ["container_id", "signal"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        SIGNAL_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        signal: int
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., signal: _Optional[int] = ...) -> None: ...
    class KillNestedContainer(_message.Message):
        __slots__ = ["container_id", "signal"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        SIGNAL_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        signal: int
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., signal: _Optional[int] = ...) -> None: ...
    class LaunchContainer(_message.Message):
        __slots__ = ["command", "container", "container_id", "limits", "options", "resources"]
        class LimitsEntry(_message.Message):
            __slots__ = ["key", "value"]
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: _values_pb2.Value.Scalar
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value.Scalar, _Mapping]] = ...) -> None: ...
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        LIMITS_FIELD_NUMBER: _ClassVar[int]
        OPTIONS_FIELD_NUMBER: _ClassVar[int]
        RESOURCES_FIELD_NUMBER: _ClassVar[int]
        command: _containers_pb2.CommandInfo
        container: _containers_pb2.ContainerInfo
        container_id: _values_pb2.ContainerID
        limits: _containers.MessageMap[str, _values_pb2.Value.Scalar]
        options: _extensions_pb2.LaunchOptions
        resources: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Resource]
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., command: _Optional[_Union[_containers_pb2.CommandInfo, _Mapping]] = ..., resources: _Optional[_Iterable[_Union[_resources_pb2.Resource, _Mapping]]] = ..., container: _Optional[_Union[_containers_pb2.ContainerInfo, _Mapping]] = ..., limits: _Optional[_Mapping[str, _values_pb2.Value.Scalar]] = ..., options: _Optional[_Union[_extensions_pb2.LaunchOptions, _Mapping]] = ...) -> None: ...
    class LaunchNestedContainer(_message.Message):
        __slots__ = ["command", "container", "container_id"]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        command: _containers_pb2.CommandInfo
        container: _containers_pb2.ContainerInfo
        container_id: _values_pb2.ContainerID
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., command: _Optional[_Union[_containers_pb2.CommandInfo, _Mapping]] = ..., container: _Optional[_Union[_containers_pb2.ContainerInfo, _Mapping]] = ...) -> None: ...
    class LaunchNestedContainerSession(_message.Message):
        __slots__ = ["command", "container", "container_id"]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        command: _containers_pb2.CommandInfo
        container: _containers_pb2.ContainerInfo
        container_id: _values_pb2.ContainerID
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., command: _Optional[_Union[_containers_pb2.CommandInfo, _Mapping]] = ..., container: _Optional[_Union[_containers_pb2.ContainerInfo, _Mapping]] = ...) -> None: ...
    class ListFiles(_message.Message):
        __slots__ = ["path"]
        PATH_FIELD_NUMBER: _ClassVar[int]
        path: str
        def __init__(self, path: _Optional[str] = ...) -> None: ...
    class PruneImages(_message.Message):
        __slots__ = ["excluded_images"]
        EXCLUDED_IMAGES_FIELD_NUMBER: _ClassVar[int]
        excluded_images: _containers.RepeatedCompositeFieldContainer[_containers_pb2.Image]
        def __init__(self, excluded_images: _Optional[_Iterable[_Union[_containers_pb2.Image, _Mapping]]] = ...) -> None: ...
    class ReadFile(_message.Message):
        __slots__ = ["length", "offset", "path"]
        LENGTH_FIELD_NUMBER: _ClassVar[int]
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        PATH_FIELD_NUMBER: _ClassVar[int]
        length: int
        offset: int
        path: str
        def __init__(self, path: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...
    class RemoveContainer(_message.Message):
        __slots__ = ["container_id", "force", "timeout"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        FORCE_FIELD_NUMBER: _ClassVar[int]
        TIMEOUT_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        force: bool
        timeout: _values_pb2.DurationInfo
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., force: bool = ..., timeout: _Optional[_Union[_values_pb2.DurationInfo, _Mapping]] = ...) -> None: ...
    class RemoveNestedContainer(_message.Message):
        __slots__ = ["container_id"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...
    class SetLoggingLevel(_message.Message):
        __slots__ = ["duration", "level"]
        DURATION_FIELD_NUMBER: _ClassVar[int]
        LEVEL_FIELD_NUMBER: _ClassVar[int]
        duration: _values_pb2.DurationInfo
        level: int
        def __init__(self, level: _Optional[int] = ..., duration: _Optional[_Union[_values_pb2.DurationInfo, _Mapping]] = ...) -> None: ...
    class WaitContainer(_message.Message):
        __slots__ = ["container_id"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...
    class WaitNestedContainer(_message.Message):
        __slots__ = ["container_id"]
        CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
        container_id: _values_pb2.ContainerID
        def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...
    ADD_RESOURCE_PROVIDER_CONFIG: Call.Type
    ATTACH_CONTAINER_INPUT: Call.Type
    ATTACH_CONTAINER_INPUT_FIELD_NUMBER: _ClassVar[int]
    ATTACH_CONTAINER_OUTPUT: Call.Type
    ATTACH_CONTAINER_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    AWAIT_CONTAINER: Call.Type
    AWAIT_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    COPY_IN: Call.Type
    COPY_IN_FIELD_NUMBER: _ClassVar[int]
    COPY_OUT: Call.Type
    COPY_OUT_FIELD_NUMBER: _ClassVar[int]
    CREATE_VOLUME: Call.Type
    CREATE_VOLUME_FIELD_NUMBER: _ClassVar[int]
    EVENTS: Call.Type
    EXEC: Call.Type
    EXEC_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_LOGS: Call.Type
    FOLLOW_LOGS_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_POD: Call.Type
    FOLLOW_POD_FIELD_NUMBER: _ClassVar[int]
    GET_AGENT: Call.Type
    GET_CONTAINERS: Call.Type
    GET_CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    GET_EXECUTORS: Call.Type
    GET_FLAGS: Call.Type
    GET_FRAMEWORKS: Call.Type
    GET_HEALTH: Call.Type
    GET_LOGGING_LEVEL: Call.Type
    GET_METRICS: Call.Type
    GET_METRICS_FIELD_NUMBER: _ClassVar[int]
    GET_OPERATIONS: Call.Type
    GET_RESOURCE_PROVIDERS: Call.Type
    GET_STATE: Call.Type
    GET_TASKS: Call.Type
    GET_VERSION: Call.Type
    INSPECT_VOLUME: Call.Type
    INSPECT_VOLUME_FIELD_NUMBER: _ClassVar[int]
    KILL_CONTAINER: Call.Type
    KILL_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    KILL_NESTED_CONTAINER: Call.Type
    KILL_NESTED_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_CONTAINER: Call.Type
    LAUNCH_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_NESTED_CONTAINER: Call.Type
    LAUNCH_NESTED_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_NESTED_CONTAINER_SESSION: Call.Type
    LAUNCH_NESTED_CONTAINER_SESSION_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_SESSION: Call.Type
    LAUNCH_SESSION_FIELD_NUMBER: _ClassVar[int]
    LIST_CONTAINERS: Call.Type
    LIST_CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    LIST_FILES: Call.Type
    LIST_FILES_FIELD_NUMBER: _ClassVar[int]
    LIST_IMAGES: Call.Type
    LIST_PODS: Call.Type
    LIST_PROCESSES: Call.Type
    LIST_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    LIST_VOLUMES: Call.Type
    LIST_VOLUMES_FIELD_NUMBER: _ClassVar[int]
    MARK_RESOURCE_PROVIDER_GONE: Call.Type
    PAUSE_CONTAINER: Call.Type
    PAUSE_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    PRUNE_IMAGES: Call.Type
    PRUNE_IMAGES_FIELD_NUMBER: _ClassVar[int]
    PRUNE_VOLUMES: Call.Type
    PRUNE_VOLUMES_FIELD_NUMBER: _ClassVar[int]
    PULL_IMAGE: Call.Type
    PULL_IMAGE_FIELD_NUMBER: _ClassVar[int]
    READ_FILE: Call.Type
    READ_FILE_FIELD_NUMBER: _ClassVar[int]
    REMOVE_CONTAINER: Call.Type
    REMOVE_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    REMOVE_IMAGE: Call.Type
    REMOVE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    REMOVE_NESTED_CONTAINER: Call.Type
    REMOVE_NESTED_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    REMOVE_POD: Call.Type
    REMOVE_POD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_RESOURCE_PROVIDER_CONFIG: Call.Type
    REMOVE_VOLUME: Call.Type
    REMOVE_VOLUME_FIELD_NUMBER: _ClassVar[int]
    RUN_POD: Call.Type
    RUN_POD_FIELD_NUMBER: _ClassVar[int]
    SET_LOGGING_LEVEL: Call.Type
    SET_LOGGING_LEVEL_FIELD_NUMBER: _ClassVar[int]
    STOP_CONTAINER: Call.Type
    STOP_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN: Call.Type
    UNPAUSE_CONTAINER: Call.Type
    UNPAUSE_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_CONTAINER: Call.Type
    UPDATE_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_RESOURCE_PROVIDER_CONFIG: Call.Type
    WAIT_CONTAINER: Call.Type
    WAIT_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    WAIT_NESTED_CONTAINER: Call.Type
    WAIT_NESTED_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    attach_container_input: Call.AttachContainerInput
    attach_container_output: Call.AttachContainerOutput
    await_container: _extensions_pb2.AwaitContainer
    copy_in: _extensions_pb2.CopyIn
    copy_out: _extensions_pb2.CopyOut
    create_volume: _extensions_pb2.CreateVolume
    exec: _extensions_pb2.Exec
    follow_logs: _extensions_pb2.FollowLogs
    follow_pod: _pods_pb2.FollowPod
    get_containers: Call.GetContainers
    get_metrics: Call.GetMetrics
    inspect_volume: _extensions_pb2.InspectVolume
    kill_container: Call.KillContainer
    kill_nested_container: Call.KillNestedContainer
    launch_container: Call.LaunchContainer
    launch_nested_container: Call.LaunchNestedContainer
    launch_nested_container_session: Call.LaunchNestedContainerSession
    launch_session: Call.LaunchContainer
    list_containers: _extensions_pb2.ListContainers
    list_files: Call.ListFiles
    list_processes: _extensions_pb2.ListProcesses
    list_volumes: _extensions_pb2.ListVolumes
    pause_container: _extensions_pb2.PauseContainer
    prune_images: Call.PruneImages
    prune_volumes: _extensions_pb2.PruneVolumes
    pull_image: _extensions_pb2.PullImage
    read_file: Call.ReadFile
    remove_container: Call.RemoveContainer
    remove_image: _extensions_pb2.RemoveImage
    remove_nested_container: Call.RemoveNestedContainer
    remove_pod: _pods_pb2.RemovePod
    remove_volume: _extensions_pb2.RemoveVolume
    run_pod: _pods_pb2.RunPod
    set_logging_level: Call.SetLoggingLevel
    stop_container: _extensions_pb2.StopContainer
    type: Call.Type
    unpause_container: _extensions_pb2.UnpauseContainer
    update_container: _extensions_pb2.UpdateContainer
    wait_container: Call.WaitContainer
    wait_nested_container: Call.WaitNestedContainer
    def __init__(self, type: _Optional[_Union[Call.Type, str]] = ..., get_metrics: _Optional[_Union[Call.GetMetrics, _Mapping]] = ..., set_logging_level: _Optional[_Union[Call.SetLoggingLevel, _Mapping]] = ..., list_files: _Optional[_Union[Call.ListFiles, _Mapping]] = ..., read_file: _Optional[_Union[Call.ReadFile, _Mapping]] = ..., get_containers: _Optional[_Union[Call.GetContainers, _Mapping]] = ..., launch_nested_container: _Optional[_Union[Call.LaunchNestedContainer, _Mapping]] = ..., wait_nested_container: _Optional[_Union[Call.WaitNestedContainer, _Mapping]] = ..., kill_nested_container: _Optional[_Union[Call.KillNestedContainer, _Mapping]] = ..., remove_nested_container: _Optional[_Union[Call.RemoveNestedContainer, _Mapping]] = ..., launch_nested_container_session: _Optional[_Union[Call.LaunchNestedContainerSession, _Mapping]] = ..., attach_container_input: _Optional[_Union[Call.AttachContainerInput, _Mapping]] = ..., attach_container_output: _Optional[_Union[Call.AttachContainerOutput, _Mapping]] = ..., launch_container: _Optional[_Union[Call.LaunchContainer, _Mapping]] = ..., wait_container: _Optional[_Union[Call.WaitContainer, _Mapping]] = ..., kill_container: _Optional[_Union[Call.KillContainer, _Mapping]] = ..., remove_container: _Optional[_Union[Call.RemoveContainer, _Mapping]] = ..., prune_images: _Optional[_Union[Call.PruneImages, _Mapping]] = ..., exec: _Optional[_Union[_extensions_pb2.Exec, _Mapping]] = ..., pause_container: _Optional[_Union[_extensions_pb2.PauseContainer, _Mapping]] = ..., unpause_container: _Optional[_Union[_extensions_pb2.UnpauseContainer, _Mapping]] = ..., update_container: _Optional[_Union[_extensions_pb2.UpdateContainer, _Mapping]] = ..., follow_logs: _Optional[_Union[_extensions_pb2.FollowLogs, _Mapping]] = ..., copy_in: _Optional[_Union[_extensions_pb2.CopyIn, _Mapping]] = ..., copy_out: _Optional[_Union[_extensions_pb2.CopyOut, _Mapping]] = ..., pull_image: _Optional[_Union[_extensions_pb2.PullImage, _Mapping]] = ..., remove_image: _Optional[_Union[_extensions_pb2.RemoveImage, _Mapping]] = ..., await_container: _Optional[_Union[_extensions_pb2.AwaitContainer, _Mapping]] = ..., list_containers: _Optional[_Union[_extensions_pb2.ListContainers, _Mapping]] = ..., stop_container: _Optional[_Union[_extensions_pb2.StopContainer, _Mapping]] = ..., launch_session: _Optional[_Union[Call.LaunchContainer, _Mapping]] = ..., list_processes: _Optional[_Union[_extensions_pb2.ListProcesses, _Mapping]] = ..., run_pod: _Optional[_Union[_pods_pb2.RunPod, _Mapping]] = ..., remove_pod: _Optional[_Union[_pods_pb2.RemovePod, _Mapping]] = ..., follow_pod: _Optional[_Union[_pods_pb2.FollowPod, _Mapping]] = ..., create_volume: _Optional[_Union[_extensions_pb2.CreateVolume, _Mapping]] = ..., list_volumes: _Optional[_Union[_extensions_pb2.ListVolumes, _Mapping]] = ..., inspect_volume: _Optional[_Union[_extensions_pb2.InspectVolume, _Mapping]] = ..., remove_volume: _Optional[_Union[_extensions_pb2.RemoveVolume, _Mapping]] = ..., prune_volumes: _Optional[_Union[_extensions_pb2.PruneVolumes, _Mapping]] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ["await_container", "create_volume", "exec", "get_agent", "get_containers", "get_executors", "get_flags", "get_frameworks", "get_health", "get_logging_level", "get_metrics", "get_operations", "get_resource_providers", "get_state", "get_tasks", "get_version", "inspect_volume", "list_containers", "list_files", "list_images", "list_pods", "list_processes", "list_volumes", "prune_volumes", "pull_image", "read_file", "run_pod", "type", "wait_container", "wait_nested_container"]
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class GetAgent(_message.Message):
        __slots__ = ["agent_info", "drain_config", "estimated_drain_start_time"]
        AGENT_INFO_FIELD_NUMBER: _ClassVar[int]
        DRAIN_CONFIG_FIELD_NUMBER: _ClassVar[int]
        ESTIMATED_DRAIN_START_TIME_FIELD_NUMBER: _ClassVar[int]
        agent_info: _tasks_pb2.AgentInfo
        drain_config: _tasks_pb2.DrainConfig
        estimated_drain_start_time: _values_pb2.TimeInfo
        def __init__(self, agent_info: _Optional[_Union[_tasks_pb2.AgentInfo, _Mapping]] = ..., drain_config: _Optional[_Union[_tasks_pb2.DrainConfig, _Mapping]] = ..., estimated_drain_start_time: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ...) -> None: ...
    class GetContainers(_message.Message):
        __slots__ = ["containers"]
        class Container(_message.Message):
            __slots__ = ["container_id", "container_status", "executor_id", "executor_name", "framework_id", "health", "resource_statistics"]
            CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
            CONTAINER_STATUS_FIELD_NUMBER: _ClassVar[int]
            EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
            EXECUTOR_NAME_FIELD_NUMBER: _ClassVar[int]
            FRAMEWORK_ID_FIELD_NUMBER: _ClassVar[int]
            HEALTH_FIELD_NUMBER: _ClassVar[int]
            RESOURCE_STATISTICS_FIELD_NUMBER: _ClassVar[int]
            container_id: _values_pb2.ContainerID
            container_status: _statistics_pb2.ContainerStatus
            executor_id: _tasks_pb2.ExecutorID
            executor_name: str
            framework_id: _tasks_pb2.FrameworkID
            health: _extensions_pb2.Health
            resource_statistics: _statistics_pb2.ResourceStatistics
            def __init__(self, framework_id: _Optional[_Union[_tasks_pb2.FrameworkID, _Mapping]] = ..., executor_id: _Optional[_Union[_tasks_pb2.ExecutorID, _Mapping]] = ..., executor_name: _Optional[str] = ..., container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., container_status: _Optional[_Union[_statistics_pb2.ContainerStatus, _Mapping]] = ..., resource_statistics: _Optional[_Union[_statistics_pb2.ResourceStatistics, _Mapping]] = ..., health: _Optional[_Union[_extensions_pb2.Health, _Mapping]] = ...) -> None: ...
        CONTAINERS_FIELD_NUMBER: _ClassVar[int]
        containers: _containers.RepeatedCompositeFieldContainer[Response.GetContainers.Container]
        def __init__(self, containers: _Optional[_Iterable[_Union[Response.GetContainers.Container, _Mapping]]] = ...) -> None: ...
    class GetExecutors(_message.Message):
        __slots__ = ["completed_executors", "executors"]
        class Executor(_message.Message):
            __slots__ = ["executor_info"]
            EXECUTOR_INFO_FIELD_NUMBER: _ClassVar[int]
            executor_info: _tasks_pb2.ExecutorInfo
            def __init__(self, executor_info: _Optional[_Union[_tasks_pb2.ExecutorInfo, _Mapping]] = ...) -> None: ...
        COMPLETED_EXECUTORS_FIELD_NUMBER: _ClassVar[int]
        EXECUTORS_FIELD_NUMBER: _ClassVar[int]
        completed_executors: _containers.RepeatedCompositeFieldContainer[Response.GetExecutors.Executor]
        executors: _containers.RepeatedCompositeFieldContainer[Response.GetExecutors.Executor]
        def __init__(self, executors: _Optional[_Iterable[_Union[Response.GetExecutors.Executor, _Mapping]]] = ..., completed_executors: _Optional[_Iterable[_Union[Response.GetExecutors.Executor, _Mapping]]] = ...) -> None: ...
    class GetFlags(_message.Message):
        __slots__ = ["flags"]
        FLAGS_FIELD_NUMBER: _ClassVar[int]
        flags: _containers.RepeatedCompositeFieldContainer[_values_pb2.Flag]
        def __init__(self, flags: _Optional[_Iterable[_Union[_values_pb2.Flag, _Mapping]]] = ...) -> None: ...
    class GetFrameworks(_message.Message):
        __slots__ = ["completed_frameworks", "frameworks"]
        class Framework(_message.Message):
            __slots__ = ["framework_info"]
            FRAMEWORK_INFO_FIELD_NUMBER: _ClassVar[int]
            framework_info: _tasks_pb2.FrameworkInfo
            def __init__(self, framework_info: _Optional[_Union[_tasks_pb2.FrameworkInfo, _Mapping]] = ...) -> None: ...
        COMPLETED_FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
        FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
        completed_frameworks: _containers.RepeatedCompositeFieldContainer[Response.GetFrameworks.Framework]
        frameworks: _containers.RepeatedCompositeFieldContainer[Response.GetFrameworks.Framework]
        def __init__(self, frameworks: _Optional[_Iterable[_Union[Response.GetFrameworks.Framework, _Mapping]]] = ..., completed_frameworks: _Optional[_Iterable[_Union[Response.GetFrameworks.Framework, _Mapping]]] = ...) -> None: ...
    class GetHealth(_message.Message):
        __slots__ = ["healthy"]
        HEALTHY_FIELD_NUMBER: _ClassVar[int]
        healthy: bool
        def __init__(self, healthy: bool = ...) -> None: ...
    class GetLoggingLevel(_message.Message):
        __slots__ = ["level"]
        LEVEL_FIELD_NUMBER: _ClassVar[int]
        level: int
        def __init__(self, level: _Optional[int] = ...) -> None: ...
    class GetMetrics(_message.Message):
        __slots__ = ["metrics"]
        METRICS_FIELD_NUMBER: _ClassVar[int]
        metrics: _containers.RepeatedCompositeFieldContainer[_values_pb2.Metric]
        def __init__(self, metrics: _Optional[_Iterable[_Union[_values_pb2.Metric, _Mapping]]] = ...) -> None: ...
    class GetOperations(_message.Message):
        __slots__ = []
        def __init__(self) -> None: ...
    class GetResourceProviders(_message.Message):
        __slots__ = ["resource_providers"]
        class ResourceProvider(_message.Message):
            __slots__ = ["total_resources"]
            TOTAL_RESOURCES_FIELD_NUMBER: _ClassVar[int]
            total_resources: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Resource]
            def __init__(self, total_resources: _Optional[_Iterable[_Union[_resources_pb2.Resource, _Mapping]]] = ...) -> None: ...
        RESOURCE_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
        resource_providers: _containers.RepeatedCompositeFieldContainer[Response.GetResourceProviders.ResourceProvider]
        def __init__(self, resource_providers: _Optional[_Iterable[_Union[Response.GetResourceProviders.ResourceProvider, _Mapping]]] = ...) -> None: ...
    class GetState(_message.Message):
        __slots__ = ["get_executors", "get_frameworks", "get_tasks"]
        GET_EXECUTORS_FIELD_NUMBER: _ClassVar[int]
        GET_FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
        GET_TASKS_FIELD_NUMBER: _ClassVar[int]
        get_executors: Response.GetExecutors
        get_frameworks: Response.GetFrameworks
        get_tasks: Response.GetTasks
        def __init__(self, get_tasks: _Optional[_Union[Response.GetTasks, _Mapping]] = ..., get_executors: _Optional[_Union[Response.GetExecutors, _Mapping]] = ..., get_frameworks: _Optional[_Union[Response.GetFrameworks, _Mapping]] = ...) -> None: ...
    class GetTasks(_message.Message):
        __slots__ = ["completed_tasks", "launched_tasks", "pending_tasks", "queued_tasks", "terminated_tasks"]
        COMPLETED_TASKS_FIELD_NUMBER: _ClassVar[int]
        LAUNCHED_TASKS_FIELD_NUMBER: _ClassVar[int]
        PENDING_TASKS_FIELD_NUMBER: _ClassVar[int]
        QUEUED_TASKS_FIELD_NUMBER: _ClassVar[int]
        TERMINATED_TASKS_FIELD_NUMBER: _ClassVar[int]
        completed_tasks: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.Task]
        launched_tasks: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.Task]
        pending_tasks: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.Task]
        queued_tasks: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.Task]
        terminated_tasks: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.Task]
        def __init__(self, pending_tasks: _Optional[_Iterable[_Union[_tasks_pb2.Task, _Mapping]]] = ..., queued_tasks: _Optional[_Iterable[_Union[_tasks_pb2.Task, _Mapping]]] = ..., launched_tasks: _Optional[_Iterable[_Union[_tasks_pb2.Task, _Mapping]]] = ..., terminated_tasks: _Optional[_Iterable[_Union[_tasks_pb2.Task, _Mapping]]] = ..., completed_tasks: _Optional[_Iterable[_Union[_tasks_pb2.Task, _Mapping]]] = ...) -> None: ...
    class GetVersion(_message.Message):
        __slots__ = ["version_info"]
        VERSION_INFO_FIELD_NUMBER: _ClassVar[int]
        version_info: _values_pb2.VersionInfo
        def __init__(self, version_info: _Optional[_Union[_values_pb2.VersionInfo, _Mapping]] = ...) -> None: ...
    class ListFiles(_message.Message):
        __slots__ = ["file_infos"]
        FILE_INFOS_FIELD_NUMBER: _ClassVar[int]
        file_infos: _containers.RepeatedCompositeFieldContainer[_values_pb2.FileInfo]
        def __init__(self, file_infos: _Optional[_Iterable[_Union[_values_pb2.FileInfo, _Mapping]]] = ...) -> None: ...
    class ReadFile(_message.Message):
        __slots__ = ["data", "size"]
        DATA_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        data: bytes
        size: int
        def __init__(self, size: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
    class WaitContainer(_message.Message):
        __slots__ = ["exit_status", "limitation", "message", "reason", "state"]
        EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
        LIMITATION_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        exit_status: int
        limitation: _tasks_pb2.TaskResourceLimitation
        message: str
        reason: _tasks_pb2.TaskStatus.Reason
        state: _tasks_pb2.TaskState
        def __init__(self, exit_status: _Optional[int] = ..., state: _Optional[_Union[_tasks_pb2.TaskState, str]] = ..., reason: _Optional[_Union[_tasks_pb2.TaskStatus.Reason, str]] = ..., limitation: _Optional[_Union[_tasks_pb2.TaskResourceLimitation, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...
    class WaitNestedContainer(_message.Message):
        __slots__ = ["exit_status", "limitation", "message", "reason", "state"]
        EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
        LIMITATION_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        exit_status: int
        limitation: _tasks_pb2.TaskResourceLimitation
        message: str
        reason: _tasks_pb2.TaskStatus.Reason
        state: _tasks_pb2.TaskState
        def __init__(self, exit_status: _Optional[int] = ..., state: _Optional[_Union[_tasks_pb2.TaskState, str]] = ..., reason: _Optional[_Union[_tasks_pb2.TaskStatus.Reason, str]] = ..., limitation: _Optional[_Union[_tasks_pb2.TaskResourceLimitation, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...
    AWAIT_CONTAINER: Response.Type
    AWAIT_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    CREATE_VOLUME: Response.Type
    CREATE_VOLUME_FIELD_NUMBER: _ClassVar[int]
    EXEC: Response.Type
    EXEC_FIELD_NUMBER: _ClassVar[int]
    GET_AGENT: Response.Type
    GET_AGENT_FIELD_NUMBER: _ClassVar[int]
    GET_CONTAINERS: Response.Type
    GET_CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    GET_EXECUTORS: Response.Type
    GET_EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    GET_FLAGS: Response.Type
    GET_FLAGS_FIELD_NUMBER: _ClassVar[int]
    GET_FRAMEWORKS: Response.Type
    GET_FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
    GET_HEALTH: Response.Type
    GET_HEALTH_FIELD_NUMBER: _ClassVar[int]
    GET_LOGGING_LEVEL: Response.Type
    GET_LOGGING_LEVEL_FIELD_NUMBER: _ClassVar[int]
    GET_METRICS: Response.Type
    GET_METRICS_FIELD_NUMBER: _ClassVar[int]
    GET_OPERATIONS: Response.Type
    GET_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    GET_RESOURCE_PROVIDERS: Response.Type
    GET_RESOURCE_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    GET_STATE: Response.Type
    GET_STATE_FIELD_NUMBER: _ClassVar[int]
    GET_TASKS: Response.Type
    GET_TASKS_FIELD_NUMBER: _ClassVar[int]
    GET_VERSION: Response.Type
    GET_VERSION_FIELD_NUMBER: _ClassVar[int]
    INSPECT_VOLUME: Response.Type
    INSPECT_VOLUME_FIELD_NUMBER: _ClassVar[int]
    LIST_CONTAINERS: Response.Type
    LIST_CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    LIST_FILES: Response.Type
    LIST_FILES_FIELD_NUMBER: _ClassVar[int]
    LIST_IMAGES: Response.Type
    LIST_IMAGES_FIELD_NUMBER: _ClassVar[int]
    LIST_PODS: Response.Type
    LIST_PODS_FIELD_NUMBER: _ClassVar[int]
    LIST_PROCESSES: Response.Type
    LIST_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    LIST_VOLUMES: Response.Type
    LIST_VOLUMES_FIELD_NUMBER: _ClassVar[int]
    PRUNE_VOLUMES: Response.Type
    PRUNE_VOLUMES_FIELD_NUMBER: _ClassVar[int]
    PULL_IMAGE: Response.Type
    PULL_IMAGE_FIELD_NUMBER: _ClassVar[int]
    READ_FILE: Response.Type
    READ_FILE_FIELD_NUMBER: _ClassVar[int]
    RUN_POD: Response.Type
    RUN_POD_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN: Response.Type
    WAIT_CONTAINER: Response.Type
    WAIT_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    WAIT_NESTED_CONTAINER: Response.Type
    WAIT_NESTED_CONTAINER_FIELD_NUMBER: _ClassVar[int]
    await_container: _extensions_pb2.Awaited
    create_volume: _extensions_pb2.NamedVolume
    exec: _extensions_pb2.ExecStarted
    get_agent: Response.GetAgent
    get_containers: Response.GetContainers
    get_executors: Response.GetExecutors
    get_flags: Response.GetFlags
    get_frameworks: Response.GetFrameworks
    get_health: Response.GetHealth
    get_logging_level: Response.GetLoggingLevel
    get_metrics: Response.GetMetrics
    get_operations: Response.GetOperations
    get_resource_providers: Response.GetResourceProviders
    get_state: Response.GetState
    get_tasks: Response.GetTasks
    get_version: Response.GetVersion
    inspect_volume: _extensions_pb2.NamedVolume
    list_containers: _extensions_pb2.Containers
    list_files: Response.ListFiles
    list_images: _extensions_pb2.Images
    list_pods: _pods_pb2.Pods
    list_processes: _extensions_pb2.Processes
    list_volumes: _extensions_pb2.NamedVolumes
    prune_volumes: _extensions_pb2.NamedVolumes
    pull_image: _extensions_pb2.ImageInfo
    read_file: Response.ReadFile
    run_pod: _pods_pb2.PodStarted
    type: Response.Type
    wait_container: Response.WaitContainer
    wait_nested_container: Response.WaitNestedContainer
    def __init__(self, type: _Optional[_Union[Response.Type, str]] = ..., get_health: _Optional[_Union[Response.GetHealth, _Mapping]] = ..., get_flags: _Optional[_Union[Response.GetFlags, _Mapping]] = ..., get_version: _Optional[_Union[Response.GetVersion, _Mapping]] = ..., get_metrics: _Optional[_Union[Response.GetMetrics, _Mapping]] = ..., get_logging_level: _Optional[_Union[Response.GetLoggingLevel, _Mapping]] = ..., list_files: _Optional[_Union[Response.ListFiles, _Mapping]] = ..., read_file: _Optional[_Union[Response.ReadFile, _Mapping]] = ..., get_state: _Optional[_Union[Response.GetState, _Mapping]] = ..., get_containers: _Optional[_Union[Response.GetContainers, _Mapping]] = ..., get_frameworks: _Optional[_Union[Response.GetFrameworks, _Mapping]] = ..., get_executors: _Optional[_Union[Response.GetExecutors, _Mapping]] = ..., get_operations: _Optional[_Union[Response.GetOperations, _Mapping]] = ..., get_tasks: _Optional[_Union[Response.GetTasks, _Mapping]] = ..., get_agent: _Optional[_Union[Response.GetAgent, _Mapping]] = ..., get_resource_providers: _Optional[_Union[Response.GetResourceProviders, _Mapping]] = ..., wait_nested_container: _Optional[_Union[Response.WaitNestedContainer, _Mapping]] = ..., wait_container: _Optional[_Union[Response.WaitContainer, _Mapping]] = ..., exec: _Optional[_Union[_extensions_pb2.ExecStarted, _Mapping]] = ..., list_images: _Optional[_Union[_extensions_pb2.Images, _Mapping]] = ..., pull_image: _Optional[_Union[_extensions_pb2.ImageInfo, _Mapping]] = ..., await_container: _Optional[_Union[_extensions_pb2.Awaited, _Mapping]] = ..., list_containers: _Optional[_Union[_extensions_pb2.Containers, _Mapping]] = ..., list_processes: _Optional[_Union[_extensions_pb2.Processes, _Mapping]] = ..., run_pod: _Optional[_Union[_pods_pb2.PodStarted, _Mapping]] = ..., list_pods: _Optional[_Union[_pods_pb2.Pods, _Mapping]] = ..., create_volume: _Optional[_Union[_extensions_pb2.NamedVolume, _Mapping]] = ..., list_volumes: _Optional[_Union[_extensions_pb2.NamedVolumes, _Mapping]] = ..., inspect_volume: _Optional[_Union[_extensions_pb2.NamedVolume, _Mapping]] = ..., prune_volumes: _Optional[_Union[_extensions_pb2.NamedVolumes, _Mapping]] = ...) -> None: ...
