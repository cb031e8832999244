"""Show all that is known of containers, images, networks or volumes, as JSON: {"kind", …} each.

A name is looked for among them in this order; --type says which it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from containerizer import checkpoint, inspection, updating
from containerizer import record as records
from containerizer.cli.table import add_json_option, print_data
from containerizer.containerizer import Containerizer
from containerizer.paths import Paths
from containerizer.record import NoSuchContainer
from containerizer.volumes import kept
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import asdict, fields
from launcher.errors import ContainerizerError, InvalidRequest

_TYPES = ("container", "image", "network", "volume")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--type", choices=_TYPES, help="(whichever there is)")
    add_json_option(parser, "-f")
    parser.add_argument(
        "names", metavar="NAME", nargs="+", help="or its beginning; of an image its digest, too"
    )


def run(arguments: argparse.Namespace) -> int:
    show([_look_up(name, arguments) for name in arguments.names], arguments)
    return 0


def show(found: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    print_data(found, "json" if arguments.format == "table" else arguments.format)


def _look_up(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises InvalidRequest where nothing has this name."""
    for kind in (arguments.type,) if arguments.type else _TYPES:
        try:
            return {"kind": kind} | _DESCRIBE[kind](name, arguments)
        except ContainerizerError:
            if arguments.type:
                raise
    raise unknown(name)


def unknown(name: str) -> InvalidRequest:
    hint = "`containerizer ps -a`, `images`, `network ls` and `volume ls` list what there is"
    return InvalidRequest(f"no container, image, network or volume {name!r}", hint=hint)


def _container(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    owner = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    container_id = _find(owner, name)
    status = inspection.status(owner, container_id)
    record = asdict(status.record)
    started = {
        key: record.pop(key) for key in ("owner", "owner_started", "pid_started", "supervisor_started")
    }
    return {
        "id": record.pop("container_id"),
        **record,
        "state": status.state,
        "running": status.running,
        "paused": status.paused,
        "limits": {each.name: None for each in fields(Resources)} | updating.in_force(owner, status.record),
        "limits_reached": [asdict(noted) for noted in status.reached],
        "isolators": dict(status.facts),  # what each has to say: its cgroups, its addresses …
        "usage": _usage(owner, container_id),
        "nested": [str(each) for each in records.nested(owner.paths, container_id)],
        "volumes": [asdict(each) for each in kept.of(owner.paths, container_id)],
        "sandbox": owner.paths.sandbox(container_id),
        "log": None if status.record.stdio == "inherit" else owner.paths.log(container_id),
        "launch_info": checkpoint.read(owner.paths.launch_info(container_id)),
        "processes": started,
    }


def _find(owner: Containerizer, name: str) -> ContainerId:
    try:
        return records.find(owner.paths, name)
    except InvalidRequest as error:  # what cannot be a container's name may be an image's
        if "ambiguous" in str(error):
            raise
        raise NoSuchContainer(str(error)) from None


def _usage(owner: Containerizer, container_id: ContainerId) -> dict[str, Any]:
    used = asdict(inspection.usage(owner, container_id))
    return {name: value for name, value in used.items() if value is not None}


def _image(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from provisioner.provisioner import Provisioner

    provisioner = Provisioner(arguments.root)
    image = provisioner.present(name, policy="never")
    if image is None:
        raise unknown(name)
    usage = next(each for each in provisioner.usage() if each.image.digest == image.digest)
    used = {"shared_size": usage.shared, "used_at": usage.used_at, "containers": list(usage.containers)}
    return {**image.to_json(), **used}


def _network(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from containerizer.cli import network

    return network.described(name, arguments)


def _volume(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from containerizer.volumes.manager import Volumes

    return Volumes(Paths.of(arguments.root, arguments.state)).inspect(name).to_json()


_DESCRIBE: dict[str, Callable[[str, argparse.Namespace], dict[str, Any]]] = {
    "container": _container,
    "image": _image,
    "network": _network,
    "volume": _volume,
}
