"""/etc/hosts and /etc/resolv.conf of one container: written in its sandbox, mounted over the image's.

Only when all addresses are known can they be written, and by then the mounts are decided: so the files
are there, empty, from `prepare` on.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence

from isolators.isolator import ContainerConfig
from isolators.network import result
from isolators.network.attachments import Attached
from isolators.network.host_address import host_address
from isolators.networks import HOST_GATEWAY
from launcher.errors import InvalidRequest
from launcher.kernel import files
from launcher.launch_info import LaunchInfo, Mount
from launcher.namespaces import NEW

_LOOPBACK = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_NAMES = ("hosts", "resolv.conf")
_FLAGS = ("nosuid", "nodev", "noexec")

_HOSTS_RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
_LARGEST = 1 << 16  # bytes of resolv.conf
_MOST_SERVERS = 3  # MAXNS of resolv.conf(5): further ones are ignored


def make(sandbox: str) -> None:
    """Have the files be there. Raises OSError."""
    directory = os.path.join(sandbox, "network")
    os.makedirs(directory, mode=0o755, exist_ok=True)
    for name in _NAMES:
        _write(os.path.join(directory, name), "")


def launch_info(config: ContainerConfig) -> LaunchInfo:
    """What a container is launched with whose network namespace is its own, and in networks."""
    host = host_address()
    return LaunchInfo(
        namespaces={"net": NEW},
        interfaces_up=("lo",),
        environment={"HOST_IP": host} if host and "HOST_IP" not in config.environment else {},
        mounts=mounts(config),
    )


def mounts(config: ContainerConfig, directory: str | None = None) -> tuple[Mount, ...]:
    """Over the image's; on the host's file system, over what is there. `directory`: another container's."""
    directory = directory or os.path.join(config.sandbox, "network")
    return tuple(
        Mount(
            target=f"/etc/{name}",
            fstype="bind",
            source=os.path.join(directory, name),
            flags=_FLAGS,
        )
        for name in _NAMES
        if f"/etc/{name}" not in config.mounted
        and (config.rootfs is not None or os.path.exists(f"/etc/{name}"))
    )


def write(attached: Attached) -> None:
    """Write what is in them, once every network has been joined. Raises OSError, InvalidRequest."""
    directory = os.path.join(attached.sandbox, "network")
    _write(os.path.join(directory, "hosts"), hosts(attached))
    _write(os.path.join(directory, "resolv.conf"), resolv_conf(attached))


def hosts(attached: Attached) -> str:
    """hosts(5): the container by its first network's addresses, then what was asked for."""
    lines = [_LOOPBACK]
    first = attached.attachments[0]
    if attached.hostname is not None:
        own = result.addresses(first.result or {}, first.interface)
        lines += [f"{address.ip}\t{attached.hostname}\n" for address in own]
    for name, address in attached.request.extra_hosts:
        lines += [f"{each}\t{name}\n" for each in _extra(attached, address)]
    return "".join(lines)


def resolv_conf(attached: Attached) -> str:
    """resolv.conf(5): what the request says, or else the networks, or else the host."""
    request = attached.request
    results = [each.result or {} for each in attached.attachments]
    # A network that has been told of the request's servers asks them itself.
    told = any("dns" in each.capabilities for each in attached.attachments)
    servers = list(request.dns_servers) if not told else []
    servers = servers or [server for each in results for server in result.name_servers(each)]
    search = list(request.dns_search) or [domain for each in results for domain in result.search(each)]
    options = list(request.dns_options) or [word for each in results for word in result.options(each)]
    hosts_own = host_resolver()
    if not servers:
        servers = [
            server for server in hosts_own["nameserver"] if not ipaddress.ip_address(server).is_loopback
        ]
    search = search or hosts_own["search"]
    options = options or hosts_own["options"]
    lines = [f"nameserver {server}\n" for server in dict.fromkeys(servers[:_MOST_SERVERS])]
    lines += [f"search {' '.join(dict.fromkeys(search))}\n"] if search and search != ["."] else []
    lines += [f"options {' '.join(options)}\n"] if options else []
    return "".join(lines)


def host_resolver(paths: Sequence[str] = _HOSTS_RESOLVERS) -> dict[str, list[str]]:
    """The host's "nameserver", "search" and "options", of the first file with a server that others reach."""
    best: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    for path in paths:
        try:
            found = _parsed(files.read(path, _LARGEST).decode(errors="replace").splitlines())
        except OSError:
            continue
        if any(not ipaddress.ip_address(server).is_loopback for server in found["nameserver"]):
            return found
        best = best if best["nameserver"] else found
    return best


def _parsed(lines: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    for line in lines:
        key, *words = line.split() or [""]
        if key == "nameserver" and words and _is_address(words[0]):
            found["nameserver"].append(words[0])
        elif key in ("search", "domain"):
            found["search"] = words  # the last one counts
        elif key == "options":
            found["options"] += words
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _extra(attached: Attached, address: str) -> list[str]:
    if address != HOST_GATEWAY:
        return [address]
    gateways = [gateway for each in attached.attachments for gateway in result.gateways(each.result or {})]
    if not gateways:
        names = ", ".join(attached.request.names)
        raise InvalidRequest(f"there is no gateway to the host in {names}", hint="name an address instead")
    return gateways[:1]


def _write(path: str, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.fchmod(descriptor, 0o644)  # whatever our umask is: every user in the container reads them
        os.write(descriptor, content.encode())
    finally:
        os.close(descriptor)
