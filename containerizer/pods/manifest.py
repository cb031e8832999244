"""PodManifest: the parts of Kubernetes' Pod (core/v1) that one node can do.

A field that is not here is refused by its path. What only describes (labels, annotations, a namespace,
containerPorts) is accepted, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from containerizer.pods import containers, security, volumes
from containerizer.pods.containers import Around, PodContainer
from containerizer.pods.document import InvalidManifest, Node, load
from containerizer.pods.policy import ALWAYS, POLICIES
from containerizer.pods.volumes import Volume
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import InvalidRequest

GRACE_PERIOD = 30  # seconds, Kubernetes' default


class PodManifest(Data, kw_only=True):
    """A pod as somebody asked for it."""

    name: str
    containers: tuple[PodContainer, ...]
    init_containers: tuple[PodContainer, ...] = ()
    volumes: tuple[Volume, ...] = ()
    hostname: str | None = None  # None: its name
    restart_policy: str = ALWAYS
    grace_period: int = GRACE_PERIOD  # seconds between the signal that asks to end and SIGKILL
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    shares_processes: bool = False  # the containers see each other's


def parse(text: bytes, name: str = "the manifest") -> PodManifest:
    """Read a manifest in YAML or JSON; `name` is for messages. Raises InvalidManifest."""
    document = load(text, name)
    for field, expected in (("apiVersion", "v1"), ("kind", "Pod")):
        found = document.text(field)
        if found != expected:
            raise document.refusal(field, f"is {found!r}, not {expected!r}")
    pod, namespace = _metadata(document.object("metadata"))
    document.object("status")  # what a cluster has said of it
    manifest = _spec(document.object("spec"), pod, namespace)
    document.done()
    return manifest


def _metadata(node: Node) -> tuple[str, str]:
    """Its name and namespace, of which nothing but a variable of the containers depends on the second."""
    name = node.text("name")
    try:
        ContainerId(name)
    except InvalidRequest as error:
        raise InvalidManifest(f"{node.at('name')}: {error.message}", hint=error.hint) from None
    for field in ("labels", "annotations"):
        node.mapping(field)
    namespace = node.text("namespace", "default")
    node.done()
    return name, namespace


def _spec(node: Node, name: str, namespace: str) -> PodManifest:
    host_network = bool(node.flag("hostNetwork"))
    of_pod = volumes.parse(node.objects("volumes"))
    around = Around(
        name=name,
        namespace=namespace,
        volumes=of_pod,
        security=security.of_pod(node.object("securityContext")),
        host_network=host_network,
    )
    manifest = PodManifest(
        name=name,
        containers=containers.parse(node.objects("containers"), around, init=False),
        init_containers=containers.parse(node.objects("initContainers"), around, init=True),
        volumes=of_pod,
        hostname=node.optional_text("hostname"),
        restart_policy=node.one_of("restartPolicy", POLICIES, ALWAYS),
        grace_period=node.number("terminationGracePeriodSeconds", GRACE_PERIOD),
        host_network=host_network,
        host_pid=bool(node.flag("hostPID")),
        host_ipc=bool(node.flag("hostIPC")),
        shares_processes=bool(node.flag("shareProcessNamespace")),
    )
    node.done()
    _check(manifest, node)
    return manifest


def _check(manifest: PodManifest, node: Node) -> None:
    if not manifest.containers:
        raise node.refusal("containers", "has none")
    _check_names((*manifest.init_containers, *manifest.containers), node)
    if manifest.shares_processes and manifest.host_pid:
        raise node.refusal("shareProcessNamespace", "is true, and hostPID as well")
    if manifest.hostname is not None and manifest.host_network:
        raise node.refusal("hostname", "cannot be had with hostNetwork, which comes with the host's")


def _check_names(found: Iterable[PodContainer], node: Node) -> None:
    names: set[str] = set()
    for container in found:
        if container.name in names:
            raise node.refusal("containers", f"has two of the name {container.name!r}")
        names.add(container.name)
