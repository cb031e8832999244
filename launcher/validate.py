"""Refuse a launch that would reach past the container, before anything is touched.

A LaunchInfo is merged from the parts of isolators that a person has chosen; leaving one out must
not turn what the others ask for against the host.
"""

from __future__ import annotations

from launcher.errors import InvalidRequest
from launcher.kernel.sysctl import namespace_of
from launcher.launch_info import LaunchInfo
from launcher.process_attributes import check_personality

# What acts on a namespace: (kind, fields).
_NEEDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("mnt", ("rootfs", "rootfs_mounts", "mounts", "masked_paths", "readonly_paths", "readonly_rootfs")),
    ("uts", ("hostname",)),
    ("net", ("interfaces_up",)),
)


def validate(info: LaunchInfo) -> None:
    """Raises InvalidRequest."""
    if not info.argv:
        raise InvalidRequest("no command to execute", hint="name one")
    asked = info.asked()
    for kind, fields in _NEEDS:
        for field in fields:
            if field in asked and kind not in info.namespaces:
                raise InvalidRequest(
                    f"{field} would change the host's {kind} namespace",
                    hint=f"load an isolator that gives the container one of its own (--isolation): {kind}",
                )
    if info.personality is not None:
        check_personality(info.personality)
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
