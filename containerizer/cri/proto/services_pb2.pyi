from containerizer.cri.proto import containers_pb2 as _containers_pb2
from containerizer.cri.proto import images_pb2 as _images_pb2
from containerizer.cri.proto import pods_pb2 as _pods_pb2
from containerizer.cri.proto import runtime_pb2 as _runtime_pb2
from containerizer.cri.proto import statistics_pb2 as _statistics_pb2
from containerizer.cri.proto import streaming_pb2 as _streaming_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
