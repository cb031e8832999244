"""What a launch does: the isolators' parts in their order, then what the request asks itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from containerizer import nested
from containerizer.blame import named
from containerizer.request import HOST, ContainerRequest, of_request
from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, Mount
from launcher.merge import Merged, merge

_Method = Callable[[ContainerId, ContainerConfig], LaunchInfo]


def prepared(isolators: Sequence[Isolator], request: ContainerRequest, config: ContainerConfig) -> Merged:
    """Have the isolators prepare the container, after what the request needs. Raises ContainerizerError."""
    if request.fetch:
        from containerizer import fetching  # what most never do

        fetching.make_directory(config)
    return _merged(request, config, [(isolator, isolator.prepare) for isolator in isolators])


def planned(isolators: Sequence[Isolator], request: ContainerRequest, config: ContainerConfig) -> Merged:
    """The same without touching the host, and without secrets."""
    if config.secret_environment:
        config = replace(config, secret_environment=dict.fromkeys(config.secret_environment, ""))
    return _merged(request, config, [(isolator, isolator.contribute) for isolator in isolators])


def _merged(
    request: ContainerRequest, config: ContainerConfig, methods: Sequence[tuple[Isolator, _Method]]
) -> Merged:
    if request.fetch:
        from containerizer import fetching  # what most never do

        config = fetching.starting_there(config)
    places = [each.target for kind in (config.volumes, request.tmpfs, request.mounts) for each in kind]
    if places:
        config = replace(config, mounted=tuple(places))

    def contributions() -> Iterator[tuple[str, LaunchInfo]]:
        told = config
        for isolator, method in methods:
            with named(isolator):
                part = method(request.container_id, told)
            if part.devices:
                told = replace(told, granted_devices=(*told.granted_devices, *part.devices))
            yield isolator.name, part
        yield from _others(request, config)

    merged = merge(contributions())
    merged.fill("request", of_request(config))
    _edit(merged)
    _search(merged)
    if places:
        _arrange(merged, places)
    if config.parent is not None:
        merged.fill("parent", nested.shared(config))
    if config.rootfs is not None and "rootfs" not in merged.values:
        hint = f"add filesystem/linux to --isolation, or run on the image {HOST!r}"
        raise InvalidRequest("no loaded isolator mounts the image", hint=hint)
    if not merged.info.argv:
        raise InvalidRequest("no command given", hint="name one, or load docker/runtime for the image's")
    return merged


def _others(request: ContainerRequest, config: ContainerConfig) -> Iterator[tuple[str, LaunchInfo]]:
    """What no isolator does. The modules are of what most never ask for."""
    if request.debugs:
        from containerizer import debugging

        yield "debug", debugging.contribution(config)
    if request.fetch:
        from containerizer import fetching

        yield "fetcher", fetching.contribution(config)
    if config.share_cgroups and config.rootfs is not None and config.parent is not None:
        from isolators.cgroups import subsystem

        around = (*config.parent.cgroups_v1, *filter(None, [config.parent.cgroup_v2]))
        yield "parent", LaunchInfo(mounts=subsystem.shown(around))
    if request.tmpfs:
        from containerizer import tmpfs

        yield "tmpfs", tmpfs.contribution(request.tmpfs)
    if request.mounts:
        yield "request", LaunchInfo(mounts=request.mounts)


def _arrange(merged: Merged, places: Sequence[str]) -> None:
    """Mount what is around other mounts before them: what a request asks for, by its places alone.

    After all that others mount, unless one of these would lie in it.
    """
    mounts = merged.values.get("mounts", ())
    asked = sorted((each for each in mounts if each.target in places or each.populate), key=_place)
    others = [each for each in mounts if each not in asked]
    around = [each for each in asked if any(other.target.startswith(f"{each.target}/") for other in others)]
    merged.values["mounts"] = (*around, *others, *(each for each in asked if each not in around))


def _place(mount: Mount) -> str:
    return mount.target


def _edit(merged: Merged) -> None:
    """Let `environment_edits` win over what image and request say."""
    edits = merged.values.pop("environment_edits", {})
    if edits:
        merged.values.setdefault("environment", {}).update(edits)


def _search(merged: Merged) -> None:
    """Put the directories of `search_paths` before what their variables say."""
    searched = merged.values.pop("search_paths", {})
    environment = merged.values.setdefault("environment", {}) if searched else {}
    for variable, first in searched.items():
        rest = environment.get(variable)
        environment[variable] = f"{first}:{rest}" if rest else first
