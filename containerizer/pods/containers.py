"""Containers of a pod, as the manifest describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from containerizer.checks.check import Check, Command
from containerizer.pods import amounts, environment, probes, security, volumes
from containerizer.pods.document import InvalidManifest, Node
from containerizer.pods.downward import Sources
from containerizer.pods.security import Security
from containerizer.pods.volumes import Volume, VolumeMount
from isolators.networks import PortMapping
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import Data, field
from launcher.errors import InvalidRequest
from provisioner.provisioner import Policy

_PULL: Mapping[str, Policy] = {"Always": "always", "IfNotPresent": "missing", "Never": "never"}
_MAX_PORT = 65535
_OF_CLUSTERS = ("terminationMessagePath", "terminationMessagePolicy")


class PodContainer(Data, kw_only=True):
    """One container."""

    name: str
    image: str
    entrypoint: tuple[str, ...] | None = None  # None: the image's
    arguments: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    pull: Policy = "missing"
    resources: Resources = Resources()
    security: Security = Security()
    mounts: tuple[VolumeMount, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)  # by their roles
    post_start: Command | None = None  # right after its start; if it fails, the container is ended
    pre_stop: Command | None = None
    sidecar: bool = False  # an init container that the others do not wait for the end of, and that ends last
    host_ports: tuple[PortMapping, ...] = ()  # by which the host answers for it


class Around(Data, kw_only=True):
    """What of the pod its containers go by."""

    sources: Sources
    volumes: tuple[Volume, ...]
    security: Security
    host_network: bool
    ignored: list[str]  # to be filled: paths of fields that mean nothing here


def parse(nodes: Iterable[Node], around: Around, *, init: bool) -> tuple[PodContainer, ...]:
    """Raises InvalidManifest."""
    return tuple(_container(node, around, init=init) for node in nodes)


def _container(node: Node, around: Around, *, init: bool) -> PodContainer:
    image = node.text("image", "")
    variables = environment.parse(node, around.sources)
    command, arguments = node.texts("command"), node.texts("args")
    ports, host_ports = _ports(node, around)
    mounts = volumes.parse_mounts(node.objects("volumeMounts"), around.volumes)
    workdir = node.optional_text("workingDir")
    if workdir is not None and not workdir.startswith("/"):
        raise node.refusal("workingDir", f"is {workdir!r}, which is not absolute")
    sidecar = init and node.has("restartPolicy") and bool(node.one_of("restartPolicy", ("Always",)))
    stays = sidecar or not init
    post_start, pre_stop = _hooks(node.object("lifecycle")) if stays else (None, None)
    container = PodContainer(
        name=_name(node),
        image=image,
        entrypoint=variables.expanded(command),
        arguments=variables.expanded(arguments),
        environment=variables.plain,
        secret_environment=variables.secret,
        working_directory=workdir,
        pull=_pull(node, image),
        resources=amounts.parse(node.object("resources")).resources,
        security=security.of_container(node.object("securityContext"), around.security),
        mounts=mounts,
        checks=probes.parse(node, ports) if stays else {},
        post_start=post_start,
        pre_stop=pre_stop,
        sidecar=sidecar,
        host_ports=host_ports,
    )
    around.ignored.extend(node.at(name) for name in _OF_CLUSTERS if node.ignore(name))
    node.done()  # before what is missing: that may be there, misspelt
    for name in ("name", "image"):
        if not getattr(container, name):
            raise node.missing(name)
    return container


def _name(node: Node) -> str:
    """ "" where there is none."""
    name = node.text("name", "")
    if not name:
        return ""
    try:
        if ContainerId(name, ContainerId("pod")).is_command:
            raise node.refusal("name", f"is {name!r}, as those of commands are")
    except InvalidManifest:
        raise
    except InvalidRequest as error:
        raise InvalidManifest(f"{node.at('name')}: {error.message}", hint=error.hint) from None
    return name


def _pull(node: Node, image: str) -> Policy:
    """Kubernetes' default: what may change under its name is asked for each time."""
    name = image.rpartition("/")[2]
    latest = "@" not in name and (":" not in name or name.endswith(":latest"))
    return _PULL[node.one_of("imagePullPolicy", tuple(_PULL), "Always" if latest else "IfNotPresent")]


def _ports(node: Node, around: Around) -> tuple[dict[str, int], tuple[PortMapping, ...]]:
    """The numbers of those that have names, and those of the host that lead there."""
    names: dict[str, int] = {}
    of_host: list[PortMapping] = []
    for port in node.objects("ports"):
        number = _port(port, "containerPort")
        if port.has("name"):
            names[port.text("name")] = number
        protocol = port.one_of("protocol", ("TCP", "UDP", "SCTP"), "TCP").lower()
        if port.has("hostPort"):
            of_host += _of_host(port, number, protocol, around)
        port.done()
    return names, tuple(of_host)


def _of_host(port: Node, number: int, protocol: str, around: Around) -> tuple[PortMapping, ...]:
    """None where the host's network is the pod's: then the two are one."""
    host_port = _port(port, "hostPort")
    if around.host_network:
        if host_port != number or port.has("hostIP"):
            raise port.refusal("hostPort", "is another than containerPort, with the host's network")
        return ()
    try:
        return (
            PortMapping(
                container_port=number,
                host_port=host_port,
                host_ip=port.text("hostIP", ""),
                protocol=protocol,
            ),
        )
    except InvalidManifest:
        raise
    except InvalidRequest as error:
        raise port.refusal("hostIP", error.message) from None


def _port(node: Node, name: str) -> int:
    number = node.number(name, least=1)
    if number > _MAX_PORT:
        raise node.refusal(name, f"is {number}, which is no port")
    return number


def _hooks(node: Node) -> tuple[Command | None, Command | None]:
    """Those after the start and before the end."""
    hooks = []
    for name in ("postStart", "preStop"):
        hook = node.object(name)
        hooks.append(probes.command(hook.object("exec")) if hook.has("exec") else None)
        hook.done()
    node.done()
    return hooks[0], hooks[1]
