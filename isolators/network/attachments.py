"""Which container is attached to what: checkpoints, which outlive a reboot.

What a plug-in has given (an address of a plug-in's own store, say) may outlive a reboot too, so whoever
comes first afterwards has to be able to say DEL. A record is written before anything is made, and has
all that DEL takes: the network's configuration as it was, the result, where the plug-ins were.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from isolators.network.config_list import ConfigList, parse
from isolators.network.places import Places
from isolators.networks import NetworkRequest, PortMapping
from launcher.container_id import ContainerId
from launcher.data import Data, asdict, replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import files
from launcher.kernel.boot import boot_id

_LARGEST = 1 << 24  # bytes


class Attachment(Data, kw_only=True):
    """One network of a container."""

    interface: str  # "eth0" …
    network: ConfigList
    version: str = ""  # of CNI; "": it is not known yet, so nothing has been asked of a plug-in
    capabilities: Mapping[str, Any]
    result: dict[str, Any] | None = None  # of ADD; None: it has not come to its end


class Attached(Data, kw_only=True):
    """All of them, of one container."""

    container: str
    id: str  # what plug-ins know it by: no other container had it or will, here or elsewhere on the host
    boot: str  # of the host
    directories: tuple[str, ...]  # of plug-ins
    sandbox: str
    state: str = ""  # directory of its networks, of this boot; others have theirs with the same root
    hostname: str | None = None
    request: NetworkRequest
    attachments: tuple[Attachment, ...] = ()

    @property
    def is_of_this_boot(self) -> bool:
        return self.boot == boot_id()

    def save(self, places: Places) -> None:
        self._save(places.attached(self.container))

    def orphan(self, places: Places) -> None:
        """Keep it for garbage collection: its container goes, and the name may be another's."""
        os.makedirs(places.orphans(), mode=0o700, exist_ok=True)
        self._save(places.orphans(self.id))
        _remove(places.attached(self.container), self.id)

    def _save(self, path: str) -> None:
        beside = f"{path}.{os.getpid()}.new"
        value = asdict(self)
        for each, own in zip(value["attachments"], self.attachments, strict=True):
            each["network"] = own.network.to_json()
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file)
        os.rename(beside, path)

    def remove(self, places: Places) -> None:
        for path in (places.attached(self.container), places.orphans(self.id)):
            _remove(path, self.id)

    def with_attachment(self, index: int, **changes: Any) -> Attached:
        attachments = list(self.attachments)
        attachments[index] = replace(attachments[index], **changes)
        return replace(self, attachments=tuple(attachments))


def new_id(container_id: ContainerId) -> str:
    return f"{container_id}-{os.urandom(4).hex()}"


def load(places: Places, container_id: ContainerId | str) -> Attached | None:
    """None where the container has no networks. Raises ContainerizerError for what no version wrote."""
    return _load(places.attached(str(container_id)))


def _load(path: str) -> Attached | None:
    try:
        return _decoded(json.loads(files.read(path, _LARGEST)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, InvalidRequest) as error:
        hint = "remove the file if its container is gone"
        raise ContainerizerError(f"cannot read {path}: {error}", hint=hint) from error


def load_all(places: Places) -> Iterator[Attached]:
    """Those that can be read, the orphans too."""
    for directory in (places.attached(), places.orphans()):
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            continue
        for name in names:
            if name.endswith(".json"):
                with contextlib.suppress(ContainerizerError):
                    found = _load(os.path.join(directory, name))
                    if found is not None:
                        yield found


def _remove(path: str, id_: str) -> None:
    """Unless it is of another container that got the name."""
    found = _load(path)
    if found is not None and found.id == id_:
        os.unlink(path)


def _decoded(value: dict[str, Any]) -> Attached:
    request = dict(value["request"])
    ports = tuple(PortMapping(**each) for each in request.pop("ports"))
    pairs = tuple((name, address) for name, address in request.pop("extra_hosts"))
    arguments = tuple((name, value) for name, value in request.pop("arguments", ()))
    words: dict[str, Any] = {
        name: tuple(item) if isinstance(item, list) else item for name, item in request.items()
    }
    attachments = [Attachment(**{**each, "network": parse(each["network"])}) for each in value["attachments"]]
    return Attached(
        **{
            **value,
            "directories": tuple(value["directories"]),
            "request": NetworkRequest(**words, ports=ports, extra_hosts=pairs, arguments=arguments),
            "attachments": tuple(attachments),
        }
    )
