"""The predecessor's messages by their numbers, as its documentation has them, and not as our .proto files do.

A line is a message: `Name: field=number:kind …`. A kind is one of the scalars below, an enum (`Enum!`)
or a message; `*` before a field's name says that it is repeated, `map<string,…>` a map.
"""

from __future__ import annotations

import re

_MESSAGES = """
ContainerID: value=1:string parent=2:ContainerID
DurationInfo: nanoseconds=1:int64
TimeInfo: nanoseconds=1:int64
Call: type=1:CallType! get_metrics=2:GetMetrics set_logging_level=3:SetLoggingLevel list_files=4:Path
 read_file=5:CallReadFile launch_nested_container=6:Launch wait_nested_container=7:Id
 kill_nested_container=8:Kill launch_nested_container_session=9:Launch
 attach_container_input=10:AttachInput attach_container_output=11:Id remove_nested_container=12:Id
 launch_container=13:LaunchContainer wait_container=14:Id kill_container=15:Kill remove_container=16:Id
 get_containers=20:GetContainers prune_images=21:PruneImages
GetMetrics: timeout=1:DurationInfo
SetLoggingLevel: level=1:uint32 duration=2:DurationInfo
Path: path=1:string
CallReadFile: path=1:string offset=2:uint64 length=3:uint64
Id: container_id=1:ContainerID force=1000:bool
LaunchOptions: stdin=5:bool
Kill: container_id=1:ContainerID signal=2:int32
Launch: container_id=1:ContainerID command=2:CommandInfo container=3:ContainerInfo
LaunchContainer: container_id=1:ContainerID command=2:CommandInfo *resources=3:Resource
 container=4:ContainerInfo limits=5:map<string,Scalar> options=1000:LaunchOptions
AttachInput: type=1:InputType! container_id=2:ContainerID process_io=3:ProcessIO
GetContainers: show_nested=1:bool show_standalone=2:bool
PruneImages: *excluded_images=1:Image
CommandInfo: environment=2:Environment value=3:string user=5:string shell=6:bool *arguments=7:string
Environment: *variables=1:Variable
Variable: name=1:string value=2:string
ContainerInfo: type=1:ContainerType! hostname=4:string mesos=5:MesosInfo tty_info=10:TTYInfo
MesosInfo: image=1:Image
TTYInfo: window_size=1:WindowSize
WindowSize: rows=1:uint32 columns=2:uint32
Image: type=1:ImageType! docker=3:DockerImage cached=4:bool
DockerImage: name=1:string
Scalar: value=1:double
Resource: name=1:string type=2:ValueType! scalar=3:Scalar
ProcessIO: type=1:IOType! data=2:Data control=3:Control
Data: type=1:DataType! data=2:bytes
Control: type=1:ControlType! tty_info=2:TTYInfo heartbeat=3:Heartbeat
Heartbeat: interval=1:DurationInfo
Response: type=1:ResponseType! get_health=2:Health get_flags=3:Flags get_version=4:Version
 get_metrics=5:Metrics get_logging_level=6:Level list_files=7:Files read_file=8:ReadFile get_state=9:State
 get_containers=10:Containers get_frameworks=11:Empty get_executors=12:Empty get_tasks=13:Empty
 wait_nested_container=14:Waited get_agent=15:Agent wait_container=16:Waited
 get_resource_providers=17:Empty get_operations=18:Empty
Empty:
Health: healthy=1:bool
Flags: *flags=1:Flag
Flag: name=1:string value=2:string
Version: version_info=1:VersionInfo
VersionInfo: version=1:string
Metrics: *metrics=1:Metric
Metric: name=1:string value=2:double
Level: level=1:uint32
Files: *file_infos=1:FileInfo
FileInfo: path=1:string nlink=2:int32 size=3:uint64 mtime=4:TimeInfo mode=5:uint32 uid=6:string gid=7:string
ReadFile: size=1:uint64 data=2:bytes
State: get_tasks=1:Empty get_executors=2:Empty get_frameworks=3:Empty
Containers: *containers=1:Container
Container: container_id=4:ContainerID container_status=5:ContainerStatus resource_statistics=6:Statistics
ContainerStatus: container_id=4:ContainerID executor_pid=3:uint32
Statistics: timestamp=1:double processes=30:uint32 threads=31:uint32 cpus_user_time_secs=2:double
 cpus_system_time_secs=3:double cpus_limit=4:double cpus_nr_periods=7:uint32 cpus_nr_throttled=8:uint32
 cpus_throttled_time_secs=9:double mem_total_bytes=36:uint64 mem_total_memsw_bytes=37:uint64
 mem_kmem_usage_bytes=52:uint64 mem_kmem_tcp_usage_bytes=53:uint64 mem_limit_bytes=6:uint64
 mem_soft_limit_bytes=38:uint64 mem_file_bytes=10:uint64 mem_anon_bytes=11:uint64 mem_cache_bytes=39:uint64
 mem_rss_bytes=5:uint64 mem_mapped_file_bytes=12:uint64 mem_swap_bytes=40:uint64
 mem_unevictable_bytes=41:uint64
Agent: agent_info=1:AgentInfo
AgentInfo: hostname=1:string *resources=3:Resource port=8:int32
Waited: exit_status=1:int32 state=2:TaskState! reason=3:Reason! limitation=4:Limitation message=5:string
Limitation: *resources=1:Resource
"""

_ENUMS = """
CallType: GET_HEALTH=1 GET_FLAGS=2 GET_VERSION=3 GET_METRICS=4 GET_LOGGING_LEVEL=5 SET_LOGGING_LEVEL=6
 LIST_FILES=7 READ_FILE=8 GET_STATE=9 GET_CONTAINERS=10 GET_FRAMEWORKS=11 GET_EXECUTORS=12 GET_TASKS=13
 LAUNCH_NESTED_CONTAINER=14 WAIT_NESTED_CONTAINER=15 KILL_NESTED_CONTAINER=16
 LAUNCH_NESTED_CONTAINER_SESSION=17 ATTACH_CONTAINER_INPUT=18 ATTACH_CONTAINER_OUTPUT=19 GET_AGENT=20
 REMOVE_NESTED_CONTAINER=21 LAUNCH_CONTAINER=22 WAIT_CONTAINER=23 KILL_CONTAINER=24 REMOVE_CONTAINER=25
 GET_RESOURCE_PROVIDERS=26 ADD_RESOURCE_PROVIDER_CONFIG=27 UPDATE_RESOURCE_PROVIDER_CONFIG=28
 REMOVE_RESOURCE_PROVIDER_CONFIG=29 PRUNE_IMAGES=30 GET_OPERATIONS=31 MARK_RESOURCE_PROVIDER_GONE=32
 UNKNOWN=0
ResponseType: GET_HEALTH=1 GET_FLAGS=2 GET_VERSION=3 GET_METRICS=4 GET_LOGGING_LEVEL=5 LIST_FILES=6
 READ_FILE=7 GET_STATE=8 GET_CONTAINERS=9 GET_FRAMEWORKS=10 GET_EXECUTORS=11 GET_TASKS=12
 WAIT_NESTED_CONTAINER=13 GET_AGENT=14 WAIT_CONTAINER=15 GET_RESOURCE_PROVIDERS=16 GET_OPERATIONS=17
InputType: CONTAINER_ID=1 PROCESS_IO=2
IOType: DATA=1 CONTROL=2
DataType: STDIN=1 STDOUT=2 STDERR=3
ControlType: TTY_INFO=1 HEARTBEAT=2
ContainerType: DOCKER=1 MESOS=2
ImageType: APPC=1 DOCKER=2
ValueType: SCALAR=0 RANGES=1 SET=2 TEXT=3
TaskState: TASK_FINISHED=2 TASK_FAILED=3 TASK_KILLED=4
Reason: REASON_CONTAINER_LIMITATION=19 REASON_CONTAINER_LIMITATION_MEMORY=8
"""

_FIELD = re.compile(r"(\*?)(\w+)=(\d+):(\S+)")


class Field:
    """One field: its number, its kind, and whether there are several or it is a map."""

    def __init__(self, repeated: str, name: str, number: str, kind: str) -> None:
        self.name = name
        self.number = int(number)
        self.repeated = bool(repeated)
        self.is_map = kind.startswith("map<")
        self.kind = kind.removeprefix("map<string,").rstrip(">!")
        self.is_enum = kind.endswith("!")


def _lines(text: str) -> dict[str, str]:
    joined = text.replace("\n ", " ").strip().splitlines()
    return {name: rest for name, _, rest in (line.partition(":") for line in joined)}


MESSAGES = {
    name: [Field(*match) for match in _FIELD.findall(rest)] for name, rest in _lines(_MESSAGES).items()
}
ENUMS = {
    name: {value: int(number) for value, number in re.findall(r"(\w+)=(\d+)", rest)}
    for name, rest in _lines(_ENUMS).items()
}
