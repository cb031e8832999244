"""LIST_FILES and READ_FILE: see containerizer.api.files."""

from __future__ import annotations

import asyncio

from containerizer.api import files
from containerizer.api.context import Context
from containerizer.api.describing import moment
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import values_pb2 as values

Response = agent.Response


async def list_files(context: Context, call: agent.Call) -> Response:
    found = await asyncio.to_thread(context.files.browse, call.list_files.path)
    answer = Response(type=Response.LIST_FILES)
    answer.list_files.file_infos.extend(map(_info, found))
    answer.list_files.SetInParent()
    return answer


async def read_file(context: Context, call: agent.Call) -> Response:
    asked = call.read_file
    length = asked.length if asked.HasField("length") else None
    size, data = await asyncio.to_thread(context.files.read, asked.path, asked.offset, length)
    return Response(type=Response.READ_FILE, read_file=Response.ReadFile(size=size, data=data))


def _info(found: files.Found) -> values.FileInfo:
    status = found.status
    return values.FileInfo(
        path=found.path,
        nlink=status.st_nlink,
        size=status.st_size,
        mtime=moment(status.st_mtime),
        mode=status.st_mode,
        uid=files.user_name(status.st_uid),
        gid=files.group_name(status.st_gid),
    )
