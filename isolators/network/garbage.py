"""What is left in networks of containers that are gone: after a reboot, or where clean-up was killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from isolators import ownership
from isolators.network import attachments, config_list, namespace
from isolators.network.attachments import Attached
from isolators.network.cni import NetworkCni
from launcher.errors import ContainerizerError
from launcher.kernel.boot import boot_id


def after_reboot(isolator: NetworkCni) -> None:
    """Take back what was attached before the host was booted. What fails is left for `collect`."""
    for attached in attachments.load_all(isolator.places):
        if not attached.is_of_this_boot:
            with contextlib.suppress(ContainerizerError, OSError):
                isolator.detach(attached)
    os.makedirs(isolator.places.state, mode=0o700, exist_ok=True)
    with open(isolator.places.swept, "w", encoding="ascii") as file:
        file.write(boot_id())


def collect(isolator: NetworkCni, is_there: Callable[[str], bool]) -> tuple[list[str], list[Exception]]:
    """Take back everything of containers of which `is_there` says no; their names, and what failed.

    Then every network's plug-ins are told what is still valid (GC).
    """
    taken: list[str] = []
    failures: list[Exception] = []
    for attached in list(attachments.load_all(isolator.places)):
        if _is_garbage(isolator, attached, is_there):
            try:
                left = isolator.detach(attached)
                failures += left
                taken += [] if left else [attached.container]
            except (ContainerizerError, OSError) as error:
                failures.append(error)
    with isolator.places.locked(alone=True):
        failures += _tell_plugins(isolator)
        _drop_unknown(isolator)
    return taken, failures


def _is_garbage(isolator: NetworkCni, attached: Attached, is_there: Callable[[str], bool]) -> bool:
    if os.path.exists(isolator.places.orphans(attached.id)) or not attached.is_of_this_boot:
        return True
    # With another state directory there are other containers, which `is_there` does not know.
    return attached.state == isolator.places.state and not is_there(attached.container)


def _tell_plugins(isolator: NetworkCni) -> list[Exception]:
    places = isolator.places
    failures: list[Exception] = []
    valid = list(attachments.load_all(places))
    for network in config_list.find_all((places.networks, *isolator.flags.cni_config_dirs))[0]:
        pairs = [
            (attached.id, each.interface)
            for attached in valid
            for each in attached.attachments
            if each.network.name == network.name
        ]
        try:
            failures += isolator.chain(network).collect(pairs)
        except ContainerizerError as error:
            failures.append(error)
    return failures


def _drop_unknown(isolator: NetworkCni) -> None:
    """Namespaces and ports without a record: whoever took them was killed before it was written, or after."""
    places = isolator.places
    known = {attached.id for attached in attachments.load_all(places)}
    for directory in (places.networks, places.attached(), places.orphans()):
        _drop_half_written(directory)
    for id_ in set(_names(os.path.dirname(places.namespace("")))) - known:
        namespace.unpin(places.namespace(id_))
    for name in _names(places.ports):
        holder = ownership.holder_of(places.ports, name)
        if holder is not None and holder not in known:
            ownership.release(places.ports, holder)


def _drop_half_written(directory: str) -> None:
    """`<name>.<pid>.new`, by who is gone before it was renamed."""
    for name in _names(directory):
        _, _, pid = name.removesuffix(".new").rpartition(".")
        if name.endswith(".new") and pid.isdecimal() and not os.path.isdir(f"/proc/{pid}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def _names(directory: str) -> list[str]:
    return os.listdir(directory) if os.path.isdir(directory) else []
