"""What a LinuxContainerSecurityContext lets a container do, as fields of ContainerConfig."""

from __future__ import annotations

import os
from typing import Any

from containerizer import privileged
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import containers_pb2 as messages
from isolators.isolator import BUILTIN_SECCOMP, UNCONFINED
from launcher.errors import InvalidRequest
from launcher.kernel import labels

_PROFILES = common.SecurityProfile
_LOCALHOST = "localhost/"
_LEGACY_SECCOMP = {
    "": UNCONFINED,  # so says the API
    "unconfined": UNCONFINED,
    "runtime/default": BUILTIN_SECCOMP,
    "docker/default": BUILTIN_SECCOMP,
}


def of(context: messages.LinuxContainerSecurityContext) -> dict[str, Any]:
    """Raises InvalidRequest."""
    fields = {
        **_labels(context),
        "user": _user(context),
        "additional_gids": tuple(context.supplemental_groups),
        "image_groups": context.supplemental_groups_policy == common.Merge,
        "readonly_rootfs": context.readonly_rootfs,
        "no_new_privileges": context.no_new_privs and not context.privileged,
    }
    if context.privileged:
        return {**fields, **privileged.FIELDS}
    return {
        **fields,
        "capabilities_add": tuple(context.capabilities.add_capabilities),
        "capabilities_drop": tuple(context.capabilities.drop_capabilities),
        "capabilities_ambient": tuple(context.capabilities.add_ambient_capabilities),
        "seccomp": _seccomp(context),
        "masked_paths": tuple(context.masked_paths),
        "readonly_paths": tuple(context.readonly_paths),
    }


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


def _labels(context: messages.LinuxContainerSecurityContext) -> dict[str, Any]:
    """A profile that the kernel has nobody to go by is refused; a label then means nothing to it."""
    name = context.apparmor_profile
    kind = context.apparmor.profile_type if context.HasField("apparmor") else None
    local = kind == _PROFILES.Localhost
    if name and not name.startswith(_LOCALHOST) and name not in ("runtime/default", UNCONFINED):
        raise InvalidRequest(f"invalid AppArmor profile {name!r}")
    fields: dict[str, Any] = {}
    if (local or name.startswith(_LOCALHOST)) and not context.privileged:
        profile = context.apparmor.localhost_ref if local else name.removeprefix(_LOCALHOST)
        if not labels.has_apparmor():
            raise InvalidRequest(f"no AppArmor profiles are loaded here: {profile}")
        if profile not in (labels.apparmor_profiles() or ()):
            hint = "load it with apparmor_parser(8), and have securityfs at /sys/kernel/security"
            raise InvalidRequest(f"no AppArmor profile {profile!r} is loaded here", hint=hint)
        fields["apparmor"] = profile
    elif name == UNCONFINED or kind == _PROFILES.Unconfined:
        fields["apparmor"] = UNCONFINED
    label = context.selinux_options
    parts = (label.user, label.role, label.type, label.level)
    if any(parts) and labels.has_selinux():
        defaults = ("system_u", "system_r", "container_t", "s0")
        fields["selinux"] = ":".join(part or default for part, default in zip(parts, defaults, strict=True))
    return fields
