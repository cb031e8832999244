"""Refuse a launch that would reach past the container, before anything is touched.

A LaunchInfo is merged from the parts of isolators that a person has chosen; leaving one out must
not turn what the others ask for against the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launcher import namespaces
from launcher.errors import InvalidRequest
from launcher.kernel.sysctl import namespace_of
from launcher.launch_info import IdMapping, LaunchInfo
from launcher.process_attributes import check_personality

# What acts on a namespace: (kind, fields).
_NEEDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("mnt", ("rootfs", "rootfs_mounts", "mounts", "masked_paths", "readonly_paths", "readonly_rootfs")),
    ("uts", ("hostname",)),
    ("net", ("interfaces_up",)),
    ("user", ("idmapped_paths",)),
)


_CLOCKS = ("monotonic", "boottime")
_IDS = 2**32  # user and group ids end here; the last one stands for none


def validate(info: LaunchInfo) -> None:
    """Raises InvalidRequest."""
    for check in _CHECKS:
        check(info)


def _has_command(info: LaunchInfo) -> None:
    if not info.argv:
        raise InvalidRequest("no command to execute", hint="name one")


def _variables_are_text(info: LaunchInfo) -> None:
    """Of C: the value is in no message, for it may be a secret."""
    for variables in (info.environment, info.secret_environment):
        for name, value in variables.items():
            if "\0" in name or "\0" in value:
                raise InvalidRequest(f"the environment variable {name!r} has a null character")


def _namespaces_are_there(info: LaunchInfo) -> None:
    namespaces.check(info.namespaces)
    asked = info.asked()
    for kind, fields in _NEEDS:
        for field in fields:
            if field in asked and kind not in info.namespaces:
                raise InvalidRequest(
                    f"{field} would change the host's {kind} namespace",
                    hint=f"load an isolator that gives the container one of its own (--isolation): {kind}",
                )


def _personality_is_known(info: LaunchInfo) -> None:
    if info.personality is not None:
        check_personality(info.personality)


def _sysctls_are_its_own(info: LaunchInfo) -> None:
    for name in info.sysctls:
        _check_sysctl(name, info)


def _check_sysctl(name: str, info: LaunchInfo) -> None:
    kind = namespace_of(name)
    if kind is None:
        raise InvalidRequest(
            f"sysctl {name} is the whole host's, not a container's",
            hint="net.*, fs.mqueue.*, and kernel.msg*, sem, shm*, hostname and domainname are a container's",
        )
    if info.namespaces.get(kind) != "new":
        raise InvalidRequest(
            f"sysctl {name} would change a {kind} namespace that is not the container's own",
            hint=f"load an isolator that gives the container one of its own (--isolation): {kind}",
        )


def _mounts_are_its_own(info: LaunchInfo) -> None:
    """Who joins another's mount namespace finds its root filesystem there."""
    if "mnt" not in namespaces.joined(info):
        return
    asked = info.asked()
    for field in next(fields for kind, fields in _NEEDS if kind == "mnt"):
        if field in asked:
            raise InvalidRequest(f"{field} would change the mount namespace that is joined")


def _ids_are_mapped(info: LaunchInfo) -> None:
    """A new namespace needs maps; of one that is joined they are needed to map owners."""
    needed = "user" in namespaces.made(info) or info.idmapped_paths
    for field, mapping in (("uid_map", info.uid_map), ("gid_map", info.gid_map)):
        if mapping is not None and "user" not in info.namespaces:
            raise InvalidRequest(f"{field} has no user namespace to map ids of")
        if mapping is not None or needed:
            _check_map(field, mapping or ())


def _check_map(field: str, mapping: Sequence[IdMapping]) -> None:
    for part in mapping:
        if (
            part.count < 1
            or min(part.inside, part.outside) < 0
            or max(part.inside, part.outside) + part.count > _IDS
        ):
            raise InvalidRequest(f"invalid range in {field}: {part.inside} {part.outside} {part.count}")
    if not any(part.inside == 0 for part in mapping):
        hint = "map 0 to an id that nobody else on the host has"
        raise InvalidRequest(f"{field} does not say who root in the user namespace is", hint=hint)


def _clocks_are_known(info: LaunchInfo) -> None:
    for clock in info.time_offsets:
        if clock not in _CLOCKS:
            raise InvalidRequest(
                f"unknown clock {clock!r}", hint=f"only {' and '.join(_CLOCKS)} have offsets"
            )
    if info.time_offsets and "time" not in namespaces.made(info):
        raise InvalidRequest("time_offsets has no new time namespace to set clocks of")


def _hooks_ask_nobody(info: LaunchInfo) -> None:
    """Those inside have the task's filter, and nobody takes the descriptor of theirs to who answers."""
    if info.seccomp_listener is not None and any(hook.point == "startContainer" for hook in info.hooks):
        raise InvalidRequest(
            "a startContainer hook cannot have a seccomp filter that somebody answers for",
            hint="use a profile without SCMP_ACT_NOTIFY, or another hook",
        )


_CHECKS: tuple[Callable[[LaunchInfo], None], ...] = (
    _has_command,
    _variables_are_text,
    _namespaces_are_there,
    _mounts_are_its_own,
    _ids_are_mapped,
    _clocks_are_known,
    _personality_is_known,
    _sysctls_are_its_own,
    _hooks_ask_nobody,
)
