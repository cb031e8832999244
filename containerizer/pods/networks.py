"""The networks of a pod, which are those of all its containers: what is asked beside its manifest."""

from __future__ import annotations

from containerizer import networking
from containerizer.pods.manifest import PodManifest
from isolators.networks import NetworkRequest
from launcher.errors import InvalidRequest
from launcher.kernel import process

_DEFAULT = "bridge"  # where there are ports of the host to answer for it


def asked(manifest: PodManifest) -> NetworkRequest:
    """Those that are named, or that its ports and its user need. Raises InvalidRequest.

    In one the aliases of hosts are in the files of that.
    """
    if manifest.host_network:
        if manifest.network is not None:
            hint = "leave out one of them"
            raise InvalidRequest("a pod with hostNetwork: true joins no networks", hint=hint)
        return NetworkRequest()
    ports = [port for of in (*manifest.init_containers, *manifest.containers) for port in of.host_ports]
    found = networking.asked(manifest.network or _usual(needed=bool(ports)))
    if found["namespaces"]:
        raise InvalidRequest(
            f"a pod cannot have the network {manifest.network}", hint="name networks, or none"
        )
    names = found["networks"].names
    aliases = tuple((name, address) for address, name in manifest.hosts) if names else ()
    return NetworkRequest(names=names, ports=tuple(ports), extra_hosts=aliases)


def _usual(*, needed: bool) -> str | None:
    if not process.is_rootless():
        return _DEFAULT if needed else None
    from isolators.network.helper import choice  # for ordinary users

    return choice.default()
