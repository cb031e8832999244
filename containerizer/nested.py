"""Containers in containers: what a nested one shares with its parent, and commands in a running one.

A nested container has its parent's namespaces wherever no isolator gives it its own; its PID
namespace is a child of its parent's, so it ends with its parent at the latest. A further command in
a container (`exec`) is a nested container that has all of its parent's, its cgroups included.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from containerizer import entering, sandbox
from containerizer import record as records
from containerizer.liveness import own_start
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from containerizer.request import CONTAINER, ContainerRequest
from isolators.isolator import OF_HOST, ContainerConfig, Parent, idmapped_paths
from launcher.container_id import ContainerId
from launcher.data import Data, field, replace
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo
from launcher.namespaces import NEW
from launcher.stdio import Inherit, Stdio, mode_of

if TYPE_CHECKING:
    from containerizer.container import Container
    from containerizer.owner import Launching, Owner

# The fields that make a place for processes; a command that comes later finds it made. The others
# are a process' own, and a further command gets them too.
PLACE = (
    *("init", "pause", "namespaces", "uid_map", "gid_map", "idmapped_paths", "time_offsets"),
    *("hostname", "interfaces_up", "sysctls", "rootfs", "rootfs_mounts", "mounts", "file_operations"),
    *("masked_paths", "readonly_paths", "readonly_rootfs", "hooks", "bundle"),
)

# The kinds of which a nested container may have its own instead of its parent's, as it has of "pid" anyway.
_PRIVATE = ("net", "ipc", "uts")

# Of these nobody asks any more, and they are most of the whole; and what is executed may have secrets in it.
_MADE = ("argv", "mounts", "file_operations", "masked_paths", "readonly_paths")


class ExecRequest(Data, kw_only=True):
    """A further command in a running container; what is None is as in the container."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)  # added to the container's
    secret_environment: Mapping[str, str] = field(default_factory=dict)  # wins over both; on no disk
    working_directory: str | None = None
    user: str | None = None
    keep: bool = False  # when it has ended, leave its log and its termination until it is removed
    container_id: ContainerId | None = None  # what it is called, in its container; None: `exec-…`


def place(info: LaunchInfo) -> str:
    """What later commands and nested containers need to know, as it is checkpointed."""
    value = info.to_json(without=_MADE)
    if info.secret_environment:
        value["secret_environment"] = dict.fromkeys(info.secret_environment, "")  # containerizer.secrets
    return json.dumps(value)


def shown_command(info: LaunchInfo) -> tuple[str, ...]:
    """What is executed, for others to see."""
    if not info.secret_environment:
        return tuple(info.argv or ())
    from containerizer import secrets  # what few have

    return tuple(secrets.hidden(word, info.secret_environment) for word in info.argv or ())


@contextlib.contextmanager
def with_parent(owner: Owner, request: ContainerRequest) -> Iterator[ContainerRequest]:
    """The request with what its parent or other containers share, valid within this context.

    Raises NoSuchContainer, and InvalidRequest for one of them that does not run or is paused.
    """
    if request.debugs:
        from containerizer import debugging  # what most never do

        request = debugging.entering(request)
    if request.container_id.parent is None:
        if request.config.share_cgroups:
            hint = "name it PARENT.NAME to have it in a container"
            raise InvalidRequest("a container that is in no other cannot share cgroups", hint=hint)
        if not request.config.namespaces:
            yield request
            return
        from containerizer import joining  # for those who name others

        with joining.resolved(owner, request) as request:
            yield request
        return
    own = _own(request.config)
    around = entering.opened(owner, request.container_id.parent)
    with around as (info, namespaces), _of_siblings(owner, request) as others:
        _refuse_tracer(request.container_id.parent, info)
        parent = Parent(
            namespaces={kind: path for kind, path in {**namespaces, **others}.items() if kind not in own},
            uid_map=info.uid_map,
            gid_map=info.gid_map,
            hostname=info.hostname,
            cgroups_v1=info.cgroups_v1,
            cgroup_v2=info.cgroup_v2,
            **(
                {"first": entering.first_process(owner, request.container_id.parent)}
                if request.debugs
                else {}
            ),
        )
        # None of its own of these kinds: then they are its parent's, whoever's those are.
        kinds = {**dict.fromkeys(request.config.namespaces, OF_HOST), **own}
        files = None if "net" in own else entering.network_files(owner.paths, request.container_id.parent)
        shared = {"parent": parent, "namespaces": kinds, "network_files": files}
        yield replace(request, config=replace(request.config, **shared))


def _refuse_tracer(container_id: ContainerId, info: LaunchInfo) -> None:
    """Raises InvalidRequest for a parent that may trace what has the host's privileges.

    Who makes a nested container has them for a while, and is in a PID namespace below its parent's, who sees
    it. In a user namespace the right to trace is none over that process: its memory is the host's, ptrace(2).
    Who may mount is the host's root anyway.
    """
    sets = info.capabilities
    if sets is None or "user" in info.namespaces or "CAP_SYS_ADMIN" in sets.bounding:
        return
    if "CAP_SYS_PTRACE" in sets.bounding:
        hint = "give the parent a user namespace (--userns auto), or no SYS_PTRACE; `exec` may be had in it"
        raise InvalidRequest(f"container {container_id} has CAP_SYS_PTRACE, so none can be in it", hint=hint)


def _own(config: ContainerConfig) -> dict[str, str]:
    """The kinds of which it has asked for its own."""
    asked = config.namespaces
    return {kind: NEW for kind in _PRIVATE if asked.get(kind) == NEW}


@contextlib.contextmanager
def _of_siblings(owner: Owner, request: ContainerRequest) -> Iterator[dict[str, str]]:
    """Those that it names of another container in its parent: what may be had is its processes."""
    around = request.container_id.parent
    own, private = f"{CONTAINER}{around}", _own(request.config)
    asked = request.config.namespaces.items()
    named = {kind: which for kind, which in asked if which != own and kind not in private}
    if not named:
        yield {}
        return
    sibling = named.get("pid", "").removeprefix(CONTAINER)
    if named.keys() != {"pid"} or not sibling or ContainerId.parse(sibling).parent != around:
        hint = f"name it, {own}, or ask for new ones of {', '.join(_PRIVATE)}"
        raise InvalidRequest("a nested container has its parent's namespaces", hint=hint)
    with entering.opened(owner, ContainerId.parse(sibling)) as (_, namespaces):
        yield {"pid": namespaces["pid"]}


def shared(config: ContainerConfig) -> LaunchInfo:
    """What a nested container has of its parent, for the fields that no isolator has set."""
    assert config.parent is not None
    cgroups: dict[str, Any] = {}
    if config.share_cgroups:
        cgroups = {"cgroups_v1": config.parent.cgroups_v1, "cgroup_v2": config.parent.cgroup_v2}
    if "user" not in config.parent.namespaces:
        return LaunchInfo(namespaces=config.parent.namespaces, **cgroups)
    return LaunchInfo(
        namespaces=config.parent.namespaces,
        **cgroups,
        uid_map=config.parent.uid_map,
        gid_map=config.parent.gid_map,
        idmapped_paths=idmapped_paths(config),
    )


@contextlib.contextmanager
def command_in(
    owner: Launching[Container], container_id: ContainerId, request: ExecRequest, stdio: Stdio
) -> Iterator[tuple[Container, LaunchInfo]]:
    """The container of a further command, and what the launcher has to do for it within this context.

    Raises as `with_parent` does.
    """
    from containerizer.container import Container

    with entering.opened(owner, container_id) as (info, namespaces):
        if info.secret_environment:
            from containerizer import secrets

            found = secrets.load(owner.paths, container_id, info.secret_environment)
            info = replace(info, secret_environment=found)
        own = request.container_id or ContainerId.of_command(container_id)
        record = ContainerRecord(
            container_id=str(own),
            image=records.load(owner.paths, container_id).image,
            owner=os.getpid(),
            owner_started=own_start(),
            keep=request.keep,
            stdio=mode_of(stdio),
            created_at=time.time(),
        )
        saved = records.reserve(owner.paths, record)
        if not isinstance(stdio, Inherit):
            _make_sandbox(owner.paths, own)
        yield Container(owner, record, saved, ContainerConfig()), _further(info, namespaces, request)


def _make_sandbox(paths: Paths, container_id: ContainerId) -> None:
    """The place of its log."""
    try:
        sandbox.create(paths.sandbox(container_id))
    except BaseException:
        sandbox.delete(paths.container_state(container_id))
        raise


def _further(info: LaunchInfo, namespaces: Mapping[str, str], request: ExecRequest) -> LaunchInfo:
    kept = {name: value for name, value in info.asked().items() if name not in PLACE}
    secrets = {k: v for k, v in info.secret_environment.items() if k not in request.environment}
    changes = {"working_directory": request.working_directory, "user": request.user}
    return LaunchInfo(
        **{
            **kept,
            **{name: value for name, value in changes.items() if value is not None},
            "argv": request.command,
            "environment": {**info.environment, **request.environment},
            "secret_environment": {**secrets, **request.secret_environment},
            "namespaces": namespaces,
        }
    )
