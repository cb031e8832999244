from containerizer.api.proto import containers_pb2 as _containers_pb2
from containerizer.api.proto import process_io_pb2 as _process_io_pb2
from containerizer.api.proto import resources_pb2 as _resources_pb2
from containerizer.api.proto import statistics_pb2 as _statistics_pb2
from containerizer.api.proto import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArchivePart(_message.Message):
    __slots__ = ["archive"]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    archive: bytes
    def __init__(self, archive: _Optional[bytes] = ...) -> None: ...

class AwaitContainer(_message.Message):
    __slots__ = ["container_id", "timeout"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    timeout: _values_pb2.DurationInfo
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., timeout: _Optional[_Union[_values_pb2.DurationInfo, _Mapping]] = ...) -> None: ...

class Awaited(_message.Message):
    __slots__ = ["container", "ended"]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    container: ContainerSummary
    ended: bool
    def __init__(self, ended: bool = ..., container: _Optional[_Union[ContainerSummary, _Mapping]] = ...) -> None: ...

class ContainerSummary(_message.Message):
    __slots__ = ["command", "container_id", "created_at", "finished_at", "health", "image", "limits_reached", "lost", "paused", "pid", "running", "started_at", "state", "statistics", "stdio", "termination"]
    class Termination(_message.Message):
        __slots__ = ["code", "limitation", "message", "signal"]
        CODE_FIELD_NUMBER: _ClassVar[int]
        LIMITATION_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        SIGNAL_FIELD_NUMBER: _ClassVar[int]
        code: int
        limitation: str
        message: str
        signal: int
        def __init__(self, code: _Optional[int] = ..., signal: _Optional[int] = ..., message: _Optional[str] = ..., limitation: _Optional[str] = ...) -> None: ...
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_REACHED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    STDIO_FIELD_NUMBER: _ClassVar[int]
    TERMINATION_FIELD_NUMBER: _ClassVar[int]
    command: _containers.RepeatedScalarFieldContainer[str]
    container_id: _values_pb2.ContainerID
    created_at: _values_pb2.TimeInfo
    finished_at: _values_pb2.TimeInfo
    health: Health
    image: str
    limits_reached: _containers.RepeatedCompositeFieldContainer[LimitReached]
    lost: bool
    paused: bool
    pid: int
    running: bool
    started_at: _values_pb2.TimeInfo
    state: str
    statistics: _statistics_pb2.ResourceStatistics
    stdio: str
    termination: ContainerSummary.Termination
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., image: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., running: bool = ..., paused: bool = ..., pid: _Optional[int] = ..., stdio: _Optional[str] = ..., created_at: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ..., started_at: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ..., finished_at: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ..., termination: _Optional[_Union[ContainerSummary.Termination, _Mapping]] = ..., lost: bool = ..., statistics: _Optional[_Union[_statistics_pb2.ResourceStatistics, _Mapping]] = ..., health: _Optional[_Union[Health, _Mapping]] = ..., limits_reached: _Optional[_Iterable[_Union[LimitReached, _Mapping]]] = ...) -> None: ...

class Containers(_message.Message):
    __slots__ = ["containers"]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    containers: _containers.RepeatedCompositeFieldContainer[ContainerSummary]
    def __init__(self, containers: _Optional[_Iterable[_Union[ContainerSummary, _Mapping]]] = ...) -> None: ...

class CopyIn(_message.Message):
    __slots__ = ["archive", "container_id", "keep_owners", "path"]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_OWNERS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    archive: bytes
    container_id: _values_pb2.ContainerID
    keep_owners: bool
    path: str
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., path: _Optional[str] = ..., archive: _Optional[bytes] = ..., keep_owners: bool = ...) -> None: ...

class CopyOut(_message.Message):
    __slots__ = ["container_id", "follow_link", "path"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_LINK_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    follow_link: bool
    path: str
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., path: _Optional[str] = ..., follow_link: bool = ...) -> None: ...

class CreateVolume(_message.Message):
    __slots__ = ["driver", "labels", "name", "options"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class OptionsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    driver: str
    labels: _containers.ScalarMap[str, str]
    name: str
    options: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., driver: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ["details", "kind", "missed", "subject", "time"]
    class DetailsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    details: _containers.ScalarMap[str, str]
    kind: str
    missed: int
    subject: str
    time: _values_pb2.TimeInfo
    def __init__(self, kind: _Optional[str] = ..., time: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ..., subject: _Optional[str] = ..., details: _Optional[_Mapping[str, str]] = ..., missed: _Optional[int] = ...) -> None: ...

class Exec(_message.Message):
    __slots__ = ["command", "container_id", "stdin", "tty_info", "working_directory"]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    TTY_INFO_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    command: _containers_pb2.CommandInfo
    container_id: _values_pb2.ContainerID
    stdin: bool
    tty_info: _containers_pb2.TTYInfo
    working_directory: str
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., command: _Optional[_Union[_containers_pb2.CommandInfo, _Mapping]] = ..., tty_info: _Optional[_Union[_containers_pb2.TTYInfo, _Mapping]] = ..., working_directory: _Optional[str] = ..., stdin: bool = ...) -> None: ...

class ExecStarted(_message.Message):
    __slots__ = ["container_id"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...

class FollowLogs(_message.Message):
    __slots__ = ["container_id", "follow", "previous", "since", "tail"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    follow: bool
    previous: bool
    since: str
    tail: int
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., follow: bool = ..., tail: _Optional[int] = ..., since: _Optional[str] = ..., previous: bool = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ["code", "healthy", "message", "passing"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PASSING_FIELD_NUMBER: _ClassVar[int]
    code: int
    healthy: bool
    message: str
    passing: bool
    def __init__(self, healthy: bool = ..., passing: bool = ..., code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class HealthOptions(_message.Message):
    __slots__ = ["interval_seconds", "retries", "start_interval_seconds", "start_period_seconds", "test", "timeout_seconds"]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    START_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    START_PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    interval_seconds: float
    retries: int
    start_interval_seconds: float
    start_period_seconds: float
    test: _containers.RepeatedScalarFieldContainer[str]
    timeout_seconds: float
    def __init__(self, test: _Optional[_Iterable[str]] = ..., interval_seconds: _Optional[float] = ..., timeout_seconds: _Optional[float] = ..., start_period_seconds: _Optional[float] = ..., retries: _Optional[int] = ..., start_interval_seconds: _Optional[float] = ...) -> None: ...

class ImageInfo(_message.Message):
    __slots__ = ["created_at", "id", "names", "platform", "size"]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    created_at: _values_pb2.TimeInfo
    id: str
    names: _containers.RepeatedScalarFieldContainer[str]
    platform: str
    size: int
    def __init__(self, id: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., size: _Optional[int] = ..., created_at: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ..., platform: _Optional[str] = ...) -> None: ...

class Images(_message.Message):
    __slots__ = ["images"]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ImageInfo]
    def __init__(self, images: _Optional[_Iterable[_Union[ImageInfo, _Mapping]]] = ...) -> None: ...

class InspectVolume(_message.Message):
    __slots__ = ["name"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class LaunchOptions(_message.Message):
    __slots__ = ["additional_gids", "apparmor", "capabilities_add", "capabilities_ambient", "capabilities_drop", "check", "cpu_shares", "debug", "devices", "entrypoint", "fetch", "health", "health_check", "init", "limits", "listen_ports", "masked_paths", "networks", "new_privileges", "personality", "platform", "process", "pull", "readonly_paths", "readonly_rootfs", "selinux", "stdin", "stop_signal", "time_offsets", "tmpfs", "umask", "userns", "volumes", "working_directory", "writable_sysfs"]
    class Fetch(_message.Message):
        __slots__ = ["cache", "checksum", "executable", "extract", "output_file", "value"]
        CACHE_FIELD_NUMBER: _ClassVar[int]
        CHECKSUM_FIELD_NUMBER: _ClassVar[int]
        EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
        EXTRACT_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_FILE_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        cache: bool
        checksum: str
        executable: bool
        extract: bool
        output_file: str
        value: str
        def __init__(self, value: _Optional[str] = ..., extract: bool = ..., executable: bool = ..., cache: bool = ..., output_file: _Optional[str] = ..., checksum: _Optional[str] = ...) -> None: ...
    class TimeOffsetsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ADDITIONAL_GIDS_FIELD_NUMBER: _ClassVar[int]
    APPARMOR_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_ADD_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_AMBIENT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_DROP_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    CPU_SHARES_FIELD_NUMBER: _ClassVar[int]
    DEBUG_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    ENTRYPOINT_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    INIT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LISTEN_PORTS_FIELD_NUMBER: _ClassVar[int]
    MASKED_PATHS_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    NEW_PRIVILEGES_FIELD_NUMBER: _ClassVar[int]
    PERSONALITY_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    READONLY_PATHS_FIELD_NUMBER: _ClassVar[int]
    READONLY_ROOTFS_FIELD_NUMBER: _ClassVar[int]
    SELINUX_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    STOP_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TIME_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    TMPFS_FIELD_NUMBER: _ClassVar[int]
    UMASK_FIELD_NUMBER: _ClassVar[int]
    USERNS_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    WRITABLE_SYSFS_FIELD_NUMBER: _ClassVar[int]
    additional_gids: _containers.RepeatedScalarFieldContainer[int]
    apparmor: str
    capabilities_add: _containers.RepeatedScalarFieldContainer[str]
    capabilities_ambient: _containers.RepeatedScalarFieldContainer[str]
    capabilities_drop: _containers.RepeatedScalarFieldContainer[str]
    check: _containers_pb2.CheckInfo
    cpu_shares: int
    debug: bool
    devices: _containers.RepeatedScalarFieldContainer[str]
    entrypoint: _containers.RepeatedScalarFieldContainer[str]
    fetch: _containers.RepeatedCompositeFieldContainer[LaunchOptions.Fetch]
    health: HealthOptions
    health_check: _containers_pb2.HealthCheck
    init: bool
    limits: Limits
    listen_ports: str
    masked_paths: Paths
    networks: NetworkOptions
    new_privileges: bool
    personality: str
    platform: str
    process: ProcessOptions
    pull: str
    readonly_paths: Paths
    readonly_rootfs: bool
    selinux: str
    stdin: bool
    stop_signal: str
    time_offsets: _containers.ScalarMap[str, int]
    tmpfs: _containers.RepeatedScalarFieldContainer[str]
    umask: int
    userns: str
    volumes: _containers.RepeatedCompositeFieldContainer[LaunchVolume]
    working_directory: str
    writable_sysfs: bool
    def __init__(self, working_directory: _Optional[str] = ..., entrypoint: _Optional[_Iterable[str]] = ..., pull: _Optional[str] = ..., platform: _Optional[str] = ..., stdin: bool = ..., init: bool = ..., readonly_rootfs: bool = ..., stop_signal: _Optional[str] = ..., capabilities_add: _Optional[_Iterable[str]] = ..., capabilities_drop: _Optional[_Iterable[str]] = ..., new_privileges: bool = ..., cpu_shares: _Optional[int] = ..., umask: _Optional[int] = ..., personality: _Optional[str] = ..., fetch: _Optional[_Iterable[_Union[LaunchOptions.Fetch, _Mapping]]] = ..., health_check: _Optional[_Union[_containers_pb2.HealthCheck, _Mapping]] = ..., check: _Optional[_Union[_containers_pb2.CheckInfo, _Mapping]] = ..., debug: bool = ..., devices: _Optional[_Iterable[str]] = ..., tmpfs: _Optional[_Iterable[str]] = ..., volumes: _Optional[_Iterable[_Union[LaunchVolume, _Mapping]]] = ..., health: _Optional[_Union[HealthOptions, _Mapping]] = ..., networks: _Optional[_Union[NetworkOptions, _Mapping]] = ..., process: _Optional[_Union[ProcessOptions, _Mapping]] = ..., listen_ports: _Optional[str] = ..., userns: _Optional[str] = ..., time_offsets: _Optional[_Mapping[str, int]] = ..., capabilities_ambient: _Optional[_Iterable[str]] = ..., additional_gids: _Optional[_Iterable[int]] = ..., masked_paths: _Optional[_Union[Paths, _Mapping]] = ..., readonly_paths: _Optional[_Union[Paths, _Mapping]] = ..., writable_sysfs: bool = ..., apparmor: _Optional[str] = ..., selinux: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class LaunchVolume(_message.Message):
    __slots__ = ["anonymous", "chown", "create", "csi", "driver", "flags", "idmap", "kind", "labels", "nocopy", "of_parent", "options", "propagation", "publish_context", "pull", "readonly", "recursive", "secret", "source", "subpath", "target"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class OptionsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class PublishContextEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretFile(_message.Message):
        __slots__ = ["gid", "mode", "secret", "uid"]
        GID_FIELD_NUMBER: _ClassVar[int]
        MODE_FIELD_NUMBER: _ClassVar[int]
        SECRET_FIELD_NUMBER: _ClassVar[int]
        UID_FIELD_NUMBER: _ClassVar[int]
        gid: int
        mode: int
        secret: _values_pb2.Secret
        uid: int
        def __init__(self, secret: _Optional[_Union[_values_pb2.Secret, _Mapping]] = ..., mode: _Optional[int] = ..., uid: _Optional[int] = ..., gid: _Optional[int] = ...) -> None: ...
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    CHOWN_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    CSI_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    IDMAP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NOCOPY_FIELD_NUMBER: _ClassVar[int]
    OF_PARENT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PROPAGATION_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    READONLY_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBPATH_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    anonymous: bool
    chown: bool
    create: bool
    csi: _containers_pb2.Volume.Source.CSIVolume
    driver: str
    flags: _containers.RepeatedScalarFieldContainer[str]
    idmap: str
    kind: str
    labels: _containers.ScalarMap[str, str]
    nocopy: bool
    of_parent: bool
    options: _containers.ScalarMap[str, str]
    propagation: str
    publish_context: _containers.ScalarMap[str, str]
    pull: str
    readonly: bool
    recursive: str
    secret: LaunchVolume.SecretFile
    source: str
    subpath: str
    target: str
    def __init__(self, kind: _Optional[str] = ..., target: _Optional[str] = ..., source: _Optional[str] = ..., driver: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., readonly: bool = ..., recursive: _Optional[str] = ..., propagation: _Optional[str] = ..., flags: _Optional[_Iterable[str]] = ..., subpath: _Optional[str] = ..., nocopy: bool = ..., chown: bool = ..., idmap: _Optional[str] = ..., create: bool = ..., anonymous: bool = ..., of_parent: bool = ..., pull: _Optional[str] = ..., secret: _Optional[_Union[LaunchVolume.SecretFile, _Mapping]] = ..., csi: _Optional[_Union[_containers_pb2.Volume.Source.CSIVolume, _Mapping]] = ..., publish_context: _Optional[_Mapping[str, str]] = ...) -> None: ...

class LimitReached(_message.Message):
    __slots__ = ["isolator", "limit", "message", "resource", "time", "usage"]
    ISOLATOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    isolator: str
    limit: float
    message: str
    resource: str
    time: _values_pb2.TimeInfo
    usage: float
    def __init__(self, isolator: _Optional[str] = ..., resource: _Optional[str] = ..., message: _Optional[str] = ..., limit: _Optional[float] = ..., usage: _Optional[float] = ..., time: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ["blkio_weight", "cpu_burst", "cpu_period", "cpu_quota", "cpu_shares", "cpuset_count", "cpuset_cpus", "cpuset_exclusive", "cpuset_mems", "device_read_bps", "device_read_iops", "device_rules", "device_write_bps", "device_write_iops", "gpus", "hugetlb", "memory_high", "memory_reservation", "memory_swap", "net_priorities", "oom_group", "pressure"]
    class DeviceReadBpsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DeviceReadIopsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DeviceWriteBpsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DeviceWriteIopsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class HugetlbEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class NetPrioritiesEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class PressureEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BLKIO_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CPUSET_COUNT_FIELD_NUMBER: _ClassVar[int]
    CPUSET_CPUS_FIELD_NUMBER: _ClassVar[int]
    CPUSET_EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    CPUSET_MEMS_FIELD_NUMBER: _ClassVar[int]
    CPU_BURST_FIELD_NUMBER: _ClassVar[int]
    CPU_PERIOD_FIELD_NUMBER: _ClassVar[int]
    CPU_QUOTA_FIELD_NUMBER: _ClassVar[int]
    CPU_SHARES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_READ_BPS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_READ_IOPS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_RULES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_WRITE_BPS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_WRITE_IOPS_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    HUGETLB_FIELD_NUMBER: _ClassVar[int]
    MEMORY_HIGH_FIELD_NUMBER: _ClassVar[int]
    MEMORY_RESERVATION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_SWAP_FIELD_NUMBER: _ClassVar[int]
    NET_PRIORITIES_FIELD_NUMBER: _ClassVar[int]
    OOM_GROUP_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_FIELD_NUMBER: _ClassVar[int]
    blkio_weight: int
    cpu_burst: int
    cpu_period: int
    cpu_quota: int
    cpu_shares: int
    cpuset_count: int
    cpuset_cpus: str
    cpuset_exclusive: bool
    cpuset_mems: str
    device_read_bps: _containers.ScalarMap[str, int]
    device_read_iops: _containers.ScalarMap[str, int]
    device_rules: str
    device_write_bps: _containers.ScalarMap[str, int]
    device_write_iops: _containers.ScalarMap[str, int]
    gpus: str
    hugetlb: _containers.ScalarMap[str, int]
    memory_high: int
    memory_reservation: int
    memory_swap: int
    net_priorities: _containers.ScalarMap[str, int]
    oom_group: bool
    pressure: _containers.ScalarMap[str, str]
    def __init__(self, cpu_shares: _Optional[int] = ..., cpuset_cpus: _Optional[str] = ..., cpuset_mems: _Optional[str] = ..., gpus: _Optional[str] = ..., net_priorities: _Optional[_Mapping[str, int]] = ..., device_rules: _Optional[str] = ..., device_read_bps: _Optional[_Mapping[str, int]] = ..., device_write_bps: _Optional[_Mapping[str, int]] = ..., device_read_iops: _Optional[_Mapping[str, int]] = ..., device_write_iops: _Optional[_Mapping[str, int]] = ..., blkio_weight: _Optional[int] = ..., hugetlb: _Optional[_Mapping[str, int]] = ..., cpu_period: _Optional[int] = ..., cpu_quota: _Optional[int] = ..., cpu_burst: _Optional[int] = ..., memory_reservation: _Optional[int] = ..., memory_high: _Optional[int] = ..., memory_swap: _Optional[int] = ..., oom_group: bool = ..., pressure: _Optional[_Mapping[str, str]] = ..., cpuset_count: _Optional[int] = ..., cpuset_exclusive: bool = ...) -> None: ...

class ListContainers(_message.Message):
    __slots__ = ["all"]
    ALL_FIELD_NUMBER: _ClassVar[int]
    all: bool
    def __init__(self, all: bool = ...) -> None: ...

class ListProcesses(_message.Message):
    __slots__ = ["container_id"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...

class ListVolumes(_message.Message):
    __slots__ = ["filters"]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, filters: _Optional[_Iterable[str]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ["data", "stream", "timestamp"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    stream: _process_io_pb2.ProcessIO.Data.Type
    timestamp: str
    def __init__(self, timestamp: _Optional[str] = ..., stream: _Optional[_Union[_process_io_pb2.ProcessIO.Data.Type, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class NamedVolume(_message.Message):
    __slots__ = ["anonymous", "containers", "created_at", "driver", "labels", "mountpoint", "name", "options"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class OptionsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MOUNTPOINT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    anonymous: bool
    containers: _containers.RepeatedScalarFieldContainer[str]
    created_at: _values_pb2.TimeInfo
    driver: str
    labels: _containers.ScalarMap[str, str]
    mountpoint: str
    name: str
    options: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., driver: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., created_at: _Optional[_Union[_values_pb2.TimeInfo, _Mapping]] = ..., mountpoint: _Optional[str] = ..., anonymous: bool = ..., containers: _Optional[_Iterable[str]] = ...) -> None: ...

class NamedVolumes(_message.Message):
    __slots__ = ["volumes"]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    volumes: _containers.RepeatedCompositeFieldContainer[NamedVolume]
    def __init__(self, volumes: _Optional[_Iterable[_Union[NamedVolume, _Mapping]]] = ...) -> None: ...

class NetworkOptions(_message.Message):
    __slots__ = ["aliases", "dns_options", "dns_search", "dns_servers", "egress_rate", "extra_hosts", "ingress_rate", "mac_address", "ports"]
    class Port(_message.Message):
        __slots__ = ["container_port", "host_ip", "host_port", "protocol"]
        CONTAINER_PORT_FIELD_NUMBER: _ClassVar[int]
        HOST_IP_FIELD_NUMBER: _ClassVar[int]
        HOST_PORT_FIELD_NUMBER: _ClassVar[int]
        PROTOCOL_FIELD_NUMBER: _ClassVar[int]
        container_port: int
        host_ip: str
        host_port: int
        protocol: str
        def __init__(self, host_ip: _Optional[str] = ..., host_port: _Optional[int] = ..., container_port: _Optional[int] = ..., protocol: _Optional[str] = ...) -> None: ...
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DNS_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DNS_SEARCH_FIELD_NUMBER: _ClassVar[int]
    DNS_SERVERS_FIELD_NUMBER: _ClassVar[int]
    EGRESS_RATE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_HOSTS_FIELD_NUMBER: _ClassVar[int]
    INGRESS_RATE_FIELD_NUMBER: _ClassVar[int]
    MAC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    aliases: _containers.RepeatedScalarFieldContainer[str]
    dns_options: _containers.RepeatedScalarFieldContainer[str]
    dns_search: _containers.RepeatedScalarFieldContainer[str]
    dns_servers: _containers.RepeatedScalarFieldContainer[str]
    egress_rate: int
    extra_hosts: _containers.RepeatedScalarFieldContainer[str]
    ingress_rate: int
    mac_address: str
    ports: _containers.RepeatedCompositeFieldContainer[NetworkOptions.Port]
    def __init__(self, ports: _Optional[_Iterable[_Union[NetworkOptions.Port, _Mapping]]] = ..., mac_address: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., dns_servers: _Optional[_Iterable[str]] = ..., dns_search: _Optional[_Iterable[str]] = ..., dns_options: _Optional[_Iterable[str]] = ..., extra_hosts: _Optional[_Iterable[str]] = ..., ingress_rate: _Optional[int] = ..., egress_rate: _Optional[int] = ...) -> None: ...

class Paths(_message.Message):
    __slots__ = ["paths"]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, paths: _Optional[_Iterable[str]] = ...) -> None: ...

class PauseContainer(_message.Message):
    __slots__ = ["container_id"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...

class ProcessOptions(_message.Message):
    __slots__ = ["clamped", "cpu_affinity", "io_class", "io_level", "nice", "oom_score_adj", "scheduler", "scheduler_priority", "sysctls"]
    class SysctlsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLAMPED_FIELD_NUMBER: _ClassVar[int]
    CPU_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    IO_CLASS_FIELD_NUMBER: _ClassVar[int]
    IO_LEVEL_FIELD_NUMBER: _ClassVar[int]
    NICE_FIELD_NUMBER: _ClassVar[int]
    OOM_SCORE_ADJ_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SYSCTLS_FIELD_NUMBER: _ClassVar[int]
    clamped: _containers.RepeatedScalarFieldContainer[str]
    cpu_affinity: _containers.RepeatedScalarFieldContainer[int]
    io_class: str
    io_level: int
    nice: int
    oom_score_adj: int
    scheduler: str
    scheduler_priority: int
    sysctls: _containers.ScalarMap[str, str]
    def __init__(self, nice: _Optional[int] = ..., oom_score_adj: _Optional[int] = ..., scheduler: _Optional[str] = ..., scheduler_priority: _Optional[int] = ..., io_class: _Optional[str] = ..., io_level: _Optional[int] = ..., cpu_affinity: _Optional[_Iterable[int]] = ..., sysctls: _Optional[_Mapping[str, str]] = ..., clamped: _Optional[_Iterable[str]] = ...) -> None: ...

class Processes(_message.Message):
    __slots__ = ["processes"]
    class Process(_message.Message):
        __slots__ = ["command", "container", "container_pid", "cpu_percent", "cpu_seconds", "parent", "pid", "rss_bytes", "state", "uid", "user"]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_FIELD_NUMBER: _ClassVar[int]
        CONTAINER_PID_FIELD_NUMBER: _ClassVar[int]
        CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
        CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
        PARENT_FIELD_NUMBER: _ClassVar[int]
        PID_FIELD_NUMBER: _ClassVar[int]
        RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        UID_FIELD_NUMBER: _ClassVar[int]
        USER_FIELD_NUMBER: _ClassVar[int]
        command: _containers.RepeatedScalarFieldContainer[str]
        container: str
        container_pid: int
        cpu_percent: float
        cpu_seconds: float
        parent: int
        pid: int
        rss_bytes: int
        state: str
        uid: int
        user: str
        def __init__(self, pid: _Optional[int] = ..., parent: _Optional[int] = ..., container_pid: _Optional[int] = ..., uid: _Optional[int] = ..., user: _Optional[str] = ..., state: _Optional[str] = ..., cpu_seconds: _Optional[float] = ..., cpu_percent: _Optional[float] = ..., rss_bytes: _Optional[int] = ..., command: _Optional[_Iterable[str]] = ..., container: _Optional[str] = ...) -> None: ...
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    processes: _containers.RepeatedCompositeFieldContainer[Processes.Process]
    def __init__(self, processes: _Optional[_Iterable[_Union[Processes.Process, _Mapping]]] = ...) -> None: ...

class PruneVolumes(_message.Message):
    __slots__ = ["all", "filters"]
    ALL_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    all: bool
    filters: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, all: bool = ..., filters: _Optional[_Iterable[str]] = ...) -> None: ...

class PullImage(_message.Message):
    __slots__ = ["config", "name", "platform", "pull"]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    config: _values_pb2.Secret
    name: str
    platform: str
    pull: str
    def __init__(self, name: _Optional[str] = ..., pull: _Optional[str] = ..., platform: _Optional[str] = ..., config: _Optional[_Union[_values_pb2.Secret, _Mapping]] = ...) -> None: ...

class RemoveImage(_message.Message):
    __slots__ = ["name"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RemoveVolume(_message.Message):
    __slots__ = ["force", "name"]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    force: bool
    name: str
    def __init__(self, name: _Optional[str] = ..., force: bool = ...) -> None: ...

class StopContainer(_message.Message):
    __slots__ = ["container_id", "grace_period"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    grace_period: _values_pb2.DurationInfo
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., grace_period: _Optional[_Union[_values_pb2.DurationInfo, _Mapping]] = ...) -> None: ...

class UnpauseContainer(_message.Message):
    __slots__ = ["container_id"]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ...) -> None: ...

class UpdateContainer(_message.Message):
    __slots__ = ["container_id", "further", "limits", "resources"]
    class LimitsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _values_pb2.Value.Scalar
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Value.Scalar, _Mapping]] = ...) -> None: ...
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    FURTHER_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    container_id: _values_pb2.ContainerID
    further: Limits
    limits: _containers.MessageMap[str, _values_pb2.Value.Scalar]
    resources: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Resource]
    def __init__(self, container_id: _Optional[_Union[_values_pb2.ContainerID, _Mapping]] = ..., resources: _Optional[_Iterable[_Union[_resources_pb2.Resource, _Mapping]]] = ..., limits: _Optional[_Mapping[str, _values_pb2.Value.Scalar]] = ..., further: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...
