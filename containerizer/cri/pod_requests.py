"""From a PodSandboxConfig to the request for the pod's own container, which holds the namespaces."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from containerizer.cri import scopes
from containerizer.cri.cgroups import parent_of
from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import pods_pb2 as messages
from containerizer.cri.settings import CriSettings
from containerizer.pods import quantities
from containerizer.request import HOST, ContainerRequest
from isolators.isolator import OF_HOST, ContainerConfig
from isolators.networks import NetworkRequest, PortMapping
from isolators.resources import ProcessAttributes, Resources
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import files

_PAUSE = ("pause",)  # to be shown: it executes nothing, and may do nothing
_EVERY_DEVICE = "a *:* rwm"
_NOBODY = "65534:65534"
_PROTOCOLS = {messages.TCP: "tcp", messages.UDP: "udp", messages.SCTP: "sctp"}
_BANDWIDTH = "kubernetes.io/{}-bandwidth"  # an annotation
_HOSTS_RESOLVER = "/etc/resolv.conf"
_LARGEST = 1 << 16  # bytes of it

_NODE = common.NODE
_POD = common.POD


def request(
    pod_id: str, config: messages.PodSandboxConfig, settings: CriSettings, network: Callable[[], str]
) -> ContainerRequest:
    """`network`: the name of the one that pods join. Raises InvalidRequest, NoNetwork."""
    options = config.linux.security_context.namespace_options
    of_host = {
        "net": options.network == _NODE,
        "uts": options.network == _NODE,
        "ipc": options.ipc == _NODE,
        "pid": options.pid == _NODE,
    }
    return ContainerRequest(
        image=HOST,
        container_id=ContainerId(pod_id),
        keep=True,
        config=ContainerConfig(
            command=_PAUSE,
            pause=True,
            user=_NOBODY,
            working_directory="/",
            hostname=None if of_host["uts"] else config.hostname or None,
            namespaces={kind: OF_HOST for kind, asked in of_host.items() if asked},
            capabilities_drop=("ALL",),
            # Its containers may have no more than it; and it does nothing with them.
            resources=Resources(device_rules=_EVERY_DEVICE if settings.confines_devices else None),
            attributes=ProcessAttributes(sysctls=dict(config.linux.sysctls)),
            networks=NetworkRequest() if of_host["net"] else _networks(pod_id, config, network()),
            cgroup_parent=_cgroup_parent(pod_id, config, settings),
            userns=_users(options.userns_options),
        ),
    )


def _cgroup_parent(pod_id: str, config: messages.PodSandboxConfig, settings: CriSettings) -> str | None:
    parent = parent_of(config.linux.cgroup_parent, settings.cgroup_driver)
    scoped = parent is not None and scopes.are_made(settings.cgroup_driver)
    return f"{parent}/{scopes.name_of(pod_id)}" if scoped else parent


def _networks(pod_id: str, config: messages.PodSandboxConfig, name: str) -> NetworkRequest:
    dns, metadata = config.dns_config, config.metadata
    arguments = {
        "K8S_POD_NAMESPACE": metadata.namespace,
        "K8S_POD_NAME": metadata.name,
        "K8S_POD_UID": metadata.uid,
        "K8S_POD_INFRA_CONTAINER_ID": pod_id,
    }
    return NetworkRequest(
        names=(name,),
        ports=tuple(map(_port, (each for each in config.port_mappings if each.host_port))),
        dns_servers=tuple(dns.servers),
        dns_search=tuple(each for each in dns.searches if each != "."),
        dns_options=tuple(dns.options),
        arguments=tuple(arguments.items()),
        ingress_rate=_rate(config, "ingress"),
        egress_rate=_rate(config, "egress"),
    )


def _rate(config: messages.PodSandboxConfig, direction: str) -> int | None:
    """Bits a second that the pod receives, or sends, at most."""
    text = config.annotations.get(_BANDWIDTH.format(direction))
    if text is None:
        return None
    try:
        return quantities.whole(text)
    except ValueError:
        raise InvalidRequest(f"the pod's {direction} bandwidth {text!r} is no quantity") from None


def _port(mapping: messages.PortMapping) -> PortMapping:
    return PortMapping(
        container_port=mapping.container_port,
        host_port=mapping.host_port,
        host_ip="" if mapping.host_ip in ("0.0.0.0", "::") else mapping.host_ip,  # noqa: S104 - to compare
        protocol=_PROTOCOLS[mapping.protocol],
    )


def _users(options: common.UserNamespace) -> str | None:
    """The range of users of a pod that has its own, as namespaces/user takes it. Raises InvalidRequest."""
    if options.mode not in (_NODE, _POD):
        mode = common.NamespaceMode.Name(options.mode)
        raise InvalidRequest(f"a pod cannot have the users of {mode}", hint="POD or NODE")
    if options.mode == _NODE or not (options.uids or options.gids):
        return None
    mappings = [(each.container_id, each.host_id, each.length) for each in options.uids]
    if mappings != [(e.container_id, e.host_id, e.length) for e in options.gids]:
        raise InvalidRequest("a pod's users and groups are not mapped alike")
    if len(mappings) != 1 or mappings[0][0] != 0:
        raise InvalidRequest(
            f"the users of a pod are mapped by {len(mappings)} ranges: one from 0 on is needed"
        )
    _, outside, count = mappings[0]
    return f"{outside}:{count}"


def resolver(config: messages.PodSandboxConfig) -> str:
    """resolv.conf(5) for its containers: what the kubelet says, or else the host's."""
    dns = config.dns_config
    if not (dns.servers or dns.searches or dns.options):
        return _hosts_own()
    lines = [f"search {' '.join(dns.searches)}"] if dns.searches else []
    lines += [f"nameserver {server}" for server in dns.servers]
    lines += [f"options {' '.join(dns.options)}"] if dns.options else []
    for line in lines:
        if not line.isprintable():
            raise InvalidRequest(f"{line!r} cannot be a line of resolv.conf")
    return "".join(f"{line}\n" for line in lines)


def _hosts_own() -> str:
    if not os.path.exists(_HOSTS_RESOLVER):
        return ""
    return files.read(_HOSTS_RESOLVER, _LARGEST).decode(errors="replace")


def namespaces_of(config: messages.PodSandboxConfig) -> dict[str, Any]:
    """As PodSandboxStatus tells them."""
    options = common.NamespaceOption()
    options.CopyFrom(config.linux.security_context.namespace_options)
    return {"namespaces": messages.Namespace(options=options)}
