"""`--security-opt` and `--privileged`, in the words of Docker and podman, as fields of ContainerConfig."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from isolators.isolator import BUILTIN_SECCOMP, UNCONFINED
from launcher.errors import InvalidRequest

HELP = (
    "no-new-privileges[=true|false], seccomp=builtin|unconfined|FILE, apparmor=PROFILE|unconfined,"
    " label=PART:VALUE|disable, mask=PATH[:PATH], unmask=ALL|PATH[:PATH], systempaths=unconfined"
)
_LABEL = ("user", "role", "type", "level")  # the parts of one, in their order

Fields = dict[str, Any]


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--security-opt", action="append", default=[], metavar="OPT", help=HELP)
    group.add_argument(
        "--seccomp-listener",
        action="append",
        default=[],
        metavar="SOCKET",
        help="who may answer for a profile with SCMP_ACT_NOTIFY: what its listenerPath may name",
    )
    group.add_argument(
        "--privileged",
        action="store_true",
        help="without shields: all capabilities, devices and system calls, and nothing masked",
    )


def fields(arguments: argparse.Namespace) -> Fields:
    """The last of several that say different things wins. Raises InvalidRequest."""
    found: Fields = {}
    if arguments.privileged:
        from containerizer import privileged  # what few are

        found |= privileged.FIELDS
    for option in arguments.security_opt:
        name, setting = _parted(option)
        if name not in _OPTIONS:
            raise InvalidRequest(f"unknown --security-opt {option!r}", hint=f"use {HELP}")
        found |= _OPTIONS[name](option, setting, found)
    return found


def devices(arguments: argparse.Namespace) -> list[str]:
    """Those of --device; and of --privileged, all that there are."""
    if not arguments.privileged:
        return list(arguments.device)
    from containerizer import privileged

    return [*arguments.device, *map(str, privileged.all_devices())]


def _parted(option: str) -> tuple[str, str]:
    """Docker's older form has a colon in the middle."""
    equals, colon = option.find("="), option.find(":")
    at = equals if equals >= 0 and (colon < 0 or equals < colon) else colon
    return (option, "") if at < 0 else (option[:at], option[at + 1 :])


def _no_new_privileges(option: str, setting: str, found: Fields) -> Fields:
    if setting not in ("", "true", "false"):
        raise InvalidRequest(f"unknown --security-opt {option!r}", hint="say true or false")
    return {"no_new_privileges": setting != "false"}


def _seccomp(option: str, setting: str, found: Fields) -> Fields:
    if setting in (BUILTIN_SECCOMP, UNCONFINED):
        return {"seccomp": setting}
    if not setting:
        raise InvalidRequest(
            "--security-opt seccomp names no profile", hint="use builtin, unconfined or a file"
        )
    from isolators.linux import seccomp_document

    return {"seccomp": seccomp_document.read(os.path.abspath(setting))}  # here: an agent may be elsewhere


def _apparmor(option: str, setting: str, found: Fields) -> Fields:
    if not setting:
        raise InvalidRequest(
            "--security-opt apparmor names no profile", hint="use one that is loaded, or unconfined"
        )
    return {"apparmor": setting}


def _label(option: str, setting: str, found: Fields) -> Fields:
    """Its parts come one by one; those that are not given are the policy's for containers."""
    if setting == "disable":
        return {"selinux": None}
    part, _, value = setting.partition(":")
    if part not in _LABEL or not value:
        hint = f"use disable, or one of {', '.join(_LABEL)} and its value: type:spc_t"
        raise InvalidRequest(f"unknown --security-opt {option!r}", hint=hint)
    parts = (found.get("selinux") or "system_u:system_r:container_t:s0").split(":", 3)
    parts[_LABEL.index(part)] = value
    return {"selinux": ":".join(parts)}


def _mask(option: str, setting: str, found: Fields) -> Fields:
    from isolators.filesystem.linux import MASKED_PATHS

    masked = found.get("masked_paths")
    return {"masked_paths": (*(MASKED_PATHS if masked is None else masked), *_paths(option, setting))}


def _unmask(option: str, setting: str, found: Fields) -> Fields:
    """Neither hidden nor read-only."""
    if setting.upper() == "ALL":
        return {"masked_paths": (), "readonly_paths": ()}
    import fnmatch

    from isolators.filesystem.linux import MASKED_PATHS, READONLY_PATHS

    patterns = _paths(option, setting)

    def without(name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        paths = default if found.get(name) is None else found[name]
        return tuple(p for p in paths if not any(fnmatch.fnmatchcase(p, each) for each in patterns))

    return {
        "masked_paths": without("masked_paths", MASKED_PATHS),
        "readonly_paths": without("readonly_paths", READONLY_PATHS),
    }


def _system_paths(option: str, setting: str, found: Fields) -> Fields:
    if setting != UNCONFINED:
        raise InvalidRequest(f"unknown --security-opt {option!r}", hint="say systempaths=unconfined")
    return {"masked_paths": (), "readonly_paths": ()}


def _paths(option: str, setting: str) -> tuple[str, ...]:
    paths = tuple(setting.split(":"))
    for path in paths:
        if not path.startswith("/") or ".." in path.split("/"):
            raise InvalidRequest(f"invalid path in --security-opt {option!r}", hint="write absolute paths")
    return paths


_OPTIONS: dict[str, Callable[[str, str, Fields], Fields]] = {
    "no-new-privileges": _no_new_privileges,
    "seccomp": _seccomp,
    "apparmor": _apparmor,
    "label": _label,
    "mask": _mask,
    "unmask": _unmask,
    "systempaths": _system_paths,
}
