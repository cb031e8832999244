from containerizer.api.proto import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CapabilityInfo(_message.Message):
    __slots__ = ["capabilities"]
    class Capability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    AUDIT_CONTROL: CapabilityInfo.Capability
    AUDIT_READ: CapabilityInfo.Capability
    AUDIT_WRITE: CapabilityInfo.Capability
    BLOCK_SUSPEND: CapabilityInfo.Capability
    BPF: CapabilityInfo.Capability
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_RESTORE: CapabilityInfo.Capability
    CHOWN: CapabilityInfo.Capability
    DAC_OVERRIDE: CapabilityInfo.Capability
    DAC_READ_SEARCH: CapabilityInfo.Capability
    FOWNER: CapabilityInfo.Capability
    FSETID: CapabilityInfo.Capability
    IPC_LOCK: CapabilityInfo.Capability
    IPC_OWNER: CapabilityInfo.Capability
    KILL: CapabilityInfo.Capability
    LEASE: CapabilityInfo.Capability
    LINUX_IMMUTABLE: CapabilityInfo.Capability
    MAC_ADMIN: CapabilityInfo.Capability
    MAC_OVERRIDE: CapabilityInfo.Capability
    MKNOD: CapabilityInfo.Capability
    NET_ADMIN: CapabilityInfo.Capability
    NET_BIND_SERVICE: CapabilityInfo.Capability
    NET_BROADCAST: CapabilityInfo.Capability
    NET_RAW: CapabilityInfo.Capability
    PERFMON: CapabilityInfo.Capability
    SETFCAP: CapabilityInfo.Capability
    SETGID: CapabilityInfo.Capability
    SETPCAP: CapabilityInfo.Capability
    SETUID: CapabilityInfo.Capability
    SYSLOG: CapabilityInfo.Capability
    SYS_ADMIN: CapabilityInfo.Capability
    SYS_BOOT: CapabilityInfo.Capability
    SYS_CHROOT: CapabilityInfo.Capability
    SYS_MODULE: CapabilityInfo.Capability
    SYS_NICE: CapabilityInfo.Capability
    SYS_PACCT: CapabilityInfo.Capability
    SYS_PTRACE: CapabilityInfo.Capability
    SYS_RAWIO: CapabilityInfo.Capability
    SYS_RESOURCE: CapabilityInfo.Capability
    SYS_TIME: CapabilityInfo.Capability
    SYS_TTY_CONFIG: CapabilityInfo.Capability
    UNKNOWN: CapabilityInfo.Capability
    WAKE_ALARM: CapabilityInfo.Capability
    capabilities: _containers.RepeatedScalarFieldContainer[CapabilityInfo.Capability]
    def __init__(self, capabilities: _Optional[_Iterable[_Union[CapabilityInfo.Capability, str]]] = ...) -> None: ...

class CheckInfo(_message.Message):
    __slots__ = ["command", "delay_seconds", "http", "interval_seconds", "tcp", "timeout_seconds", "type"]
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class Command(_message.Message):
        __slots__ = ["command"]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        command: CommandInfo
        def __init__(self, command: _Optional[_Union[CommandInfo, _Mapping]] = ...) -> None: ...
    class Http(_message.Message):
        __slots__ = ["path", "port"]
        PATH_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        path: str
        port: int
        def __init__(self, port: _Optional[int] = ..., path: _Optional[str] = ...) -> None: ...
    class Tcp(_message.Message):
        __slots__ = ["port"]
        PORT_FIELD_NUMBER: _ClassVar[int]
        port: int
        def __init__(self, port: _Optional[int] = ...) -> None: ...
    COMMAND: CheckInfo.Type
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HTTP: CheckInfo.Type
    HTTP_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TCP: CheckInfo.Type
    TCP_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN: CheckInfo.Type
    command: CheckInfo.Command
    delay_seconds: float
    http: CheckInfo.Http
    interval_seconds: float
    tcp: CheckInfo.Tcp
    timeout_seconds: float
    type: CheckInfo.Type
    def __init__(self, type: _Optional[_Union[CheckInfo.Type, str]] = ..., command: _Optional[_Union[CheckInfo.Command, _Mapping]] = ..., http: _Optional[_Union[CheckInfo.Http, _Mapping]] = ..., tcp: _Optional[_Union[CheckInfo.Tcp, _Mapping]] = ..., delay_seconds: _Optional[float] = ..., interval_seconds: _Optional[float] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class CommandInfo(_message.Message):
    __slots__ = ["arguments", "environment", "shell", "uris", "user", "value"]
    class URI(_message.Message):
        __slots__ = ["cache", "executable", "extract", "output_file", "value"]
        CACHE_FIELD_NUMBER: _ClassVar[int]
        EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
        EXTRACT_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_FILE_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        cache: bool
        executable: bool
        extract: bool
        output_file: str
        value: str
        def __init__(self, value: _Optional[str] = ..., executable: bool = ..., extract: bool = ..., cache: bool = ..., output_file: _Optional[str] = ...) -> None: ...
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SHELL_FIELD_NUMBER: _ClassVar[int]
    URIS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    arguments: _containers.RepeatedScalarFieldContainer[str]
    environment: Environment
    shell: bool
    uris: _containers.RepeatedCompositeFieldContainer[CommandInfo.URI]
    user: str
    value: str
    def __init__(self, uris: _Optional[_Iterable[_Union[CommandInfo.URI, _Mapping]]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., shell: bool = ..., value: _Optional[str] = ..., arguments: _Optional[_Iterable[str]] = ..., user: _Optional[str] = ...) -> None: ...

class ContainerInfo(_message.Message):
    __slots__ = ["docker", "hostname", "linux_info", "mesos", "network_infos", "rlimit_info", "tty_info", "type", "volumes"]
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class DockerInfo(_message.Message):
        __slots__ = ["force_pull_image", "image", "network", "parameters", "port_mappings", "privileged", "volume_driver"]
        class Network(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = []
        class PortMapping(_message.Message):
            __slots__ = ["container_port", "host_port", "protocol"]
            CONTAINER_PORT_FIELD_NUMBER: _ClassVar[int]
            HOST_PORT_FIELD_NUMBER: _ClassVar[int]
            PROTOCOL_FIELD_NUMBER: _ClassVar[int]
            container_port: int
            host_port: int
            protocol: str
            def __init__(self, host_port: _Optional[int] = ..., container_port: _Optional[int] = ..., protocol: _Optional[str] = ...) -> None: ...
        BRIDGE: ContainerInfo.DockerInfo.Network
        FORCE_PULL_IMAGE_FIELD_NUMBER: _ClassVar[int]
        HOST: ContainerInfo.DockerInfo.Network
        IMAGE_FIELD_NUMBER: _ClassVar[int]
        NETWORK_FIELD_NUMBER: _ClassVar[int]
        NONE: ContainerInfo.DockerInfo.Network
        PARAMETERS_FIELD_NUMBER: _ClassVar[int]
        PORT_MAPPINGS_FIELD_NUMBER: _ClassVar[int]
        PRIVILEGED_FIELD_NUMBER: _ClassVar[int]
        USER: ContainerInfo.DockerInfo.Network
        VOLUME_DRIVER_FIELD_NUMBER: _ClassVar[int]
        force_pull_image: bool
        image: str
        network: ContainerInfo.DockerInfo.Network
        parameters: _containers.RepeatedCompositeFieldContainer[_values_pb2.Parameter]
        port_mappings: _containers.RepeatedCompositeFieldContainer[ContainerInfo.DockerInfo.PortMapping]
        privileged: bool
        volume_driver: str
        def __init__(self, image: _Optional[str] = ..., network: _Optional[_Union[ContainerInfo.DockerInfo.Network, str]] = ..., port_mappings: _Optional[_Iterable[_Union[ContainerInfo.DockerInfo.PortMapping, _Mapping]]] = ..., privileged: bool = ..., parameters: _Optional[_Iterable[_Union[_values_pb2.Parameter, _Mapping]]] = ..., force_pull_image: bool = ..., volume_driver: _Optional[str] = ...) -> None: ...
    class MesosInfo(_message.Message):
        __slots__ = ["image"]
        IMAGE_FIELD_NUMBER: _ClassVar[int]
        image: Image
        def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...
    DOCKER: ContainerInfo.Type
    DOCKER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    LINUX_INFO_FIELD_NUMBER: _ClassVar[int]
    MESOS: ContainerInfo.Type
    MESOS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_INFOS_FIELD_NUMBER: _ClassVar[int]
    RLIMIT_INFO_FIELD_NUMBER: _ClassVar[int]
    TTY_INFO_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    docker: ContainerInfo.DockerInfo
    hostname: str
    linux_info: LinuxInfo
    mesos: ContainerInfo.MesosInfo
    network_infos: _containers.RepeatedCompositeFieldContainer[NetworkInfo]
    rlimit_info: RLimitInfo
    tty_info: TTYInfo
    type: ContainerInfo.Type
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    def __init__(self, type: _Optional[_Union[ContainerInfo.Type, str]] = ..., volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ..., hostname: _Optional[str] = ..., docker: _Optional[_Union[ContainerInfo.DockerInfo, _Mapping]] = ..., mesos: _Optional[_Union[ContainerInfo.MesosInfo, _Mapping]] = ..., network_infos: _Optional[_Iterable[_Union[NetworkInfo, _Mapping]]] = ..., linux_info: _Optional[_Union[LinuxInfo, _Mapping]] = ..., rlimit_info: _Optional[_Union[RLimitInfo, _Mapping]] = ..., tty_info: _Optional[_Union[TTYInfo, _Mapping]] = ...) -> None: ...

class Environment(_message.Message):
    __slots__ = ["variables"]
    class Variable(_message.Message):
        __slots__ = ["name", "secret", "type", "value"]
        class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = []
        NAME_FIELD_NUMBER: _ClassVar[int]
        SECRET: Environment.Variable.Type
        SECRET_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        UNKNOWN: Environment.Variable.Type
        VALUE: Environment.Variable.Type
        VALUE_FIELD_NUMBER: _ClassVar[int]
        name: str
        secret: _values_pb2.Secret
        type: Environment.Variable.Type
        value: str
        def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[Environment.Variable.Type, str]] = ..., value: _Optional[str] = ..., secret: _Optional[_Union[_values_pb2.Secret, _Mapping]] = ...) -> None: ...
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    variables: _containers.RepeatedCompositeFieldContainer[Environment.Variable]
    def __init__(self, variables: _Optional[_Iterable[_Union[Environment.Variable, _Mapping]]] = ...) -> None: ...

class HealthCheck(_message.Message):
    __slots__ = ["command", "consecutive_failures", "delay_seconds", "grace_period_seconds", "http", "interval_seconds", "tcp", "timeout_seconds", "type"]
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class HTTPCheckInfo(_message.Message):
        __slots__ = ["path", "port", "protocol", "scheme", "statuses"]
        PATH_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        PROTOCOL_FIELD_NUMBER: _ClassVar[int]
        SCHEME_FIELD_NUMBER: _ClassVar[int]
        STATUSES_FIELD_NUMBER: _ClassVar[int]
        path: str
        port: int
        protocol: NetworkInfo.Protocol
        scheme: str
        statuses: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, protocol: _Optional[_Union[NetworkInfo.Protocol, str]] = ..., scheme: _Optional[str] = ..., port: _Optional[int] = ..., path: _Optional[str] = ..., statuses: _Optional[_Iterable[int]] = ...) -> None: ...
    class TCPCheckInfo(_message.Message):
        __slots__ = ["port", "protocol"]
        PORT_FIELD_NUMBER: _ClassVar[int]
        PROTOCOL_FIELD_NUMBER: _ClassVar[int]
        port: int
        protocol: NetworkInfo.Protocol
        def __init__(self, protocol: _Optional[_Union[NetworkInfo.Protocol, str]] = ..., port: _Optional[int] = ...) -> None: ...
    COMMAND: HealthCheck.Type
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HTTP: HealthCheck.Type
    HTTP_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TCP: HealthCheck.Type
    TCP_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN: HealthCheck.Type
    command: CommandInfo
    consecutive_failures: int
    delay_seconds: float
    grace_period_seconds: float
    http: HealthCheck.HTTPCheckInfo
    interval_seconds: float
    tcp: HealthCheck.TCPCheckInfo
    timeout_seconds: float
    type: HealthCheck.Type
    def __init__(self, delay_seconds: _Optional[float] = ..., interval_seconds: _Optional[float] = ..., timeout_seconds: _Optional[float] = ..., consecutive_failures: _Optional[int] = ..., grace_period_seconds: _Optional[float] = ..., type: _Optional[_Union[HealthCheck.Type, str]] = ..., command: _Optional[_Union[CommandInfo, _Mapping]] = ..., http: _Optional[_Union[HealthCheck.HTTPCheckInfo, _Mapping]] = ..., tcp: _Optional[_Union[HealthCheck.TCPCheckInfo, _Mapping]] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ["appc", "cached", "docker", "type"]
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class Appc(_message.Message):
        __slots__ = ["id", "labels", "name"]
        ID_FIELD_NUMBER: _ClassVar[int]
        LABELS_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        id: str
        labels: _values_pb2.Labels
        name: str
        def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., labels: _Optional[_Union[_values_pb2.Labels, _Mapping]] = ...) -> None: ...
    class Docker(_message.Message):
        __slots__ = ["config", "credential", "name"]
        CONFIG_FIELD_NUMBER: _ClassVar[int]
        CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        config: _values_pb2.Secret
        credential: _values_pb2.Credential
        name: str
        def __init__(self, name: _Optional[str] = ..., credential: _Optional[_Union[_values_pb2.Credential, _Mapping]] = ..., config: _Optional[_Union[_values_pb2.Secret, _Mapping]] = ...) -> None: ...
    APPC: Image.Type
    APPC_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    DOCKER: Image.Type
    DOCKER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    appc: Image.Appc
    cached: bool
    docker: Image.Docker
    type: Image.Type
    def __init__(self, type: _Optional[_Union[Image.Type, str]] = ..., appc: _Optional[_Union[Image.Appc, _Mapping]] = ..., docker: _Optional[_Union[Image.Docker, _Mapping]] = ..., cached: bool = ...) -> None: ...

class LinuxInfo(_message.Message):
    __slots__ = ["bounding_capabilities", "capability_info", "effective_capabilities", "ipc_mode", "seccomp", "share_cgroups", "share_pid_namespace", "shm_size"]
    class IpcMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    BOUNDING_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_INFO_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    IPC_MODE_FIELD_NUMBER: _ClassVar[int]
    PRIVATE: LinuxInfo.IpcMode
    SECCOMP_FIELD_NUMBER: _ClassVar[int]
    SHARE_CGROUPS_FIELD_NUMBER: _ClassVar[int]
    SHARE_PARENT: LinuxInfo.IpcMode
    SHARE_PID_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SHM_SIZE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN: LinuxInfo.IpcMode
    bounding_capabilities: CapabilityInfo
    capability_info: CapabilityInfo
    effective_capabilities: CapabilityInfo
    ipc_mode: LinuxInfo.IpcMode
    seccomp: SeccompInfo
    share_cgroups: bool
    share_pid_namespace: bool
    shm_size: int
    def __init__(self, capability_info: _Optional[_Union[CapabilityInfo, _Mapping]] = ..., bounding_capabilities: _Optional[_Union[CapabilityInfo, _Mapping]] = ..., effective_capabilities: _Optional[_Union[CapabilityInfo, _Mapping]] = ..., share_pid_namespace: bool = ..., seccomp: _Optional[_Union[SeccompInfo, _Mapping]] = ..., ipc_mode: _Optional[_Union[LinuxInfo.IpcMode, str]] = ..., shm_size: _Optional[int] = ..., share_cgroups: bool = ...) -> None: ...

class MountPropagation(_message.Message):
    __slots__ = ["mode"]
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    BIDIRECTIONAL: MountPropagation.Mode
    HOST_TO_CONTAINER: MountPropagation.Mode
    MODE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN: MountPropagation.Mode
    mode: MountPropagation.Mode
    def __init__(self, mode: _Optional[_Union[MountPropagation.Mode, str]] = ...) -> None: ...

class NetworkInfo(_message.Message):
    __slots__ = ["groups", "ip_addresses", "labels", "name", "port_mappings"]
    class Protocol(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class IPAddress(_message.Message):
        __slots__ = ["ip_address", "protocol"]
        IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
        PROTOCOL_FIELD_NUMBER: _ClassVar[int]
        ip_address: str
        protocol: NetworkInfo.Protocol
        def __init__(self, protocol: _Optional[_Union[NetworkInfo.Protocol, str]] = ..., ip_address: _Optional[str] = ...) -> None: ...
    class PortMapping(_message.Message):
        __slots__ = ["container_port", "host_port", "protocol"]
        CONTAINER_PORT_FIELD_NUMBER: _ClassVar[int]
        HOST_PORT_FIELD_NUMBER: _ClassVar[int]
        PROTOCOL_FIELD_NUMBER: _ClassVar[int]
        container_port: int
        host_port: int
        protocol: str
        def __init__(self, host_port: _Optional[int] = ..., container_port: _Optional[int] = ..., protocol: _Optional[str] = ...) -> None: ...
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    IPv4: NetworkInfo.Protocol
    IPv6: NetworkInfo.Protocol
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PORT_MAPPINGS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedScalarFieldContainer[str]
    ip_addresses: _containers.RepeatedCompositeFieldContainer[NetworkInfo.IPAddress]
    labels: _values_pb2.Labels
    name: str
    port_mappings: _containers.RepeatedCompositeFieldContainer[NetworkInfo.PortMapping]
    def __init__(self, ip_addresses: _Optional[_Iterable[_Union[NetworkInfo.IPAddress, _Mapping]]] = ..., name: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ..., labels: _Optional[_Union[_values_pb2.Labels, _Mapping]] = ..., port_mappings: _Optional[_Iterable[_Union[NetworkInfo.PortMapping, _Mapping]]] = ...) -> None: ...

class RLimitInfo(_message.Message):
    __slots__ = ["rlimits"]
    class RLimit(_message.Message):
        __slots__ = ["hard", "soft", "type"]
        class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = []
        HARD_FIELD_NUMBER: _ClassVar[int]
        RLMT_AS: RLimitInfo.RLimit.Type
        RLMT_CORE: RLimitInfo.RLimit.Type
        RLMT_CPU: RLimitInfo.RLimit.Type
        RLMT_DATA: RLimitInfo.RLimit.Type
        RLMT_FSIZE: RLimitInfo.RLimit.Type
        RLMT_LOCKS: RLimitInfo.RLimit.Type
        RLMT_MEMLOCK: RLimitInfo.RLimit.Type
        RLMT_MSGQUEUE: RLimitInfo.RLimit.Type
        RLMT_NICE: RLimitInfo.RLimit.Type
        RLMT_NOFILE: RLimitInfo.RLimit.Type
        RLMT_NPROC: RLimitInfo.RLimit.Type
        RLMT_RSS: RLimitInfo.RLimit.Type
        RLMT_RTPRIO: RLimitInfo.RLimit.Type
        RLMT_RTTIME: RLimitInfo.RLimit.Type
        RLMT_SIGPENDING: RLimitInfo.RLimit.Type
        RLMT_STACK: RLimitInfo.RLimit.Type
        SOFT_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        UNKNOWN: RLimitInfo.RLimit.Type
        hard: int
        soft: int
        type: RLimitInfo.RLimit.Type
        def __init__(self, type: _Optional[_Union[RLimitInfo.RLimit.Type, str]] = ..., hard: _Optional[int] = ..., soft: _Optional[int] = ...) -> None: ...
    RLIMITS_FIELD_NUMBER: _ClassVar[int]
    rlimits: _containers.RepeatedCompositeFieldContainer[RLimitInfo.RLimit]
    def __init__(self, rlimits: _Optional[_Iterable[_Union[RLimitInfo.RLimit, _Mapping]]] = ...) -> None: ...

class SeccompInfo(_message.Message):
    __slots__ = ["profile_name", "unconfined"]
    PROFILE_NAME_FIELD_NUMBER: _ClassVar[int]
    UNCONFINED_FIELD_NUMBER: _ClassVar[int]
    profile_name: str
    unconfined: bool
    def __init__(self, profile_name: _Optional[str] = ..., unconfined: bool = ...) -> None: ...

class TTYInfo(_message.Message):
    __slots__ = ["window_size"]
    class WindowSize(_message.Message):
        __slots__ = ["columns", "rows"]
        COLUMNS_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        columns: int
        rows: int
        def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...
    WINDOW_SIZE_FIELD_NUMBER: _ClassVar[int]
    window_size: TTYInfo.WindowSize
    def __init__(self, window_size: _Optional[_Union[TTYInfo.WindowSize, _Mapping]] = ...) -> None: ...

class Volume(_message.Message):
    __slots__ = ["container_path", "host_path", "image", "mode", "source"]
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class Source(_message.Message):
        __slots__ = ["csi_volume", "docker_volume", "host_path", "sandbox_path", "secret", "type"]
        class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = []
        class CSIVolume(_message.Message):
            __slots__ = ["plugin_name", "static_provisioning"]
            class StaticProvisioning(_message.Message):
                __slots__ = ["node_publish_secrets", "node_stage_secrets", "volume_capability", "volume_context", "volume_id"]
                class NodePublishSecretsEntry(_message.Message):
                    __slots__ = ["key", "value"]
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: _values_pb2.Secret
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Secret, _Mapping]] = ...) -> None: ...
                class NodeStageSecretsEntry(_message.Message):
                    __slots__ = ["key", "value"]
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: _values_pb2.Secret
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_values_pb2.Secret, _Mapping]] = ...) -> None: ...
                class VolumeContextEntry(_message.Message):
                    __slots__ = ["key", "value"]
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: str
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
                NODE_PUBLISH_SECRETS_FIELD_NUMBER: _ClassVar[int]
                NODE_STAGE_SECRETS_FIELD_NUMBER: _ClassVar[int]
                VOLUME_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
                VOLUME_CONTEXT_FIELD_NUMBER: _ClassVar[int]
                VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
                node_publish_secrets: _containers.MessageMap[str, _values_pb2.Secret]
                node_stage_secrets: _containers.MessageMap[str, _values_pb2.Secret]
                volume_capability: Volume.Source.CSIVolume.VolumeCapability
                volume_context: _containers.ScalarMap[str, str]
                volume_id: str
                def __init__(self, volume_id: _Optional[str] = ..., volume_capability: _Optional[_Union[Volume.Source.CSIVolume.VolumeCapability, _Mapping]] = ..., node_stage_secrets: _Optional[_Mapping[str, _values_pb2.Secret]] = ..., node_publish_secrets: _Optional[_Mapping[str, _values_pb2.Secret]] = ..., volume_context: _Optional[_Mapping[str, str]] = ...) -> None: ...
            class VolumeCapability(_message.Message):
                __slots__ = ["access_mode", "block", "mount"]
                class AccessMode(_message.Message):
                    __slots__ = ["mode"]
                    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                        __slots__ = []
                    MODE_FIELD_NUMBER: _ClassVar[int]
                    MULTI_NODE_MULTI_WRITER: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    MULTI_NODE_READER_ONLY: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    MULTI_NODE_SINGLE_WRITER: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    SINGLE_NODE_MULTI_WRITER: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    SINGLE_NODE_READER_ONLY: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    SINGLE_NODE_SINGLE_WRITER: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    SINGLE_NODE_WRITER: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    UNKNOWN: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    mode: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode
                    def __init__(self, mode: _Optional[_Union[Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode, str]] = ...) -> None: ...
                class BlockVolume(_message.Message):
                    __slots__ = []
                    def __init__(self) -> None: ...
                class MountVolume(_message.Message):
                    __slots__ = ["fs_type", "mount_flags"]
                    FS_TYPE_FIELD_NUMBER: _ClassVar[int]
                    MOUNT_FLAGS_FIELD_NUMBER: _ClassVar[int]
                    fs_type: str
                    mount_flags: _containers.RepeatedScalarFieldContainer[str]
                    def __init__(self, fs_type: _Optional[str] = ..., mount_flags: _Optional[_Iterable[str]] = ...) -> None: ...
                ACCESS_MODE_FIELD_NUMBER: _ClassVar[int]
                BLOCK_FIELD_NUMBER: _ClassVar[int]
                MOUNT_FIELD_NUMBER: _ClassVar[int]
                access_mode: Volume.Source.CSIVolume.VolumeCapability.AccessMode
                block: Volume.Source.CSIVolume.VolumeCapability.BlockVolume
                mount: Volume.Source.CSIVolume.VolumeCapability.MountVolume
                def __init__(self, block: _Optional[_Union[Volume.Source.CSIVolume.VolumeCapability.BlockVolume, _Mapping]] = ..., mount: _Optional[_Union[Volume.Source.CSIVolume.VolumeCapability.MountVolume, _Mapping]] = ..., access_mode: _Optional[_Union[Volume.Source.CSIVolume.VolumeCapability.AccessMode, _Mapping]] = ...) -> None: ...
            PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
            STATIC_PROVISIONING_FIELD_NUMBER: _ClassVar[int]
            plugin_name: str
            static_provisioning: Volume.Source.CSIVolume.StaticProvisioning
            def __init__(self, plugin_name: _Optional[str] = ..., static_provisioning: _Optional[_Union[Volume.Source.CSIVolume.StaticProvisioning, _Mapping]] = ...) -> None: ...
        class DockerVolume(_message.Message):
            __slots__ = ["driver", "driver_options", "name"]
            DRIVER_FIELD_NUMBER: _ClassVar[int]
            DRIVER_OPTIONS_FIELD_NUMBER: _ClassVar[int]
            NAME_FIELD_NUMBER: _ClassVar[int]
            driver: str
            driver_options: _values_pb2.Parameters
            name: str
            def __init__(self, driver: _Optional[str] = ..., name: _Optional[str] = ..., driver_options: _Optional[_Union[_values_pb2.Parameters, _Mapping]] = ...) -> None: ...
        class HostPath(_message.Message):
            __slots__ = ["mount_propagation", "path"]
            MOUNT_PROPAGATION_FIELD_NUMBER: _ClassVar[int]
            PATH_FIELD_NUMBER: _ClassVar[int]
            mount_propagation: MountPropagation
            path: str
            def __init__(self, path: _Optional[str] = ..., mount_propagation: _Optional[_Union[MountPropagation, _Mapping]] = ...) -> None: ...
        class SandboxPath(_message.Message):
            __slots__ = ["path", "type"]
            class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                __slots__ = []
            PARENT: Volume.Source.SandboxPath.Type
            PATH_FIELD_NUMBER: _ClassVar[int]
            SELF: Volume.Source.SandboxPath.Type
            TYPE_FIELD_NUMBER: _ClassVar[int]
            UNKNOWN: Volume.Source.SandboxPath.Type
            path: str
            type: Volume.Source.SandboxPath.Type
            def __init__(self, type: _Optional[_Union[Volume.Source.SandboxPath.Type, str]] = ..., path: _Optional[str] = ...) -> None: ...
        CSI_VOLUME: Volume.Source.Type
        CSI_VOLUME_FIELD_NUMBER: _ClassVar[int]
        DOCKER_VOLUME: Volume.Source.Type
        DOCKER_VOLUME_FIELD_NUMBER: _ClassVar[int]
        HOST_PATH: Volume.Source.Type
        HOST_PATH_FIELD_NUMBER: _ClassVar[int]
        SANDBOX_PATH: Volume.Source.Type
        SANDBOX_PATH_FIELD_NUMBER: _ClassVar[int]
        SECRET: Volume.Source.Type
        SECRET_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        UNKNOWN: Volume.Source.Type
        csi_volume: Volume.Source.CSIVolume
        docker_volume: Volume.Source.DockerVolume
        host_path: Volume.Source.HostPath
        sandbox_path: Volume.Source.SandboxPath
        secret: _values_pb2.Secret
        type: Volume.Source.Type
        def __init__(self, csi_volume: _Optional[_Union[Volume.Source.CSIVolume, _Mapping]] = ..., type: _Optional[_Union[Volume.Source.Type, str]] = ..., docker_volume: _Optional[_Union[Volume.Source.DockerVolume, _Mapping]] = ..., host_path: _Optional[_Union[Volume.Source.HostPath, _Mapping]] = ..., sandbox_path: _Optional[_Union[Volume.Source.SandboxPath, _Mapping]] = ..., secret: _Optional[_Union[_values_pb2.Secret, _Mapping]] = ...) -> None: ...
    CONTAINER_PATH_FIELD_NUMBER: _ClassVar[int]
    HOST_PATH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    RO: Volume.Mode
    RW: Volume.Mode
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    container_path: str
    host_path: str
    image: Image
    mode: Volume.Mode
    source: Volume.Source
    def __init__(self, mode: _Optional[_Union[Volume.Mode, str]] = ..., container_path: _Optional[str] = ..., host_path: _Optional[str] = ..., image: _Optional[_Union[Image, _Mapping]] = ..., source: _Optional[_Union[Volume.Source, _Mapping]] = ...) -> None: ...
