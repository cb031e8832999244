"""Probes of a container, as checks."""

from __future__ import annotations

from collections.abc import Mapping

from containerizer.checks.check import Action, Check, Command, Grpc, Http, Tcp
from containerizer.checks.state import LIVENESS, READINESS, STARTUP
from containerizer.pods.document import InvalidManifest, Node
from launcher.errors import InvalidRequest

_FIELDS: Mapping[str, str] = {
    "startupProbe": STARTUP,
    "livenessProbe": LIVENESS,
    "readinessProbe": READINESS,
}
_KINDS = ("exec", "httpGet", "tcpSocket", "grpc")

Ports = Mapping[str, int]  # names of a container's ports


def parse(container: Node, ports: Ports) -> dict[str, Check]:
    """By their roles. Raises InvalidManifest."""
    return {
        role: _probe(container.object(field), ports, role)
        for field, role in _FIELDS.items()
        if container.has(field)
    }


def _probe(node: Node, ports: Ports, role: str) -> Check:
    successes = node.number("successThreshold", 1, least=1)
    if successes != 1 and role != READINESS:
        raise node.refusal("successThreshold", f"is {successes}; for {role} it has to be 1")
    kind = node.only(_KINDS)
    with_action = node.object(kind)
    try:
        check = Check(
            action=_action(kind, with_action, ports),
            delay=node.number("initialDelaySeconds", 0),
            interval=node.number("periodSeconds", 10, least=1),
            timeout=node.number("timeoutSeconds", 1, least=1),
            success_threshold=successes,
            failure_threshold=node.number("failureThreshold", 3, least=1),
        )
    except InvalidManifest:
        raise
    except InvalidRequest as error:
        raise InvalidManifest(f"{with_action.path}: {error.message}", hint=error.hint) from None
    node.done()
    return check


def _action(kind: str, node: Node, ports: Ports) -> Action:
    action: Action
    if kind == "exec":
        action = command(node)
    elif kind == "httpGet":
        action = _http(node, ports)
    elif kind == "tcpSocket":
        action = Tcp(port=_port(node, ports), host=node.optional_text("host"))
    else:
        action = Grpc(port=node.number("port"), service=node.text("service", ""))
    node.done()
    return action


def command(node: Node) -> Command:
    """An exec action, of a probe or a hook. Raises InvalidManifest."""
    argv = node.texts("command")
    if not argv:
        raise node.refusal("command", "is missing")
    return Command(argv=argv)


def _http(node: Node, ports: Ports) -> Http:
    headers = []
    for header in node.objects("httpHeaders"):
        headers.append((header.text("name"), header.text("value")))
        header.done()
    return Http(
        port=_port(node, ports),
        host=node.optional_text("host"),
        path=node.text("path", "/"),
        tls=node.one_of("scheme", ("HTTP", "HTTPS"), "HTTP") == "HTTPS",
        headers=tuple(headers),
    )


def _port(node: Node, ports: Ports) -> int:
    """A number, or the name of one of the container's."""
    text = node.quantity("port") or ""
    if text.isascii() and text.isdigit():
        return int(text)
    if text not in ports:
        raise node.refusal("port", f"is {text!r}, neither a number nor the name of a port")
    return ports[text]
