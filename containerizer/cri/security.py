"""What a LinuxContainerSecurityContext lets a container do, as fields of ContainerConfig."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import containers_pb2 as messages
from isolators.devices import Device
from isolators.isolator import BUILTIN_SECCOMP, UNCONFINED
from launcher.errors import InvalidRequest

_PROFILES = common.SecurityProfile
_LOCALHOST = "localhost/"
_SELINUX = "/sys/fs/selinux/booleans"  # where the kernel goes by labels; elsewhere they mean nothing
_LEGACY_SECCOMP = {
    "": UNCONFINED,  # so says the API
    "unconfined": UNCONFINED,
    "runtime/default": BUILTIN_SECCOMP,
    "docker/default": BUILTIN_SECCOMP,
}
_OWN_DEVICES = ("pts", "shm", "mqueue", "ptmx", "console", "fd", "stdin", "stdout", "stderr", "core")
_STANDARD_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def of(context: messages.LinuxContainerSecurityContext) -> dict[str, Any]:
    """Raises InvalidRequest."""
    _check_labels(context)
    fields = {
        "user": _user(context),
        "additional_gids": tuple(context.supplemental_groups),
        "image_groups": context.supplemental_groups_policy == common.Merge,
        "readonly_rootfs": context.readonly_rootfs,
        "no_new_privileges": context.no_new_privs and not context.privileged,
    }
    if context.privileged:
        return {
            **fields,
            "capabilities_add": ("ALL",),
            "seccomp": UNCONFINED,
            "masked_paths": (),
            "readonly_paths": (),
            "writable_sysfs": True,
        }
    return {
        **fields,
        "capabilities_add": tuple(context.capabilities.add_capabilities),
        "capabilities_drop": tuple(context.capabilities.drop_capabilities),
        "capabilities_ambient": tuple(context.capabilities.add_ambient_capabilities),
        "seccomp": _seccomp(context),
        "masked_paths": tuple(context.masked_paths),
        "readonly_paths": tuple(context.readonly_paths),
    }


def all_devices() -> Iterator[Device]:
    """The host's, for a privileged container: but those that every container has its own of."""
    for directory, names, nodes in os.walk("/dev"):
        if directory == "/dev":
            names[:] = [name for name in names if name not in _OWN_DEVICES]
            nodes = [name for name in nodes if name not in (*_OWN_DEVICES, *_STANDARD_DEVICES)]
        for path in (os.path.join(directory, name) for name in sorted(nodes)):
            mode = os.lstat(path).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                yield Device(source=path, target=path)


def _user(context: messages.LinuxContainerSecurityContext) -> str | None:
    """A group is of a user that is named: so says the API."""
    user = str(context.run_as_user.value) if context.HasField("run_as_user") else context.run_as_username
    if not context.HasField("run_as_group"):
        return user or None
    if not user:
        raise InvalidRequest("run_as_group is given without run_as_user and run_as_username")
    return f"{user}:{context.run_as_group.value}"


def _seccomp(context: messages.LinuxContainerSecurityContext) -> str:
    """By the type of the profile, or else by the name that older kubelets give it."""
    if context.HasField("seccomp"):
        profile = context.seccomp
        if profile.profile_type == _PROFILES.Localhost:
            return _file(profile.localhost_ref)
        return BUILTIN_SECCOMP if profile.profile_type == _PROFILES.RuntimeDefault else UNCONFINED
    name = context.seccomp_profile_path
    if name.startswith(_LOCALHOST):
        return _file(name.removeprefix(_LOCALHOST))
    if name not in _LEGACY_SECCOMP:
        raise InvalidRequest(f"unknown seccomp profile {name!r}")
    return _LEGACY_SECCOMP[name]


def _file(path: str) -> str:
    if not os.path.isabs(path):
        raise InvalidRequest(f"the seccomp profile {path!r} is no absolute path")
    return path


def _check_labels(context: messages.LinuxContainerSecurityContext) -> None:
    """Names of profiles and labels that nobody here would put on the task are refused, not ignored."""
    name = context.apparmor_profile
    local = context.apparmor.profile_type == _PROFILES.Localhost if context.HasField("apparmor") else False
    if (local or name.startswith(_LOCALHOST)) and not context.privileged:
        raise InvalidRequest(
            f"no AppArmor profiles are loaded here: {context.apparmor.localhost_ref or name}"
        )
    if name and not name.startswith(_LOCALHOST) and name not in ("runtime/default", "unconfined"):
        raise InvalidRequest(f"invalid AppArmor profile {name!r}")
    label = context.selinux_options
    asked = any((label.user, label.role, label.type, label.level))
    if asked and os.path.isdir(_SELINUX):
        raise InvalidRequest("SELinux labels are not supported: leave out selinux_options")
