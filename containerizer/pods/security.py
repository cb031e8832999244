"""securityContext, of a pod and of a container, which wins."""

from __future__ import annotations

from containerizer.pods.document import Node
from containerizer.seccomp_files import LOCALHOST, refusal
from isolators.isolator import BUILTIN_SECCOMP, UNCONFINED
from launcher.data import Data, replace
from launcher.kernel import labels

_PROFILES = {"RuntimeDefault": BUILTIN_SECCOMP, "Unconfined": UNCONFINED}
_LOCALHOST = "Localhost"
_LABEL = {"user": "system_u", "role": "system_r", "type": "container_t", "level": "s0"}  # in their order


class Security(Data, kw_only=True):
    """What a container may do. None: the image's, or our default, which is the strict one."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()  # besides those that the image has for the user
    non_root: bool = False  # an image whose user is root is refused
    seccomp: str = BUILTIN_SECCOMP
    apparmor: str | None = None  # a profile that is loaded; "unconfined"
    selinux: str | None = None  # a label
    readonly_rootfs: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    privilege_escalation: bool = False  # setuid programs work


class FsGroup(Data, kw_only=True):
    """See containerizer.pods.fs_group."""

    number: int
    path: str  # of the field
    once: bool = False  # what has been given to it is not looked through again


def of_pod(node: Node) -> tuple[Security, FsGroup | None]:
    """Raises InvalidManifest."""
    groups = node.numbers("supplementalGroups")
    node.one_of("supplementalGroupsPolicy", ("Merge",), "Merge")
    once = node.one_of("fsGroupChangePolicy", ("Always", "OnRootMismatch"), "Always") == "OnRootMismatch"
    number = _id(node, "fsGroup", None)
    given = None if number is None else FsGroup(number=number, path=node.at("fsGroup"), once=once)
    of_files = () if number is None else (number,)
    security = _common(node, Security(groups=tuple(dict.fromkeys((*groups, *of_files)))))
    node.done()
    return security, given


def of_container(node: Node, pods: Security) -> Security:
    """Raises InvalidManifest."""
    privileged = node.flag("privileged")
    security = _common(node, replace(pods, seccomp=UNCONFINED, apparmor=UNCONFINED) if privileged else pods)
    capabilities = node.object("capabilities")
    add, drop = capabilities.texts("add") or (), capabilities.texts("drop") or ()
    capabilities.done()
    escalation = node.flag("allowPrivilegeEscalation")
    if privileged and escalation is False:
        raise node.refusal("allowPrivilegeEscalation", "is false, and privileged is true")
    security = replace(
        security,
        readonly_rootfs=bool(node.flag("readOnlyRootFilesystem")),
        capabilities_add=("ALL",) if privileged else add,
        capabilities_drop=() if privileged else drop,
        privilege_escalation=bool(privileged or escalation),
    )
    node.done()
    return security


def _common(node: Node, default: Security) -> Security:
    user, group = _id(node, "runAsUser", default.user), _id(node, "runAsGroup", default.group)
    if group is not None and user is None:
        raise node.refusal("runAsGroup", "is there without runAsUser")
    non_root = node.flag("runAsNonRoot")
    if (default.non_root if non_root is None else non_root) and user == 0:
        raise node.refusal("runAsUser", "is 0, and runAsNonRoot is true")
    return replace(
        default,
        user=user,
        group=group,
        non_root=default.non_root if non_root is None else non_root,
        seccomp=_seccomp(node, default.seccomp),
        apparmor=_apparmor(node, default.apparmor),
        selinux=_selinux(node, default.selinux),
    )


def _id(node: Node, name: str, default: int | None) -> int | None:
    return node.number(name) if node.has(name) else default


def _seccomp(node: Node, default: str) -> str:
    if not node.has("seccompProfile"):
        return default
    profile = node.object("seccompProfile")
    kind = profile.one_of("type", (*_PROFILES, _LOCALHOST))
    if kind != _LOCALHOST:
        profile.done()
        return _PROFILES[kind]
    name = profile.text("localhostProfile")
    profile.done()
    why = refusal(name)
    if why is not None:
        raise profile.refusal("localhostProfile", f"is {name!r}, which {why}")
    return f"{LOCALHOST}{name}"


def _apparmor(node: Node, default: str | None) -> str | None:
    if not node.has("appArmorProfile"):
        return default
    profile = node.object("appArmorProfile")
    kind = profile.one_of("type", (*_PROFILES, _LOCALHOST))
    name = profile.text("localhostProfile") if kind == _LOCALHOST else None
    profile.done()
    return UNCONFINED if kind == "Unconfined" else name


def _selinux(node: Node, default: str | None) -> str | None:
    """A host without SELinux passes over it, as a kubelet's does."""
    if not node.has("seLinuxOptions"):
        return default
    options = node.object("seLinuxOptions")
    parts = {part: options.optional_text(part) for part in _LABEL}
    options.done()
    if not any(parts.values()) or not labels.has_selinux():
        return None
    return ":".join(parts[part] or usual for part, usual in _LABEL.items())
