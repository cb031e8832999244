from containerizer.api.proto import containers_pb2 as _containers_pb2
from containerizer.api.proto import values_pb2 as _values_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProcessIO(_message.Message):
    __slots__ = ["control", "data", "type"]
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    class Control(_message.Message):
        __slots__ = ["heartbeat", "skipped", "tty_info", "type"]
        class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = []
        class Heartbeat(_message.Message):
            __slots__ = ["interval"]
            INTERVAL_FIELD_NUMBER: _ClassVar[int]
            interval: _values_pb2.DurationInfo
            def __init__(self, interval: _Optional[_Union[_values_pb2.DurationInfo, _Mapping]] = ...) -> None: ...
        HEARTBEAT: ProcessIO.Control.Type
        HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
        SKIPPED: ProcessIO.Control.Type
        SKIPPED_FIELD_NUMBER: _ClassVar[int]
        TTY_INFO: ProcessIO.Control.Type
        TTY_INFO_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        UNKNOWN: ProcessIO.Control.Type
        heartbeat: ProcessIO.Control.Heartbeat
        skipped: int
        tty_info: _containers_pb2.TTYInfo
        type: ProcessIO.Control.Type
        def __init__(self, type: _Optional[_Union[ProcessIO.Control.Type, str]] = ..., tty_info: _Optional[_Union[_containers_pb2.TTYInfo, _Mapping]] = ..., heartbeat: _Optional[_Union[ProcessIO.Control.Heartbeat, _Mapping]] = ..., skipped: _Optional[int] = ...) -> None: ...
    class Data(_message.Message):
        __slots__ = ["data", "type"]
        class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = []
        DATA_FIELD_NUMBER: _ClassVar[int]
        STDERR: ProcessIO.Data.Type
        STDIN: ProcessIO.Data.Type
        STDOUT: ProcessIO.Data.Type
        TYPE_FIELD_NUMBER: _ClassVar[int]
        UNKNOWN: ProcessIO.Data.Type
        data: bytes
        type: ProcessIO.Data.Type
        def __init__(self, type: _Optional[_Union[ProcessIO.Data.Type, str]] = ..., data: _Optional[bytes] = ...) -> None: ...
    CONTROL: ProcessIO.Type
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    DATA: ProcessIO.Type
    DATA_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN: ProcessIO.Type
    control: ProcessIO.Control
    data: ProcessIO.Data
    type: ProcessIO.Type
    def __init__(self, type: _Optional[_Union[ProcessIO.Type, str]] = ..., data: _Optional[_Union[ProcessIO.Data, _Mapping]] = ..., control: _Optional[_Union[ProcessIO.Control, _Mapping]] = ...) -> None: ...
