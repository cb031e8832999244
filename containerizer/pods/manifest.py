"""PodManifest: the parts of Kubernetes' Pod (core/v1) that one node can do.

ConfigMaps and Secrets are documents beside the Pod's. A field that is not here is refused by its path.
What only describes (labels, annotations, containerPorts) is accepted, and changes nothing; so is what only
a cluster has use for, which `ignored` lists.
"""

from __future__ import annotations

from collections.abc import Iterable

from containerizer.pods import amounts, containers, hosts, objects, security, volumes
from containerizer.pods.containers import Around, PodContainer
from containerizer.pods.document import InvalidManifest, Node, load
from containerizer.pods.downward import Metadata, Sources
from containerizer.pods.policy import ALWAYS, POLICIES
from containerizer.pods.security import FsGroup
from containerizer.pods.volumes import Volume
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import InvalidRequest

_POD = "Pod"
_OBJECTS = (objects.CONFIG_MAP, objects.SECRET)
_KINDS_HINT = f"a manifest has one {_POD}, and beside it documents of the kinds {' and '.join(_OBJECTS)}"

# Where in a cluster a pod runs, what it is there, and how it finds others.
_OF_CLUSTERS = (
    *("nodeName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "schedulerName"),
    *("priority", "priorityClassName", "preemptionPolicy", "serviceAccount", "serviceAccountName"),
    *("automountServiceAccountToken", "enableServiceLinks", "dnsPolicy", "imagePullSecrets"),
)

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
    fs_group: FsGroup | None = None  # whose the volumes are
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    shares_processes: bool = False  # the containers see each other's
    hosts: tuple[tuple[str, str], ...] = ()  # address and name, for their /etc/hosts
    network: str | None = None  # not in it, but beside it: "none", or names of networks with commas
    ignored: tuple[str, ...] = ()  # paths of fields that mean nothing on one host


def parse(text: bytes, name: str = "the manifest") -> PodManifest:
    """Read a manifest in YAML or JSON; `name` is for messages. Raises InvalidManifest."""
    pods: list[Node] = []
    others: list[tuple[str, Node]] = []
    for document in load(text, name):
        version, kind = document.text("apiVersion"), document.text("kind")
        if version != "v1":
            raise document.refusal("apiVersion", f"is {version!r}, not 'v1'")
        if kind not in (_POD, *_OBJECTS):
            raise document.refusal("kind", f"is {kind!r}, not {_POD!r}", hint=_KINDS_HINT)
        if kind == _POD:
            pods.append(document)
        else:
            others.append((kind, document))
    if len(pods) != 1:
        raise InvalidManifest(f"{name} has {len(pods) or 'no'} Pods; it takes one", hint=_KINDS_HINT)
    return _pod(pods[0], objects.parse(others))


def _pod(document: Node, around: objects.Objects) -> PodManifest:
    metadata = _metadata(document.object("metadata"))
    document.ignore("status")  # what a cluster has said of it
    spec = document.object("spec")
    known = amounts.of_containers(spec)
    manifest = _spec(spec, Sources(metadata=metadata, objects=around, amounts=known))
    document.done()
    return manifest


def _metadata(node: Node) -> Metadata:
    name = node.text("name")
    try:
        ContainerId(name)
    except InvalidRequest as error:
        raise InvalidManifest(f"{node.at('name')}: {error.message}", hint=error.hint) from None
    metadata = Metadata(
        name=name,
        namespace=node.text("namespace", "default"),
        labels=node.mapping("labels"),
        annotations=node.mapping("annotations"),
    )
    objects.take_bookkeeping(node)
    node.done()
    return metadata


def _spec(node: Node, sources: Sources) -> PodManifest:
    host_network = bool(node.flag("hostNetwork"))
    of_pod = volumes.parse(node.objects("volumes"), sources)
    ignored: list[str] = []
    of_all, fs_group = security.of_pod(node.object("securityContext"))
    around = Around(
        sources=sources,
        volumes=of_pod,
        security=of_all,
        host_network=host_network,
        ignored=ignored,
    )
    manifest = PodManifest(
        name=sources.metadata.name,
        containers=containers.parse(node.objects("containers"), around, init=False),
        init_containers=containers.parse(node.objects("initContainers"), around, init=True),
        volumes=of_pod,
        hostname=node.optional_text("hostname"),
        restart_policy=node.one_of("restartPolicy", POLICIES, ALWAYS),
        grace_period=node.number("terminationGracePeriodSeconds", GRACE_PERIOD),
        fs_group=fs_group,
        host_network=host_network,
        host_pid=bool(node.flag("hostPID")),
        host_ipc=bool(node.flag("hostIPC")),
        shares_processes=bool(node.flag("shareProcessNamespace")),
        hosts=tuple(hosts.parse(node)),
        ignored=(*(node.at(name) for name in _OF_CLUSTERS if node.ignore(name)), *ignored),
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
