"""What is known of a network that is a program, on disk: one directory a container.

<container>/record.json   which program, what it has published, and who keeps it
<container>/namespace     the container's network namespace, mounted
<container>/api.sock      slirp4netns's
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any

from isolators.network.attachments import Attached, Attachment
from isolators.network.config_list import ConfigList
from isolators.network.helper.keeper import Started
from isolators.networks import NetworkRequest, PortMapping
from launcher.data import Data, asdict
from launcher.errors import ContainerizerError
from launcher.kernel import files

# Both programs are told the same: the container has no address of the host's, and learns none.
ADDRESS, GATEWAY, RESOLVER = "10.0.2.100", "10.0.2.2", "10.0.2.3"
ADDRESS_6, GATEWAY_6 = "fd00::100", "fd00::2"

INTERFACE = "eth0"

_LARGEST = 1 << 20  # bytes


class Record(Data, kw_only=True):
    """Of one container."""

    program: str  # one of networks.USERMODE
    families: tuple[int, ...]  # 4, 6
    resolves: bool = False  # it asks the host's name server itself: nothing else reaches that
    ports: tuple[PortMapping, ...] = ()
    keeper: Started | None = None  # None: it has not been started

    def save(self, directory: str) -> None:
        """Raises OSError."""
        path = _file(directory)
        beside = f"{path}.{os.getpid()}.new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        os.rename(beside, path)

    def as_attached(
        self, container: str, sandbox: str, request: NetworkRequest, hostname: str | None
    ) -> Attached:
        """In the words of networks of plug-ins, of which files and facts are made."""
        pairs = [(f"{ADDRESS}/24", GATEWAY), (f"{ADDRESS_6}/64", GATEWAY_6)][: len(self.families)]
        result: dict[str, Any] = {
            "interfaces": [{"name": INTERFACE, "sandbox": "/"}],
            "ips": [{"address": address, "gateway": gateway, "interface": 0} for address, gateway in pairs],
        }
        network = ConfigList(name=self.program, versions=(), plugins=())
        attachment = Attachment(interface=INTERFACE, network=network, capabilities={}, result=result)
        return Attached(
            container=container,
            id=container,
            boot="",
            directories=(),
            sandbox=sandbox,
            hostname=hostname,
            request=request,
            attachments=(attachment,),
        )


def namespace(directory: str) -> str:
    return os.path.join(directory, "namespace")


def load(directory: str) -> Record | None:
    """None where there is none. Raises ContainerizerError for what no version wrote."""
    try:
        value = json.loads(files.read(_file(directory), _LARGEST))
        keeper = Started(**value.pop("keeper")) if value["keeper"] else value.pop("keeper")
        ports = tuple(PortMapping(**each) for each in value.pop("ports"))
        return Record(**{**value, "families": tuple(value["families"])}, ports=ports, keeper=keeper)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        hint = "remove the directory if its container is gone"
        raise ContainerizerError(f"cannot read {_file(directory)}: {error}", hint=hint) from error


def remove(directory: str) -> None:
    """Idempotent. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _file(directory: str) -> str:
    return os.path.join(directory, "record.json")
