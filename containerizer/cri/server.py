"""The gRPC server of the CRI: the handlers of all areas, under the names of both versions of the API.

What a call takes and gives back is in the services' descriptors, so no stubs are generated. The messages of
runtime.v1alpha2 are those of runtime.v1 on the wire, where a package's name does not appear: one set of
handlers serves both. A method is named as in the API, in lower case with underscores.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from containerizer.agent.listeners import CannotListen, remove_stale
from containerizer.cri.errors import code_of
from containerizer.cri.proto import services_pb2 as services
from launcher.errors import ContainerizerError, InvalidRequest

VERSIONS = ("v1", "v1alpha2")

_SCHEME = "unix://"
_LONGEST_PATH = 107  # bytes in sockaddr_un, unix(7)
_MAX_MESSAGE = 16 << 20  # bytes, as kubelets take

_log = logging.getLogger("containerizer.agent")


class CriServer:
    """Serves areas: objects whose methods are calls of the API."""

    def __init__(self, areas: Mapping[str, Sequence[object]]) -> None:
        """`areas`: of each of VERSIONS; they may have them in common."""
        options = [("grpc.max_receive_message_length", _MAX_MESSAGE), ("grpc.max_send_message_length", -1)]
        self._server = grpc.aio.server(options=options)
        for service in services.DESCRIPTOR.services_by_name.values():
            for version in VERSIONS:
                handlers = dict(_handlers(service.methods, areas[version]))
                generic = grpc.method_handlers_generic_handler(f"runtime.{version}.{service.name}", handlers)
                self._server.add_generic_rpc_handlers((generic,))

    async def start(self, address: str) -> None:
        """Listen at unix:///PATH. Raises InvalidRequest, CannotListen."""
        path = path_of(address)
        remove_stale(path)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        before = os.umask(0o177)  # whoever may write to it may do everything as root
        try:
            self._server.add_insecure_port(f"unix:{path}")
        except RuntimeError as error:
            raise CannotListen(f"cannot listen at {path}: {error}") from error
        finally:
            os.umask(before)
        await self._server.start()
        _log.info("serving the CRI at %s", address)

    async def close(self, patience: float) -> None:
        """Give the calls under way `patience` seconds."""
        await self._server.stop(patience)


def path_of(address: str) -> str:
    """Of a Unix socket. Raises InvalidRequest."""
    path = address.removeprefix(_SCHEME)
    if not path.startswith("/") or len(os.fsencode(path)) > _LONGEST_PATH:
        hint = f"write {_SCHEME}/PATH, with a path of at most {_LONGEST_PATH} bytes"
        raise InvalidRequest(f"invalid address of the CRI {address!r}", hint=hint)
    return path


def _handlers(
    methods: Sequence[MethodDescriptor], areas: Sequence[object]
) -> Iterator[tuple[str, grpc.RpcMethodHandler[Any, Any]]]:
    for method in methods:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", method.name).lower()
        found = next((call for area in areas if (call := getattr(area, name, None))), None)
        if found is None:  # gRPC answers that it is not implemented
            continue
        coders = {
            "request_deserializer": GetMessageClass(method.input_type).FromString,
            "response_serializer": lambda message: message.SerializeToString(),
        }
        if method.server_streaming:
            yield method.name, grpc.unary_stream_rpc_method_handler(_streamed(method.name, found), **coders)
        else:
            yield method.name, grpc.unary_unary_rpc_method_handler(_answered(method.name, found), **coders)


def _answered(name: str, call: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    async def handle(request: Any, context: Any) -> Any:
        try:
            return await call(request)
        except (ContainerizerError, OSError) as error:
            await _refuse(name, error, context)

    return handle


def _streamed(name: str, call: Callable[[Any], AsyncIterator[Any]]) -> Callable[[Any, Any], Any]:
    async def handle(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in call(request):
                yield answer
        except (ContainerizerError, OSError) as error:
            await _refuse(name, error, context)

    return handle


async def _refuse(name: str, error: Exception, context: Any) -> None:
    code = code_of(error)
    _log.log(logging.WARNING if code is grpc.StatusCode.UNKNOWN else logging.INFO, "%s: %s", name, error)
    await context.abort(code, str(error))
