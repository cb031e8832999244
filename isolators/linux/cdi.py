"""Devices by their names of CDI: finds who describes them, and says what the container gets for each."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from isolators.devices import ordered, rule_of
from isolators.linux import cdi_spec
from isolators.linux.cdi_spec import CdiHook, CdiMount, CdiNode, Edits, InvalidCdiSpec, Spec
from launcher.errors import InvalidRequest
from launcher.hooks import POINTS, STOPPED
from launcher.kernel.mounts import ATTRIBUTES
from launcher.launch_info import Hook, LaunchInfo, Mount

ALL = "all"  # of a kind: the device of this name, or if none has it each one

_NODE_FLAGS = ("ro", "nosuid", "noexec")
_OURS = ("private", "rprivate")  # how every mount here propagates
_PASSED_OVER = ("bind", "rbind", "rw", "suid", "dev", "exec", "defaults", *_OURS)
_EXTENSIONS = (".json", ".yaml")


def contribution(names: Sequence[str], directories: Sequence[str]) -> LaunchInfo:
    """What containers with these devices get. Raises InvalidRequest, InvalidCdiSpec."""
    environment: dict[str, str] = {}
    mounts, rules, gids, hooks = list[Mount](), list[str](), list[int](), list[Hook]()
    for edits in find(names, directories):
        environment |= edits.environment
        for node in edits.nodes:
            mount, rule = _node(node)
            mounts.append(mount)
            rules.append(rule)
        mounts += map(_mount, edits.mounts)
        gids += edits.gids
        hooks += map(_hook, edits.hooks)
    return LaunchInfo(
        environment_edits=environment,
        mounts=tuple(dict.fromkeys(mounts)),
        devices=tuple(rules),
        additional_gids=tuple(dict.fromkeys(gids)),
        hooks=tuple(dict.fromkeys(hooks)),
    )


def find(names: Sequence[str], directories: Sequence[str]) -> list[Edits]:
    """Of each file with one of the devices first what it says of all, then of each device."""
    found, broken = _load(directories)
    asked: dict[str, dict[str, Edits]] = {}  # by the files' paths
    by_path = {spec.path: spec for spec in found}
    for name in names:
        for spec, device in _with(name, found, broken):
            asked.setdefault(spec.path, {})[device] = spec.devices[device]
    return [edits for path, own in asked.items() for edits in (by_path[path].edits, *own.values())]


def _load(directories: Sequence[str]) -> tuple[list[Spec], list[InvalidCdiSpec]]:
    """The files; one that is broken stands in nobody's way who asks for other devices."""
    found, broken = [], []
    for directory in directories:
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        for name in names:
            if name.endswith(_EXTENSIONS):
                try:
                    found.append(cdi_spec.read(os.path.join(directory, name)))
                except InvalidCdiSpec as error:
                    broken.append(error)
    return found, broken


def _with(name: str, specs: Sequence[Spec], broken: Sequence[InvalidCdiSpec]) -> Iterator[tuple[Spec, str]]:
    split = cdi_spec.split(name)
    if split is None:
        raise InvalidRequest(f"invalid CDI device {name!r}", hint="write vendor.com/class=device")
    kind, device = split
    of_kind = [spec for spec in specs if spec.kind == kind]
    having = [spec for spec in of_kind if device in spec.devices]
    if not having and device == ALL and of_kind:
        for each in dict.fromkeys(device for spec in of_kind for device in spec.devices):
            yield _one([spec for spec in of_kind if each in spec.devices], f"{kind}={each}"), each
        return
    if not having:
        if broken:
            raise broken[0]
        known = [f"{spec.kind}={device}" for spec in specs for device in spec.devices]
        hint = (
            f"there are {', '.join(sorted(known))}"
            if known
            else "no file in /etc/cdi or /var/run/cdi names any"
        )
        raise InvalidRequest(f"unknown CDI device {name}", hint=hint)
    yield _one(having, name), device


def _one(having: Sequence[Spec], name: str) -> Spec:
    """That in the directory which comes last, if it is alone there. Raises InvalidRequest."""
    last = having[-1]
    directory = os.path.dirname(last.path)
    rivals = [spec.path for spec in having if os.path.dirname(spec.path) == directory]
    if len(rivals) > 1:
        raise InvalidRequest(f"several files describe the CDI device {name}: {', '.join(rivals)}")
    return last


def _node(node: CdiNode) -> tuple[Mount, str]:
    rule = rule_of(node.host_path, ordered(node.access))
    if rule is None:
        raise InvalidRequest(f"the device node {node.host_path} of CDI is not there, or is none")
    status = os.stat(node.host_path)
    here = {"fileMode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
    wanted: dict[str, Any] = {"fileMode": node.mode, "uid": node.uid, "gid": node.gid}
    for name, value in wanted.items():
        if value is not None and value != here[name]:
            hint = "a node is bound as the host has it: change that one, or leave the field out"
            told = f"{value:o}" if name == "fileMode" else value
            raise InvalidRequest(
                f"the device node {node.host_path} of CDI has another {name} than {told}", hint=hint
            )
    source = os.path.realpath(node.host_path)
    return Mount(target=node.path, fstype="bind", source=source, flags=_NODE_FLAGS), str(rule)


def _hook(hook: CdiHook) -> Hook:
    """Those that the launcher runs: for who ends a container, the file may be gone."""
    if hook.point not in POINTS or hook.point in STOPPED:
        points = ", ".join(point for point in POINTS if point not in STOPPED)
        raise InvalidRequest(f"the hook {hook.path} of CDI is for {hook.point!r}", hint=f"there are {points}")
    return Hook(
        point=hook.point,
        path=hook.path,
        argv=hook.arguments,
        environment=hook.environment,
        timeout=hook.timeout,
    )


def _mount(mount: CdiMount) -> Mount:
    flags, further = list[str](), list[tuple[str, str]]()
    if "dev" not in mount.options and "nodev" not in mount.options:
        flags.append("nodev")  # devices come as nodes
    bound = mount.fstype in ("", "bind")
    for option in mount.options:
        key, _, value = option.partition("=")
        if option in ATTRIBUTES:
            flags.append(option)
        elif option in _PASSED_OVER:
            continue
        elif not bound:
            further.append((key, value))
        else:
            raise InvalidRequest(
                f"the mount at {mount.container_path} of CDI has the option {option!r}, which is unknown"
            )
    if not bound:
        return Mount(
            target=mount.container_path,
            fstype=mount.fstype,
            source=mount.host_path,
            flags=tuple(flags),
            options=tuple(further),
        )
    if not os.path.exists(mount.host_path):
        raise InvalidRequest(f"what CDI mounts is not there: {mount.host_path}")
    kind = "rbind" if "rbind" in mount.options else "bind"
    return Mount(
        target=mount.container_path, fstype=kind, source=os.path.realpath(mount.host_path), flags=tuple(flags)
    )
