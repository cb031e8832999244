"""JSON of the endpoints that are older than the v1 API."""

from __future__ import annotations

import stat
from typing import Any

from containerizer.api import measuring
from containerizer.api.files import Found, group_name, user_name
from containerizer.api.json_format import to_json
from containerizer.inspection import Status
from containerizer.record import ContainerRecord
from isolators.resources import Usage
from launcher.container_id import ContainerId
from launcher.data import asdict

# Fields of Usage that ResourceStatistics has no names for.
_OURS = {"memory_peak_bytes": "mem_peak_bytes", "hugetlb_bytes": "hugetlb_bytes"}


def statistics(usage: Usage) -> dict[str, Any]:
    """As ResourceStatistics; what is not measured is left out."""
    own = {name: value for field, name in _OURS.items() if (value := getattr(usage, field)) is not None}
    return to_json(measuring.usage_statistics(usage)) | own


def container_id(value: ContainerId) -> dict[str, Any]:
    """With all its parents."""
    own: dict[str, Any] = {"value": value.name}
    return own | {"parent": container_id(value.parent)} if value.parent else own


def container(status: Status, usage: Usage) -> dict[str, Any]:
    """One entry of /containers. There are no frameworks without a master; the keys are kept, empty."""
    record = status.record
    return {
        **_origin(record),
        "container_id": str(record.id),
        "status": {
            "container_id": container_id(record.id),
            "executor_pid": record.pid,
            "state": status.state,
            "paused": status.paused,
            **dict(status.facts),
            "limits_reached": [asdict(noted) for noted in status.reached],
        },
        "statistics": statistics(usage),
    }


def monitored(record: ContainerRecord, usage: Usage) -> dict[str, Any]:
    """One entry of /monitor/statistics."""
    return {**_origin(record), "statistics": statistics(usage)}


def summary(record: ContainerRecord) -> dict[str, Any]:
    """One entry of /state."""
    return {
        "id": str(record.id),
        "image": record.image,
        "command": list(record.command),
        "state": record.state,
        "pid": record.pid,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "exit_code": record.ended.exit_code if record.ended else None,
        "message": record.ended.message if record.ended else None,
    }


def file_info(found: Found) -> dict[str, Any]:
    """One entry of /files/browse."""
    status = found.status
    return {
        "path": found.path,
        "nlink": status.st_nlink,
        "size": status.st_size,
        "mtime": int(status.st_mtime),
        "mode": stat.filemode(status.st_mode),
        "uid": user_name(status.st_uid),
        "gid": group_name(status.st_gid),
    }


def _origin(record: ContainerRecord) -> dict[str, Any]:
    return {
        "executor_id": str(record.id),
        "executor_name": " ".join(record.command),
        "framework_id": "",
        "source": record.image,
    }
